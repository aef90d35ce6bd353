"""The systems of the paper's table 2 on one manifest: accuracy, size, and what they need to know.

    python bench/baselines.py wildlife.parquet -o networks --seeds 0 1 2 --set input_px=96

Trains what bench/baselines_train.py says and is not trained yet, and judges it on the test photos.
For each place (a circle of 500 km) the dense network is also cut to the species of its training
photos and fine-tuned there: few-shot, against the same cut without fine-tuning, at the same bytes.
Writes ``bench/results/baselines.json``.

Differences to dense are on the same photos, with the 95 % interval of a bootstrap over seeds,
places and photos. A lever pays iff its lower end is above 0 at equal bytes, over at least three
seeds and 20 places; with fewer nothing is said of that. Of fewer than 30 photos no accuracy is
given.

Axes used in this file:
    S  seeds      P  places      N  test photos      C  classes
"""

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from baselines_train import SYSTEMS, HowTrained, register_tiny_clip, train, train_at
from findings import APART_KM, RADIUS_KM, bootstrap
from record import write_record

from homerange.baselines.systems import network_of
from homerange.data.manifest import Manifest
from homerange.data.metrics import chance, in_top, macro_f1, majority
from homerange.data.photo_list import taken_in
from homerange.geo.place import Circle
from homerange.geo.sphere import great_circle_km
from homerange.model.checkpoint import WEIGHTS, load_checkpoint
from homerange.train.infer import infer

FEWEST_PHOTOS, FEWEST_SEEDS, FEWEST_PLACES = 30, 3, 20
SPECIES_MIN, TRAIN_PHOTOS_MIN = 4, 8
CLASS_ROW = 257  # parameters: 256 features and a bias


