"""Is the routing map a free animal finder? Popular experts may be background, rare ones the animal.

    python bench/routing_finder.py wildlife.parquet --boxes boxes.json --checkpoints a b c

Each photo gets a map of how rare the experts of its patches are: minus the logarithm of the part of
all patches (of all photos, or of this photo) that the expert takes, averaged over the expert layers
and smoothed over 3 x 3 patches. The highest point is right if it lies in a box of a detector that
is sure (the pointing game of Zhang et al., 2016). Controls that cost nothing either: the middle of
the photo, the point of the strongest features of the last layer, and a random point.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from record import spread, write_record

from homerange.data.manifest import Manifest
from homerange.model.checkpoint import load_checkpoint
from homerange.profile.expert_sums import expert_layers
from homerange.profile.routing import on_the_map, traced
from homerange.run.detections import Detections
from homerange.run.sources import Photo
from homerange.train.dataset import PlainPhotos, loader

SURE = 0.5
RESAMPLES = 2000


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--boxes", type=Path, required=True, help="in MegaDetector's format")
    parser.add_argument("--checkpoints", type=Path, nargs="+", required=True, help="one a seed")
    parser.add_argument("--name", default="routing_finder")
    arguments = parser.parse_args()
    manifest, boxes = with_boxes(Manifest.read(arguments.manifest), arguments.boxes)
    area = [union_area(of_photo) for of_photo in boxes]
    hits: dict[str, list[np.ndarray]] = {}
    for checkpoint in arguments.checkpoints:
        for name, point_N2 in points(checkpoint, manifest).items():
            hits.setdefault(name, []).append(hit(point_N2, boxes))
    middle_N = hits["middle of the photo"][0]
    results = {
        "photos": len(boxes),
        "random_point": round(float(np.mean(area)), 4),
        "pointing": {
            name: {
                "accuracy": round(float(np.mean(seeds)), 4),
                "by_seed": [round(float(one.mean()), 4) for one in seeds],
                "more_than_middle": interval(np.mean(seeds, axis=0) - middle_N),
            }
            for name, seeds in hits.items()
        },
        "box_area": spread(area),
    }
    print(results)
    write_record(
        arguments.name,
        "Does the patch whose expert is rarest lie on the animal?",
        results,
        checkpoints=len(arguments.checkpoints),
        sure=SURE,
        boxes="of a detector, not of people",
    )


def with_boxes(manifest: Manifest, path: Path) -> tuple[Manifest, list[np.ndarray]]:
    """Keep the photos with a sure box; return their boxes as left, top, right, bottom (K, 4)."""
    detections = Detections.open(path)
    found = []
    for row, name in enumerate(manifest.strings("image")):
        sure = [
            (*one.bbox[:2], one.bbox[0] + one.bbox[2], one.bbox[1] + one.bbox[3])
            for one in detections.find(Photo(name, manifest.image_path(row)))
            if one.confidence >= SURE
        ]
        found.append(np.array(sure, float).reshape(-1, 4))
    kept = np.array([len(one) > 0 for one in found])
    return manifest.where(kept), [one for one in found if len(one)]


def points(checkpoint: Path, manifest: Manifest) -> dict[str, np.ndarray]:
    """Return for each method the point that it names in each photo, x and y from 0 to 1."""
    network, config = load_checkpoint(checkpoint)
    network.eval()
    layers = expert_layers(network)
    chosen = {number: [] for number in layers}
    strong = []
    photos = PlainPhotos(manifest, (), config.preprocessing)
    with traced(layers) as traces, torch.no_grad():
        for batch in loader(photos, workers=0):
            map_BDHW = network.maps(batch.pixels_B3HW.float() / 255)
            strong.append(map_BDHW.norm(dim=1).numpy())
            for number, trace in traces.items():
                rows = int(trace.chosen_BPN.shape[2] ** 0.5)
                chosen[number].append(on_the_map(trace.chosen_BPN, rows))
    maps = {number: np.concatenate(parts) for number, parts in chosen.items()}
    in_world = np.mean([smooth(rarity(m, of_photo=False)) for m in stretched(maps)], axis=0)
    in_photo = np.mean([smooth(rarity(m, of_photo=True)) for m in stretched(maps)], axis=0)
    last = smooth(rarity(maps[max(maps)], of_photo=False))
    return {
        "rarest expert of all photos": highest(in_world),
        "rarest expert of this photo": highest(in_photo),
        "rarest expert of all photos, last layer": highest(last),
        "strongest features": highest(np.concatenate(strong)),
        "middle of the photo": np.full((len(in_world), 2), 0.5),
    }


def stretched(maps: dict[int, np.ndarray]) -> list[np.ndarray]:
    """Bring the maps (N, H, W) of all layers to the size of the finest, which theirs divide."""
    side = max(m.shape[1] for m in maps.values())
    index = {m.shape[1]: np.arange(side) * m.shape[1] // side for m in maps.values()}
    return [m[:, index[m.shape[1]]][:, :, index[m.shape[1]]] for m in maps.values()]


def rarity(map_NHW: np.ndarray, *, of_photo: bool) -> np.ndarray:
    """Return minus the logarithm of the share of each patch's expert."""
    groups = list(map_NHW) if of_photo else [map_NHW]
    made = []
    for group in groups:
        counts = np.bincount(group.ravel())
        made.append(-np.log(counts[group] / group.size))
    return np.stack(made) if of_photo else made[0]


def smooth(map_NHW: np.ndarray) -> np.ndarray:
    """Average over 3 x 3 patches, fewer at the edges."""
    height, width = map_NHW.shape[1:]
    padded = np.pad(map_NHW, ((0, 0), (1, 1), (1, 1)))
    ones = np.pad(np.ones((height, width)), 1)
    shifts = [(row, column) for row in range(3) for column in range(3)]
    total = sum(padded[:, r : r + height, c : c + width] for r, c in shifts)
    return total / sum(ones[r : r + height, c : c + width] for r, c in shifts)


def highest(map_NHW: np.ndarray) -> np.ndarray:
    """Return the middle of the highest patch of each map, x and y from 0 to 1, shape (N, 2)."""
    height, width = map_NHW.shape[1:]
    row, column = np.divmod(map_NHW.reshape(len(map_NHW), -1).argmax(axis=1), width)
    return np.stack([(column + 0.5) / width, (row + 0.5) / height], axis=1)


def hit(point_N2: np.ndarray, boxes: list[np.ndarray]) -> np.ndarray:
    """Say for each photo whether the point lies in one of its boxes."""
    return np.array(
        [
            ((b[:, :2] <= p).all(axis=1) & (p <= b[:, 2:]).all(axis=1)).any()
            for p, b in zip(point_N2, boxes, strict=True)
        ],
        float,
    )


def union_area(boxes_K4: np.ndarray, side: int = 200) -> float:
    """Return the share of a photo that its boxes cover together."""
    middle = (np.arange(side) + 0.5) / side
    covered = np.zeros((side, side), bool)
    for left, top, right, bottom in boxes_K4:
        inside = [(middle >= a) & (middle <= b) for a, b in ((top, bottom), (left, right))]
        covered |= np.outer(*inside)
    return float(covered.mean())


def interval(difference: np.ndarray) -> list[float]:
    """Return mean and 95 % interval of paired differences, photos drawn anew."""
    draw = np.random.default_rng(0).integers(0, len(difference), (RESAMPLES, len(difference)))
    low, high = np.quantile(difference[draw].mean(axis=1), [0.025, 0.975])
    return [round(float(x), 4) for x in (difference.mean(), low, high)]


if __name__ == "__main__":
    main()
