"""Does geography help where it is planted? Location stage, drops by place, any-subset training.

    python bench/planted.py space2vec.pth.tar planets --seeds 0 1 2

Judges the networks of bench/planted_train.py on planets whose animals look different in each of 8
regions, and on the same planets with the places of the photos shuffled, as a control. A place is a
circle of 150 km around a region; judged are the test photos taken there of species on its list,
answered with all classes, with the classes of the place, and without a half or three quarters of
the experts as well: the least important by first-order score or tokens, of the place or of all
species, or random ones. Seeds x regions are the places of the rule: a lever pays iff the lower end
of the 95 % interval of the paired difference is above 0 (bootstrap over seeds, regions, photos).

Mutual information: of the expert that a token goes to and the region where the photo was taken, in
bits, over test photos in their true regions, the mean of the expert layers.

Writes ``bench/results/planted.json``. Axes used in this file:
    S  seeds     P  places     N  test photos of a planet
    L  layers    E  experts    R  regions
"""

import argparse
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from findings import Hits, compared, dropped_by, hits, kept_in
from numpy.typing import NDArray
from planted_train import GEOGRAPHIES, NETWORKS, Planet
from record import write_record

from homerange.data.manifest import Manifest
from homerange.data.synthetic import REGIONS
from homerange.geo.place import Circle
from homerange.model.checkpoint import load_checkpoint
from homerange.profile.expert_sums import expert_layers
from homerange.profile.publish import publish
from homerange.profile.routing import traced
from homerange.profile.simulate import prepare
from homerange.specialize.choose import Choice, choose
from homerange.specialize.cut import cut_world
from homerange.specialize.species import species_at
from homerange.train.dataset import PlainPhotos, loader
from homerange.train.infer import infer
from homerange.world.world import World, open_world

RADIUS_KM, EXPERTS = 150.0, 64
PLACES = tuple(Circle(r.latitude_deg, r.longitude_deg, RADIUS_KM) for r in REGIONS)
LEFT_OUT = {"half": 128, "three quarters": 192}
METHODS = ("first-order", "frequency", "global", "random")


