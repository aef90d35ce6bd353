"""What do the tables about experts cost, and does the cheap score rank experts as the exact one?

    python bench/profile_cost.py CHECKPOINT MANIFEST WORLDS --exact 5

Publishes a checkpoint with experts as ``WORLDS/world`` and measures three things.

Time: ``expert_sums`` (tokens, edges and first-order scores of all experts) and ``exact_drops``
(every expert dropped in turn), in units of a plain pass over the same photos: the first validation
photos of each class, as many as are dropped for. All take turns, round by round, on one core, which
also decodes the photos; a pass that only decodes is measured too, so that it can be taken off.

Ranks: Spearman's correlation of the first-order score with the exact rise of the loss, over the
experts that some token visits: for all classes together, single classes, and random lists of
species. Twice: with scores of the photos that were dropped for, and with those of all validation
photos, which is what a place is cut by.

Bytes: of each table, for each class and photo, and what they would be for a world of the paper's
size. Writes ``bench/results/profile_cost.json``.

Axes used in this file:
    C  classes      L  layers with experts      E  experts of a layer      N  photos
"""

import argparse
import itertools
import os
import time
import warnings
from collections import Counter
from pathlib import Path
from statistics import median

import numpy as np
import torch
from record import spread, write_record
from scipy.stats import spearmanr

from homerange.data.manifest import Manifest
from homerange.model.checkpoint import load_checkpoint
from homerange.profile.drops import exact_drops
from homerange.profile.expert_sums import expert_sums
from homerange.profile.fold import fold_batch_norm
from homerange.profile.publish import publish
from homerange.train.dataset import PlainPhotos, loader
from homerange.train.infer import infer
from homerange.world.expert_tables import Drops, Edges, Routing
from homerange.world.tables import Evidence, Profile
from homerange.world.world import World, open_world

CLASSES, EXPERTS = 5089, 256
PHOTOS_PER_CLASS = 20
"""Judged photos of a class in a world of the paper's size: iNaturalist 2017 has 95,986 for 5,089
classes in its validation set, 18.9 each."""
LISTS, LIST_SPECIES = 20, 20
"""Random lists of species, and how many each has."""
ALL_FILES = "weights.safetensors", "graph.onnx"
PER_PHOTO = Profile.file, Evidence.file
PER_PHOTO_AND_EXPERT = Routing.file, Edges.file
FORMULAS = {
    "profile, evidence": f"bytes / photos x {PHOTOS_PER_CLASS} x {CLASSES}",
    "routing, edges": f"bytes / photos x {PHOTOS_PER_CLASS} x {CLASSES} x {EXPERTS} / experts; "
    "too many, because photos of a class share rows",
    "drops": f"bytes / classes x {CLASSES} x ({EXPERTS} + 1) / (experts + 1), as many photos of "
    "each class as here",
    "weights": f"bytes + 4 x ({CLASSES} - classes) x (features + 1), the same experts",
}


def main() -> None:
    """Publish, measure, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("worlds", type=Path, help="folder that the world is published into")
    parser.add_argument("--exact", type=int, default=5, help="photos a class for exact drops")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--licence", help="of photos that state none")
    arguments = parser.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a plain pass would take a GPU, the others would not
    torch.set_num_threads(1)
    folder = arguments.worlds / "world"
    publish(
        arguments.checkpoint, arguments.manifest, folder,
        licence=arguments.licence, exact=arguments.exact,
    )  # fmt: skip
    world = open_world(folder)
    validation = Manifest.read(arguments.manifest).labelled().split("val")
    photos = validation.where(first_of_each(validation, arguments.exact))
    seconds, same_photos = measure_time(arguments, photos)
    published = Routing.read(folder, "split = 'val'")
    path = write_record(
        "profile_cost",
        "What do the tables about experts cost in time and bytes, and does the first-order score "
        "rank experts as exact drops do?",
        {
            "time": seconds,
            "rank_correlation": {
                "scores_of_the_same_photos": rank_correlations(world, same_photos),
                "scores_of_all_validation_photos": rank_correlations(world, published),
            },
            "bytes": count_bytes(world),
        },
        rounds=arguments.rounds,
        threads=1,
        seed=0,
        exact=arguments.exact,
        photos_timed=len(photos),
        validation_photos=len(validation),
        input_px=world.preprocessing.input_px,
        classes=len(world.labels),
        experts={layer.layer: layer.experts for layer in world.graph.experts},
        drop_rule=world.graph.drop_rule,
    )
    print(path.read_text())


def first_of_each(photos: Manifest, number: int):
    """Mark the first photos of each class, those that exact drops take, shape (N,)."""
    seen: Counter[str | None] = Counter()
    mask_N = np.zeros(len(photos), bool)
    for row, name in enumerate(photos.strings("species")):
        mask_N[row] = seen[name] < number
        seen[name] += 1
    return mask_N


def measure_time(arguments: argparse.Namespace, photos: Manifest) -> tuple[dict, Routing]:
    """Time all passes in turn; return their times and the routing of these photos."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        warnings.filterwarnings("ignore", "This DataLoader will create 2 worker processes")
    network, config = load_checkpoint(arguments.checkpoint)
    network = fold_batch_norm(network)
    plain = PlainPhotos(photos, config.classes, config.preprocessing)
    runs = {
        "decoding": lambda: sum(len(batch) for batch in loader(plain, workers=2)),
        "plain pass": lambda: infer(network, config, photos, title="plain"),
        "expert_sums": lambda: expert_sums(network, config, photos),
        "exact_drops": lambda: exact_drops(
            network, config, photos, photos_per_class=arguments.exact
        ),
    }
    runs["plain pass"]()  # warms up the file cache
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _, (name, run) in itertools.product(range(arguments.rounds), runs.items()):
        start = time.perf_counter()
        found = run()
        times[name].append(time.perf_counter() - start)
        if name == "expert_sums":
            routing = found[0]
    return {
        "seconds": {name: spread(values) for name, values in times.items()},
        "in_plain_passes": in_plain_passes(times, np.zeros(arguments.rounds)),
        "in_plain_passes_without_decoding": in_plain_passes(times, np.array(times["decoding"])),
    }, routing


