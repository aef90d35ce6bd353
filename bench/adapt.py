"""Do a user's corrections make the model of a place better, and does the verb notice when not?

    python bench/adapt.py species115.parquet networks --seeds 0 1 2

Judges the dense networks of bench/findings_train.py, published as ``world`` in their folders. A
place is a list of species, found as in bench/findings.py, with at least 10 species. Its corrections
are the validation photos of its species, in a random order that stands for their times; it is
judged on the test photos of its species, wherever taken. Four cases:

- as they are: corrections and judged photos look like those of the training;
- at night: both are made grey and darker, which the network never saw. That is drawn, no camera;
- as they are, a species added: the package lacks one species of the place, and learns it;
- as they are, one in ten wrong: so many corrections name another species of the place.

By the rule of the findings adapting pays iff the lower end of the 95 % interval of the paired
difference is above 0 (seeds, places and photos drawn again); bytes do not change. Writes
``bench/results/adapt.json``.

Axes used in this file:
    S  seeds      P  places      N  test photos      M  corrections      D  features     K  classes
"""

import argparse
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from findings import bootstrap, choose_places, describe
from numpy.typing import NDArray
from record import spread, write_record

from homerange.data.images import prepare
from homerange.data.manifest import Manifest
from homerange.specialize.adapt.refit import Rows, newest_third, refit, teach
from homerange.specialize.last_layer import find_last_layer
from homerange.world.tables import Evidence
from homerange.world.weights import read_tensor
from homerange.world.world import World, open_world

SPECIES_MIN = 10
WRONG = 0.1
CASES = ("as they are", "at night", "as they are, a species added", "as they are, one in ten wrong")
HOW = ("as it was", "judged rows", "judged rows or refused", "all photos or refused")


@dataclass(frozen=True, eq=False)
class Photos:
    """Features and classes of validation or test photos."""

    feature_ND: NDArray[np.float32]
    class_N: NDArray[np.int64]


@dataclass
class Found:
    """Right answers of each way to adapt in one case; NaN where a photo is not judged."""

    hit: dict[str, NDArray[np.float32]]
    new: dict[str, list[float]] = field(default_factory=dict)
    refused: int = 0
    spreads: Counter = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


