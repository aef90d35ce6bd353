"""Which lever pays at a place? Dense, bottlenecks, random routing, experts, and experts dropped.

    python bench/findings.py species115.parquet networks --seeds 0 1 2

Judges the networks of bench/findings_train.py. Each becomes a world; each place (circles of 500 km
around records, at least 600 km apart) is a list of species. Test photos of those species, wherever
taken, are answered with all classes, then with the place's classes only, then with experts dropped
as well: as many as the paper's threshold drops, by each method. Experts are chosen on validation
photos; under random routing at one percentile only. Bytes are those of cut models. Writes
``bench/results/findings.json``.

A lever pays iff the lower end of the 95 % interval of the paired difference (same photos) is above
0 at equal or fewer stored bytes; within 1 % they are called equal. Intervals: bootstrap over seeds,
places and photos together.

Axes used in this file:
    S  seeds      P  places      N  test photos      C  classes
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import torch
from findings_train import VARIANTS, folder_of
from numpy.typing import NDArray
from record import write_record

from homerange.data.manifest import Manifest
from homerange.geo.place import Circle
from homerange.geo.sphere import great_circle_km
from homerange.model.checkpoint import load_checkpoint
from homerange.profile.expert_sums import expert_layers
from homerange.profile.publish import publish
from homerange.profile.simulate import logits_without, prepare
from homerange.specialize.choose import Choice, Kept, choose
from homerange.specialize.cut import cut_world
from homerange.specialize.species import species_at
from homerange.train.infer import infer
from homerange.world.expert_tables import Drops
from homerange.world.world import World, open_world

RADIUS_KM, APART_KM, SPECIES_MIN = 500.0, 600.0, 8
PERCENTILES = (90.0, 99.0)
NEAR = 0.01
"""Share of the bytes within which two models are called equally large."""
METHODS = ("exact", "first-order", "global", "random")


def main() -> None:
    """Publish, measure, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("networks", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--places", type=int, default=24)
    parser.add_argument("--exact", type=int, default=5, help="photos a class for per-expert drops")
    parser.add_argument("--licence", help="of photos that state none")
    parser.add_argument("--part", action="store_true", help="judge these networks, write no record")
    arguments = parser.parse_args()
    worlds = {}
    for seed, variant in product(arguments.seeds, arguments.variants):
        folder = arguments.networks / f"seed{seed}" / folder_of(variant)
        worlds[variant, seed] = published(folder, arguments)
    test = Manifest.read(arguments.manifest).split("test").labelled()
    places = choose_places(next(iter(worlds.values())), test, arguments.places)
    found: dict[str, Hits] = {}
    for row, seed in enumerate(arguments.seeds):
        for variant in arguments.variants:
            world = worlds[variant, seed]
            for name, hit_PN, bytes_P in judged(world, test, places):
                shape = (len(arguments.seeds), len(places), len(test))
                kept = found.setdefault(f"{variant}: {name}", Hits.empty(shape))
                kept.hit_SPN[row], kept.bytes_SP[row] = hit_PN, bytes_P
            print(seed, variant, {k: h.mean() for k, h in found.items() if k.startswith(variant)})
    if arguments.part:
        return
    results = summary(found)
    print(markdown(results))
    write_record(
        "findings",
        "Which lever pays at a place: head slice, experts, dropping them, and by which method?",
        results | {"places": [describe(place, classes) for place, classes in places]},
        seeds=arguments.seeds,
        manifest=arguments.manifest.name,
        test_photos=len(test),
        percentiles=PERCENTILES,
        exact_photos_per_class=arguments.exact,
        training=provenance(worlds),
    )


def published(folder: Path, arguments: argparse.Namespace) -> World:
    """Publish a checkpoint as a world inside its folder, once."""
    path = folder / "world"
    if not (path / "world.json").is_file():
        exact = 0 if "any-subset" in folder.name else arguments.exact
        how = {"licence": arguments.licence, "exact": exact}
        publish(folder, arguments.manifest, path, **how)
    return open_world(path)


def choose_places(
    world: World, test: Manifest, number: int, *, species_min: int = SPECIES_MIN
) -> list[tuple[Circle, NDArray[np.integer]]]:
    """Take circles around test photos in random order, far apart and with enough species."""
    latlon_N2 = test.latlon_N2()
    places: list[tuple[Circle, NDArray[np.integer]]] = []
    for row in np.random.default_rng(0).permutation(len(test)):
        here = latlon_N2[row]
        centres = np.array([[c.latitude_deg, c.longitude_deg] for c, _ in places]).reshape(-1, 2)
        if len(centres) and great_circle_km(here[None], centres).min() < APART_KM:
            continue
        circle = Circle(float(here[0]), float(here[1]), RADIUS_KM)
        classes = species_at(world, circle).class_index_K
        if len(classes) >= species_min:
            places.append((circle, classes))
        if len(places) == number:
            return places
    raise SystemExit(f"only {len(places)} places with {species_min} species; asked for {number}")


def describe(place: Circle, classes: NDArray[np.integer]) -> dict:
    """Say in the record what a place was."""
    return {
        "latitude_deg": round(place.latitude_deg, 2),
        "longitude_deg": round(place.longitude_deg, 2),
        "species": len(classes),
    }


@dataclass
class Hits:
    """Right answers of one network under one treatment; NaN where a photo is not judged."""

    hit_SPN: NDArray[np.float32]
    bytes_SP: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @classmethod
    def empty(cls, shape: tuple[int, int, int]) -> "Hits":
        """Nothing is judged yet."""
        return cls(np.full(shape, np.nan, np.float32), np.zeros(shape[:2]))

    def mean(self) -> float:
        """Top-1 over seeds, places and photos."""
        return round(float(np.nanmean(self.hit_SPN)), 4)

    def row(self) -> dict:
        """Give accuracy, by seed too, and bytes, for the record."""
        return {
            "top1": self.mean(),
            "top1_by_seed": [round(float(np.nanmean(s)), 4) for s in self.hit_SPN],
            "mean_bytes": round(float(self.bytes_SP.mean())),
        }


def judged(world: World, test: Manifest, places) -> list:
    """Judge one network, once: its answers are kept beside its world."""
    folder = world.path.parent
    return kept_in(folder / "judged.npz", lambda: judge(world, folder, test, places))


def kept_in(path: Path, judge: Callable[[], Iterable[tuple]]) -> list[tuple]:
    """Return what a network was judged to be, from a file if it was judged before.

    Args:
        path: The file.
        judge: Yields name of the treatment, right answers (P, N) and bytes (P,).
    """
    if not path.is_file():
        names, hits_, bytes_ = zip(*judge(), strict=True)
        np.savez_compressed(path, names=names, hits=np.stack(hits_), bytes=np.stack(bytes_))
    kept = np.load(path)
    return list(zip(kept["names"].tolist(), kept["hits"], kept["bytes"], strict=True))


def judge(world, checkpoint, test, places):
    """Yield name of the treatment, right answers (P, N) and bytes (P,) for one network."""
    network, config = load_checkpoint(checkpoint)
    routed = bool(expert_layers(network))
    answers = infer(network, config, test, title="test")
    assert np.array_equal(answers.row_N, np.arange(len(test))), "a test photo is unreadable"
    everything = np.arange(len(world.labels))
    whole = len(cut_world(world, everything))
    classes_P = [classes for _, classes in places]
    yield (
        "whole",
        np.stack([hits(answers.logits_NC, answers.class_N, c, everything) for c in classes_P]),
        np.full(len(places), whole),
    )
    yield (
        "head slice",
        np.stack([hits(answers.logits_NC, answers.class_N, c, c) for c in classes_P]),
        np.array([len(cut_world(world, c)) for c in classes_P]),
    )
    if not routed:
        return
    photos = prepare(network, config, test)
    methods = METHODS if (world.path / Drops.file).is_file() else METHODS[1:]
    for percentile in PERCENTILES[:1] if "random" in checkpoint.name else PERCENTILES:
        first = [
            choose(world, c, Choice(method="threshold", percentile=percentile)) for c in classes_P
        ]
        dropped = [sum(e.experts for e in world.graph.experts) - size(kept) for kept in first]
        yield from dropped_by(f"threshold {percentile:g}", world, network, photos, classes_P, first)
        for method in methods:
            kept = [
                choose(world, c, Choice(method=method, number=k, seed=i))
                for i, (c, k) in enumerate(zip(classes_P, dropped, strict=True))
            ]
            name = f"{method}, as many as threshold {percentile:g}"
            yield from dropped_by(name, world, network, photos, classes_P, kept)


def size(kept: Kept) -> int:
    """Count the experts of all layers."""
    return sum(map(len, kept.values()))


def dropped_by(name, world, network, photos, classes_P, kept_P):
    """Yield what one way to drop experts gives at all places."""
    hit_PN = np.full((len(classes_P), len(photos.class_N)), np.nan, np.float32)
    for hit_N, classes, kept in zip(hit_PN, classes_P, kept_P, strict=True):
        judged_N = np.isin(photos.class_N, classes)
        logits_NC = logits_without(network, photos.where(judged_N), kept)
        answer_N = classes[logits_NC[:, classes].argmax(1)]
        hit_N[judged_N] = answer_N == photos.class_N[judged_N]
    sizes = [len(cut_world(world, c, k)) for c, k in zip(classes_P, kept_P, strict=True)]
    yield name, hit_PN, np.array(sizes)


def hits(logits_NC, class_N, judged, answerable) -> NDArray[np.float32]:
    """Mark right answers among some classes; NaN for photos of other species than the judged."""
    answer_N = answerable[logits_NC[:, answerable].argmax(1)]
    hit_N = (answer_N == class_N).astype(np.float32)
    hit_N[~np.isin(class_N, judged)] = np.nan
    return hit_N


def summary(found: dict[str, Hits]) -> dict:
    """Give accuracy and bytes of each treatment, and the paired differences that judge levers."""
    rows = {name: h.row() for name, h in found.items()}
    against = [pair for pair in comparisons(list(found)) if set(pair) <= set(found)]
    return {
        "rows": rows,
        "differences": [compared(one, other, found[one], found[other]) for one, other in against],
    }


def comparisons(names: list[str]) -> list[tuple[str, str]]:
    """List what is compared: a lever, and what it must beat."""
    pairs = [(f"{v}: head slice", f"{v}: whole") for v in VARIANTS]
    others = ("dense", "bottleneck", "random routing")
    pairs += [("experts: head slice", f"{other}: head slice") for other in others]
    for treatment in [n.split(": ")[1] for n in names if n.startswith("experts: ")]:
        pairs += [
            (f"{v}: {treatment}", f"{v.split(',')[0]}: {treatment}") for v in VARIANTS if "," in v
        ]
    for variant in ("experts", "random routing", "experts, any subset"):
        dropped = [n for n in names if n.startswith(f"{variant}: ") and "threshold" in n]
        pairs += [(name, f"{variant}: head slice") for name in dropped]
        for q in (f"threshold {p:g}" for p in PERCENTILES):
            by = {m: f"{variant}: {m}, as many as {q}" for m in METHODS} | {
                "threshold": f"{variant}: {q}"
            }
            pairs += [(by[m], by["random"]) for m in by if m != "random"]
            pairs += [(by[m], by["threshold"]) for m in ("exact", "first-order")]
            pairs += [(by["first-order"], by["exact"]), (by["first-order"], by["global"])]
            pairs += [(by["first-order"], f"{other}: head slice") for other in others]
    return pairs


def compared(one: str, other: str, a: Hits, b: Hits) -> dict:
    """Judge one lever by the rule."""
    low, high = bootstrap(a.hit_SPN - b.hit_SPN)
    saved = float((b.bytes_SP - a.bytes_SP).mean())
    return {
        "lever": one,
        "against": other,
        "difference": round(float(np.nanmean(a.hit_SPN - b.hit_SPN)), 4),
        "difference_95": [low, high],
        "bytes_saved": round(saved),
        "pays": bool(low > 0 and saved >= -NEAR * b.bytes_SP.mean()),
    }


def bootstrap(difference_SPN: NDArray[np.float32], draws: int = 2000) -> tuple[float, float]:
    """Return the 95 % interval of the mean, drawing seeds, places and photos with replacement."""
    generator = np.random.default_rng(0)
    judged = torch.from_numpy(~np.isnan(difference_SPN)).double()
    value = torch.from_numpy(np.nan_to_num(difference_SPN)).double()
    means = []
    for _ in range(draws):
        weights = [
            torch.from_numpy(np.bincount(generator.integers(0, n, n), minlength=n)).double()
            for n in value.shape
        ]
        total, photos = (torch.einsum("spn,s,p,n->", x, *weights) for x in (value, judged))
        means.append(float(total / photos))
    low, high = np.nanpercentile(means, [2.5, 97.5])  # a draw may hold no judged photo
    return round(float(low), 4), round(float(high), 4)


def markdown(results: dict) -> str:
    """Write both tables of docs/findings.md."""
    lines = ["| network and treatment | top-1 | by seed | mean bytes |", "|---|---:|---|---:|"]
    for name, row in results["rows"].items():
        seeds = ", ".join(f"{value:.3f}" for value in row["top1_by_seed"])
        lines.append(f"| {name} | {row['top1']:.3f} | {seeds} | {row['mean_bytes']:,} |")
    lines += [
        "",
        "| lever | against | difference (95 %) | bytes saved | pays |",
        "|---|---|---|---:|---|",
    ]
    for row in results["differences"]:
        low, high = row["difference_95"]
        lines.append(
            f"| {row['lever']} | {row['against']} | {row['difference']:+.3f} ({low:+.3f} to "
            f"{high:+.3f}) | {row['bytes_saved']:,} | {'yes' if row['pays'] else 'no'} |"
        )
    return "\n".join(lines)


def provenance(worlds: dict[tuple[str, int], World]) -> dict:
    """Say how the judged networks were trained, as their worlds tell."""
    return {
        f"{variant}, seed {seed}": world.description.provenance.start
        for (variant, seed), world in worlds.items()
    }


if __name__ == "__main__":
    main()