def main() -> None:
    """Train what is not there yet, judge all of it, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--epochs", type=int, nargs=2, default=[6, 2], help="dense, then on")
    parser.add_argument("--places", type=int, default=0, help="places of few-shot")
    parser.add_argument("--client-photos-max", type=int, default=64)
    parser.add_argument("--mobilenet-start", default="none")
    parser.add_argument("--clip", default="tiny-clip:none", metavar="NAME:START")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--name", default="baselines")
    arguments = parser.parse_args()
    register_tiny_clip(arguments.output)
    names = [field.name for field in dataclasses.fields(HowTrained)]
    how = HowTrained(**{name: getattr(arguments, name) for name in names})
    manifest = Manifest.read(arguments.manifest)
    test = manifest.split("test").labelled()
    places = choose_places(manifest.split("train").labelled(), arguments.places)
    judged = {
        (system, seed): judge(train(system, seed, how), test)
        for seed in arguments.seeds
        for system in arguments.systems
    }
    rows = {
        system: row([judged[system, seed] for seed in arguments.seeds], test, system)
        for system in arguments.systems
    }
    results = {
        "test_photos": len(test),
        "train_photos": len(manifest.split("train").labelled()),
        "majority": round(majority(test.strings("species")), 4),
        "systems": rows,
        "differences_to_dense": differences(judged, arguments.systems, arguments.seeds),
        "few_shot": few_shot(places, judged, test, how, arguments.seeds) if places else None,
    }
    print(markdown(results))
    write_record(
        arguments.name,
        "How do the systems of table 2 compare on one manifest, in accuracy, bytes and needs?",
        results,
        seeds=arguments.seeds,
        manifest=arguments.manifest.name,
        epochs=arguments.epochs,
        settings=arguments.settings,
        mobilenet_start=arguments.mobilenet_start,
        clip=arguments.clip,
        client_photos_max=arguments.client_photos_max,
    )


def judge(folder: Path, test: Manifest) -> dict:
    """Answer the test photos with one network."""
    network, config = load_checkpoint(folder, network_of)
    answers = infer(network, config, test, title=folder.name)
    assert len(answers.row_N) == len(test), "a test photo is unreadable"
    known_N = answers.class_N >= 0
    hit_N = np.zeros(len(test), np.float32)
    hit_N[known_N] = in_top(answers.logits_NC[known_N], answers.class_N[known_N], 1)
    true_N = np.where(known_N, answers.class_N, len(config.classes))
    return {
        "hit_N": hit_N,
        "logits_NC": answers.logits_NC,
        "classes": config.classes,
        "macro_f1": macro_f1(true_N, answers.logits_NC.argmax(1)),
        "parameters": sum(p.numel() for p in network.parameters()),
        "bytes": (folder / WEIGHTS).stat().st_size,
    }


def row(judged: list[dict], test: Manifest, system: str) -> dict:
    """Give what the table says of one system: means over seeds, and each seed."""
    hit_SN = np.stack([one["hit_N"] for one in judged])
    regions = np.array([name or "" for name in test.strings("region_id")])
    return {
        "top1": measured(hit_SN),
        "top1_by_seed": [measured(hit_N[None]) for hit_N in hit_SN],
        "macro_f1": round(float(np.mean([one["macro_f1"] for one in judged])), 4),
        "chance": round(chance(len(judged[0]["classes"])), 4),
        "parameters": judged[0]["parameters"],
        "bytes": judged[0]["bytes"],
        "place_at_inference": system.startswith("gnfg"),
        "regions": {
            name: {
                "photos": int((regions == name).sum()),
                "top1": measured(hit_SN[:, regions == name]),
            }
            for name in np.unique(regions[regions != ""]).tolist()
        },
    }


def measured(hit_SN) -> float | None:
    """Return the share of right answers; none for too few photos."""
    return None if hit_SN.shape[1] < FEWEST_PHOTOS else round(float(hit_SN.mean()), 4)


def differences(judged: dict, systems: list[str], seeds: list[int]) -> dict:
    """Compare every system with dense on the same photos."""

    def hits(system: str):
        """Right answers, shape (S, 1, N): the world is the only place."""
        return np.stack([judged[system, seed]["hit_N"] for seed in seeds])[:, None]

    found = {}
    for system in systems:
        if system != "dense":
            difference = hits(system) - hits("dense")
            low, high = bootstrap(difference)
            found[system] = {"top1": round(float(difference.mean()), 4), "top1_95": [low, high]}
    return found


def choose_places(train: Manifest, number: int) -> list[Circle]:
    """Take circles around training photos in random order, far apart, with enough to learn from."""
    latlon_N2, species = train.latlon_N2(), np.array(train.strings("species"))
    places: list[Circle] = []
    for i in np.random.default_rng(0).permutation(len(train)):
        here = latlon_N2[i]
        if len(places) == number or np.isnan(here).any():
            continue
        centres = np.array([[c.latitude_deg, c.longitude_deg] for c in places]).reshape(-1, 2)
        if len(centres) and great_circle_km(here[None], centres).min() < APART_KM:
            continue
        circle = Circle(float(here[0]), float(here[1]), RADIUS_KM)
        inside_N = taken_in(train, circle)
        if inside_N.sum() >= TRAIN_PHOTOS_MIN and len(set(species[inside_N])) >= SPECIES_MIN:
            places.append(circle)
    return places


def few_shot(places, judged: dict, test: Manifest, how: HowTrained, seeds: list[int]) -> dict:
    """Compare the fine-tuned cut with the cut alone, place by place, at the same bytes."""
    shape = (len(seeds), len(places), len(test))
    tuned_SPN, cut_SPN, base_SPN = (np.full(shape, np.nan, np.float32) for _ in range(3))
    sizes = []
    for s, seed in enumerate(seeds):
        of_base = judge(train("base", seed, how), test)
        for p, place in enumerate(places):
            tuned = judge(train_at(place, p, seed, how), test)
            gone = len(of_base["classes"]) - len(tuned["classes"])
            assert tuned["parameters"] == of_base["parameters"] - gone * CLASS_ROW
            sizes.append(tuned["parameters"])
            answers = ((tuned_SPN, tuned), (cut_SPN, judged["dense", seed]), (base_SPN, of_base))
            for hit_SPN, one in answers:
                hit_SPN[s, p] = hits_among(one, tuned["classes"], test)
    photos = int((~np.isnan(tuned_SPN[0])).sum())
    found = {
        "places": [
            {"latitude_deg": round(c.latitude_deg, 2), "longitude_deg": round(c.longitude_deg, 2)}
            for c in places
        ],
        "judged_photos": photos,
        "mean_parameters": round(float(np.mean(sizes))),
    }
    if photos < FEWEST_PHOTOS:
        return found | {"few-shot": None, "against": None}
    controls = {"dense, cut": cut_SPN, "base, cut": base_SPN}
    mean = round(float(np.nanmean(tuned_SPN)), 4)
    return found | {"few-shot": mean, "against": dict(compared(tuned_SPN, controls))}


def hits_among(one: dict, classes: tuple[str, ...], test: Manifest):
    """Right answers among some classes; nan for photos of others."""
    index_K = [one["classes"].index(name) for name in classes]
    answer_N = np.array(classes)[one["logits_NC"][:, index_K].argmax(1)]
    species = np.array(test.strings("species"))
    hit_N = (answer_N == species).astype(np.float32)
    hit_N[~np.isin(species, classes)] = np.nan
    return hit_N


def compared(tuned_SPN, controls: dict) -> Iterator[tuple[str, dict]]:
    """Judge few-shot by the rule, against each control of the same bytes."""
    enough = len(tuned_SPN) >= FEWEST_SEEDS and tuned_SPN.shape[1] >= FEWEST_PLACES
    for name, control_SPN in controls.items():
        low, high = bootstrap(tuned_SPN - control_SPN)
        yield (
            name,
            {
                "top1": round(float(np.nanmean(control_SPN)), 4),
                "difference": round(float(np.nanmean(tuned_SPN - control_SPN)), 4),
                "difference_95": [low, high],
                "pays": bool(low > 0)
                if enough
                else f"not judged: fewer than {FEWEST_PLACES} places",
            },
        )


def markdown(results: dict) -> str:
    """Write the table."""
    lines = [
        f"{results['test_photos']} test photos",
        "| system | top-1 | to dense (95 %) | macro-F1 | parameters | MB | place at inference |",
        "|---|---:|---|---:|---:|---:|---|",
    ]
    for name, one in results["systems"].items():
        to = results["differences_to_dense"].get(name)
        said = (
            f"{to['top1']:+.3f} ({to['top1_95'][0]:+.3f} to {to['top1_95'][1]:+.3f})" if to else ""
        )
        place = "yes" if one["place_at_inference"] else "no"
        lines.append(
            f"| {name} | {one['top1']} | {said} | {one['macro_f1']:.3f} | {one['parameters']:,} | "
            f"{one['bytes'] / 1e6:.2f} | {place} |"
        )
    return "\n".join([*lines, json.dumps(results["few_shot"], indent=1)])


if __name__ == "__main__":
    main()