def main() -> None:
    """Judge, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("encoder", type=Path, help="that of bench/planted_train.py")
    parser.add_argument("planets", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--part", action="store_true", help="judge these networks, write no record")
    arguments = parser.parse_args()
    planets = [Planet(arguments.planets, seed, arguments.encoder) for seed in arguments.seeds]
    photos = max(len(test_photos(planet, "planted")) for planet in planets)
    shape = (len(planets), len(PLACES), photos)
    found: dict[str, Hits] = {}
    bits: dict[str, list[float]] = {}
    for name, geography in product(arguments.networks, GEOGRAPHIES):
        for row, planet in enumerate(planets):
            folder = planet.network(name, geography)
            found_here = kept_in(
                folder / f"judged-{geography}.npz", partial(judged, folder, planet, geography)
            )
            for treatment, hit_PN, bytes_P in found_here:
                kept = found.setdefault(f"{geography} {name}: {treatment}", Hits.empty(shape))
                kept.hit_SPN[row, :, : hit_PN.shape[1]] = hit_PN
                kept.bytes_SP[row] = bytes_P
            if "dense" not in name:
                value = region_bits(folder, planet)
                bits.setdefault(f"{geography} {name}", []).append(round(value, 4))
        print(geography, name, {k: h.mean() for k, h in found.items()}, flush=True)
    if arguments.part:
        return
    write_record(
        "planted",
        "Where animals look different in each region: what do the location stage, dropping experts "
        "by place and any-subset training bring?",
        {
            "rows": {name: h.row() for name, h in found.items()},
            "differences": [
                compared(one, other, found[one], found[other])
                for one, other in comparisons()
                if {one, other} <= set(found)
            ],
            "bits_of_region_in_expert": bits,
        },
        seeds=arguments.seeds,
        regions=len(PLACES),
        test_photos=[len(test_photos(planet, "planted")) for planet in planets],
    )


def test_photos(planet: Planet, geography: str) -> Manifest:
    """Return the test photos of a planet."""
    return Manifest.read(planet.manifest(geography)).split("test").labelled()


def world_of(folder: Path, manifest: Path) -> World:
    """Publish a checkpoint with the places of a manifest, once."""
    path = folder / f"world-{manifest.stem}"
    if not (path / "world.json").is_file():
        publish(folder, manifest, path)
    return open_world(path)


def judged(
    folder: Path, planet: Planet, geography: str
) -> Iterator[tuple[str, NDArray[np.float32], NDArray[np.float64]]]:
    """Yield treatment, right answers (P, N) and bytes (P,) of one network."""
    manifest = planet.manifest(geography)
    world, test = world_of(folder, manifest), test_photos(planet, geography)
    network, config = load_checkpoint(folder)
    classes_P = [species_at(world, place).class_index_K for place in PLACES]
    answers = infer(network, config, test, title="test")
    assert np.array_equal(answers.row_N, np.arange(len(test))), "a test photo is unreadable"
    region_N = np.array(test.strings("region_id"))
    here_PN = np.stack(
        [
            (region_N == region.name) & np.isin(answers.class_N, classes)
            for region, classes in zip(REGIONS, classes_P, strict=True)
        ]
    )
    everything = np.arange(len(world.labels))
    for treatment, of_place in (("whole", False), ("head slice", True)):
        kept_P = [classes if of_place else everything for classes in classes_P]
        right_PN = [hits(answers.logits_NC, answers.class_N, everything, c) for c in kept_P]
        sizes = [len(cut_world(world, classes)) for classes in kept_P]
        yield treatment, at(here_PN, np.stack(right_PN)), np.array(sizes, float)
    if not expert_layers(network):
        return
    photos = prepare(network, config, test)
    for (amount, number), method in product(LEFT_OUT.items(), METHODS):
        kept_P = [
            choose(world, classes, Choice(method=method, number=number, seed=i))
            for i, classes in enumerate(classes_P)
        ]
        for _, right_PN, size_P in dropped_by("", world, network, photos, classes_P, kept_P):
            yield f"without {amount}, {method}", at(here_PN, right_PN), size_P


def at(here_PN: NDArray[np.bool_], right_PN: NDArray[np.float32]) -> NDArray[np.float32]:
    """Leave only what was answered for photos of the place."""
    return np.where(here_PN, right_PN, np.float32(np.nan))


def region_bits(folder: Path, planet: Planet) -> float:
    """Return the mutual information of expert and true region, in bits, mean of the layers."""
    network, config = load_checkpoint(folder)
    test = test_photos(planet, "planted")
    region_N = np.array(test.strings("region_id"))
    count_LER = np.stack(
        [tokens_of(network, config, test.where(region_N == r.name)) for r in REGIONS], axis=-1
    )
    share_LER = count_LER / count_LER.sum((1, 2), keepdims=True)
    apart_LER = share_LER.sum(2, keepdims=True) * share_LER.sum(1, keepdims=True)
    used_LER = share_LER > 0
    bits = share_LER[used_LER] * np.log2(share_LER[used_LER] / apart_LER[used_LER])
    return float(bits.sum() / len(count_LER))


def tokens_of(network, config, photos: Manifest) -> NDArray[np.int64]:
    """Count the tokens that go to each expert, shape (L, E)."""
    layers = expert_layers(network)
    count_LE = np.zeros((len(layers), EXPERTS), np.int64)
    with torch.no_grad(), traced(layers) as traces:
        for batch in loader(PlainPhotos(photos, config.classes, config.preprocessing), 32, 1):
            network(batch.pixels_B3HW.float() / 255)
            for count_E, trace in zip(count_LE, traces.values(), strict=True):
                count_E += np.bincount(trace.chosen_BPN.numpy().ravel(), minlength=EXPERTS)
    return count_LE


def comparisons() -> Iterator[tuple[str, str]]:
    """List what is compared: a lever, and what it must beat."""
    for g in GEOGRAPHIES:
        for network in NETWORKS:
            yield f"{g} {network}: head slice", f"{g} {network}: whole"
        for amount in LEFT_OUT:
            for network in NETWORKS:
                label = f"{g} {network}: without {amount}"
                for method in ("first-order", "frequency"):
                    yield f"{label}, {method}", f"{label}, random"
                    yield f"{label}, {method}", f"{label}, global"
        for treatment in ("whole", "head slice", *(f"without {a}, first-order" for a in LEFT_OUT)):
            for lever, control in (
                ("dense, any subset", "dense"),
                ("experts", "dense"),
                ("experts after location", "experts"),
                ("experts after strong location", "experts"),
                ("experts, any subset", "experts"),
            ):
                yield f"{g} {lever}: {treatment}", f"{g} {control}: {treatment}"


if __name__ == "__main__":
    main()