def main() -> None:
    """Adapt at every place, judge, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("networks", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--places", type=int, default=20)
    arguments = parser.parse_args()
    manifest = Manifest.read(arguments.manifest).labelled()
    worlds = [open_world(arguments.networks / f"seed{s}" / "dense/world") for s in arguments.seeds]
    test = manifest.split("test")
    places = choose_places(worlds[0], test, arguments.places, species_min=SPECIES_MIN)
    pixels = {split: night(manifest.split(split), worlds[0]) for split in ("val", "test")}
    shape = (len(worlds), len(places), len(test))
    found = {
        case: Found({how: np.full(shape, np.nan, np.float32) for how in HOW}) for case in CASES
    }
    for row, world in enumerate(worlds):
        day = {split: of_evidence(world, split) for split in pixels}
        dark = {split: at_night(world, pixels[split], day[split]) for split in pixels}
        for case in CASES:
            photos = dark if case == "at night" else day
            for column, (_, classes) in enumerate(places):
                at_place(world, photos, classes, case, found[case], row, column)
        print(world.path, {case: summary(one)["refused"] for case, one in found.items()})
    results = {case: summary(one) for case, one in found.items()}
    print(markdown(results))
    write_record(
        "adapt",
        "Do corrections make the model of a place better, and is a worse one refused?",
        results | {"places": [describe(place, classes) for place, classes in places]},
        seeds=arguments.seeds,
        manifest=arguments.manifest.name,
        test_photos=len(test),
        threads=1,
    )


def of_evidence(world: World, split: str) -> Photos:
    """Read the features of photos that the world was judged by."""
    photos = Evidence.read(world.path, f"split = '{split}'")
    return Photos(photos.feature.astype(np.float32), photos.class_index.astype(np.int64))


def night(photos: Manifest, world: World) -> NDArray[np.uint8]:
    """Prepare photos, then make them grey and darker; shape (N, px, px, 3)."""
    prepared = [prepare(photos.image_path(i), world.preprocessing) for i in range(len(photos))]
    grey_NHW = np.stack(prepared) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.repeat((0.5 * grey_NHW).astype(np.uint8)[..., None], 3, axis=-1)


def at_night(world: World, rgb_NHW3: NDArray[np.uint8], day: Photos) -> Photos:
    """Run the dark photos up to the class rows; they are in the order of the evidence."""
    model = onnx.load(world.graph_path)
    last = find_last_layer(model, world.graph.output)
    model.graph.output.append(onnx.helper.make_tensor_value_info(last.features, 1, None))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options)
    parts = [
        session.run([last.features], {world.graph.input: rgb_NHW3[i : i + 8]})[0]
        for i in range(0, len(rgb_NHW3), 8)
    ]
    return Photos(np.concatenate(parts), day.class_N)


def at_place(
    world: World,
    photos: dict[str, Photos],
    classes: NDArray[np.integer],
    case: str,
    found: Found,
    row: int,
    column: int,
) -> None:
    """Adapt the package of one place in one case, and mark what it answers rightly."""
    generator = np.random.default_rng([row, column])
    val, test = photos["val"], photos["test"]
    order_M = generator.permutation(np.flatnonzero(np.isin(val.class_N, classes)))
    feature_MD = val.feature_ND[order_M]
    class_M = np.searchsorted(classes, val.class_N[order_M])
    rows = rows_of(world, classes)
    new = int(generator.integers(len(classes))) if "added" in case else None
    if new is not None:
        rows, class_M, classes = without(rows, class_M, classes, new)
    if "wrong" in case:
        wrong_M = generator.random(len(class_M)) < WRONG
        class_M = np.where(wrong_M, generator.integers(0, len(classes), len(class_M)), class_M)
    start = time.perf_counter()
    newest_M = newest_third(len(class_M))
    added = 0 if new is None else 1
    taught = teach(rows, feature_MD, class_M, newest_M, new=added)
    found.seconds.append(time.perf_counter() - start)
    truth_M = class_M[newest_M]
    before, after = taught.answer_before_M == truth_M, taught.answer_after_M == truth_M
    refused = after.sum() < before.sum()
    found.refused += int(refused)
    found.spreads[str(taught.spread)] += 1
    heads = {
        "as it was": rows,
        "judged rows": taught.rows,
        "judged rows or refused": rows if refused else taught.rows,
        "all photos or refused": rows,
    }
    if not refused:
        everything = refit(rows.with_new(added), feature_MD, class_M, spread=taught.spread)
        heads["all photos or refused"] = everything
    judged = np.isin(test.class_N, classes)
    for how, head in heads.items():
        answer_N = classes[head.answer(test.feature_ND[judged])]
        hit_N = (answer_N == test.class_N[judged]).astype(np.float32)
        found.hit[how][row, column, judged] = hit_N
        if new is not None:
            is_new_N = test.class_N[judged] == classes[-1]
            found.new.setdefault(f"{how}: the new species", []).append(
                float(hit_N[is_new_N].mean())
            )
            found.new.setdefault(f"{how}: the others", []).append(float(hit_N[~is_new_N].mean()))


def rows_of(world: World, classes: NDArray[np.integer]) -> Rows:
    """Cut the class rows of a world."""
    weight_CD = np.asarray(read_tensor(world.weights_path, world.graph.class_weight))
    bias_C = np.asarray(read_tensor(world.weights_path, world.graph.class_bias))
    return Rows(weight_CD[classes], bias_C[classes])


def without(rows, class_M, classes, new):
    """Take the row of one species out of a package; its corrections then name the last class."""
    order = np.array([i for i in range(len(classes)) if i != new] + [new])
    fewer = Rows(rows.weight_CD[order[:-1]], rows.bias_C[order[:-1]])
    return fewer, np.argsort(order)[class_M], classes[order]


def summary(found: Found) -> dict:
    """Give accuracy by way to adapt, and the paired differences to the package as it was."""
    before_SPN = found.hit["as it was"]
    differences = {}
    for how in HOW[1:]:
        low, high = bootstrap(found.hit[how] - before_SPN)
        differences[how] = {
            "difference": round(float(np.nanmean(found.hit[how] - before_SPN)), 4),
            "difference_95": [low, high],
            "pays": low > 0,
        }
    more = found.hit["all photos or refused"] - found.hit["judged rows or refused"]
    low, high = bootstrap(more)
    differences["all photos, against judged rows"] = {
        "difference": round(float(np.nanmean(more)), 4),
        "difference_95": [low, high],
        "pays": low > 0,
    }
    return {
        "top1": {how: round(float(np.nanmean(hit)), 4) for how, hit in found.hit.items()},
        "differences": differences,
        "added": {name: round(float(np.mean(values)), 4) for name, values in found.new.items()},
        "packages": len(found.seconds),
        "refused": found.refused,
        "spreads": dict(sorted(found.spreads.items())),
        "seconds": spread(found.seconds) if found.seconds else {},
    }


def markdown(results: dict) -> str:
    """Write the table of docs/adopt.md."""
    lines = [
        "| corrections | as it was | adapted | difference (95 %) | pays | refused |",
        "|---|---:|---:|---|---|---:|",
    ]
    for case, one in results.items():
        how = "all photos or refused"  # what the verb does
        told = one["differences"][how]
        low, high = told["difference_95"]
        lines.append(
            f"| {case} | {one['top1']['as it was']:.3f} | {one['top1'][how]:.3f} | "
            f"{told['difference']:+.3f} ({low:+.3f} to {high:+.3f}) | "
            f"{'**yes**' if told['pays'] else 'no'} | {one['refused']} of {one['packages']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