def in_plain_passes(times: dict[str, list[float]], less) -> dict:
    """Divide times by that of the plain pass of their round, ``less`` taken off both."""
    unit = np.array(times["plain pass"]) - less
    names = ("expert_sums", "exact_drops")
    return {name: spread(((np.array(times[name]) - less) / unit).tolist()) for name in names}


def rank_correlations(world: World, routing: Routing) -> dict:
    """Compare first-order scores with exact drops, for all classes, each class, and lists."""
    drops = Drops.read(world.path)
    score_CLE = by_expert(world, routing, routing.loss_rise)
    tokens_CLE = by_expert(world, routing, routing.tokens)
    whole = drops.layer < 0
    loss_C = np.bincount(
        drops.class_index[whole], weights=drops.loss_sum[whole], minlength=len(world.labels)
    )
    rise_CLE = by_expert(world, drops, drops.loss_sum) - loss_C[:, None, None]
    known_C = np.bincount(drops.class_index[whole], minlength=len(world.labels)) > 0
    is_species_C = ~np.isin(world.labels, world.outcomes)
    species = np.flatnonzero(known_C & is_species_C)
    generator = np.random.default_rng(0)
    size = min(LIST_SPECIES, len(species))
    groups = {
        "single classes": [np.array([c]) for c in np.flatnonzero(known_C)],
        f"{LISTS} random lists of {size} species": [
            generator.choice(species, size, replace=False) for _ in range(LISTS)
        ],
    }

    def correlate(class_index) -> dict[str, float]:
        """Return the correlation over all experts and over those of each layer."""
        score_LE, tokens_LE, rise_LE = (
            values_CLE[class_index].sum(axis=0) for values_CLE in (score_CLE, tokens_CLE, rise_CLE)
        )
        used_LE = tokens_LE > 0
        found = {"overall": spearman(score_LE[used_LE], rise_LE[used_LE])}
        for row, layer in enumerate(world.graph.experts):
            used_E = used_LE[row]
            found[f"layer {layer.layer}"] = spearman(score_LE[row, used_E], rise_LE[row, used_E])
        return found

    return {"all classes": correlate(np.flatnonzero(known_C))} | {
        name: medians([correlate(group) for group in several]) for name, several in groups.items()
    }


def by_expert(world: World, table: Routing | Drops, value_N):
    """Add up a column of a table by class, layer and expert, shape (C, L, E)."""
    layers = [layer.layer for layer in world.graph.experts]
    experts = max(layer.experts for layer in world.graph.experts)
    sum_CLE = np.zeros((len(world.labels), len(layers), experts))
    own_N = table.layer >= 0
    row_N = np.searchsorted(layers, table.layer[own_N])
    np.add.at(sum_CLE, (table.class_index[own_N], row_N, table.expert[own_N]), value_N[own_N])
    return sum_CLE


def spearman(score, rise) -> float | None:
    """Return the rank correlation; none for fewer than three experts or where all are equal."""
    if len(score) < 3 or np.ptp(score) == 0 or np.ptp(rise) == 0:
        return None
    return round(float(spearmanr(score, rise).statistic), 4)


def medians(rows: list[dict]) -> dict:
    """Summarise the correlations of several groups, those left out that have none."""
    kept = {key: [row[key] for row in rows if row[key] is not None] for key in rows[0]}
    overall = spread(kept["overall"]) if kept["overall"] else None
    return {key: round(median(values), 4) for key, values in kept.items() if values} | {
        "spread_of_overall": overall
    }


def count_bytes(world: World) -> dict:
    """Weigh the files of a world, and what they would weigh in a world of the paper's size."""
    drops, profile = Drops.read(world.path), Profile.read(world.path)
    photos, classes = int(profile.photos.sum()), len(world.labels)
    experts = sum(layer.experts for layer in world.graph.experts)
    size = {name: stored.bytes for name, stored in world.files.items()}
    large = {
        name: size[name] / photos * PHOTOS_PER_CLASS * CLASSES
        for name in (*PER_PHOTO, *PER_PHOTO_AND_EXPERT)
    }
    for name in PER_PHOTO_AND_EXPERT:
        large[name] *= EXPERTS / experts
    dropped = len(np.unique(drops.class_index))
    large[Drops.file] = size[Drops.file] / dropped * CLASSES * (EXPERTS + 1) / (experts + 1)
    rows = CLASSES - classes
    features = world.description.architecture.feature_size
    large["weights.safetensors"] = size["weights.safetensors"] + 4 * rows * (features + 1)
    return {
        "photos": photos,
        "photos_of_drops": int(drops.photos[drops.layer < 0].sum()),
        "classes": classes,
        "classes_with_drops": dropped,
        "experts": experts,
        "files": {
            name: {
                "bytes": size[name],
                "per_class": round(size[name] / classes, 1),
                "per_photo": round(size[name] / photos, 1),
                "of_a_large_world": round(large[name]) if name in large else None,
            }
            for name in (*ALL_FILES, *PER_PHOTO, *PER_PHOTO_AND_EXPERT, Drops.file)
        },
        "large_world": {
            "classes": CLASSES,
            "experts": EXPERTS,
            "judged_photos_per_class": PHOTOS_PER_CLASS,
            "formulas": FORMULAS,
        },
    }


if __name__ == "__main__":
    main()
