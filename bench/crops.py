"""What are crops worth? The same frozen features of whole photos and of boxes around animals.

    homerange export detector zamba-2.7.2-py3-none-any.whl -o detector.onnx
    homerange predict wildlife/ --model any.homerange -o boxes.json --detector detector.onnx
    python bench/crops.py wildlife.parquet --boxes boxes.json

A logistic regression (one strength for all) learns the species from frozen features and is judged
on the photos of the part kept aside: three parts, three seeds, so that each labelled photo is
judged three times. Views: the whole photo; the surest box, squeezed into the square; that box
grown to a square and by a margin; and whole and square side by side. A photo without a sure enough
box is looked at whole in every view. The difference to the whole photo is paired by photo.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from linear_probe import encode
from PIL import Image
from record import write_record
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from homerange.data.images import read_rgb
from homerange.data.manifest import Manifest
from homerange.model.backbone import build_encoder
from homerange.run.detections import Detections
from homerange.run.sources import Photo
from homerange.train.teacher import open_teacher

Bbox = tuple[float, float, float, float]
STRENGTH = 0.01
PARTS = 3  # many species have three photos
SEEDS = (0, 1, 2)
RESAMPLES = 2000


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--boxes", type=Path, required=True, help="in MegaDetector's format")
    parser.add_argument("--threshold", type=float, default=0.2)
    parser.add_argument("--margin", type=float, default=0.15, help="on each side of the square")
    parser.add_argument("--student-px", type=int, default=160)
    parser.add_argument("--name", default="crops")
    arguments = parser.parse_args()
    manifest = Manifest.read(arguments.manifest)
    detections = Detections.open(arguments.boxes)
    names = manifest.strings("image")
    boxes = [best_box(detections, name, manifest.image_path(i)) for i, name in enumerate(names)]
    species = np.array([name or "" for name in manifest.strings("species")])
    labelled = np.flatnonzero((species != "") & (species != "blank"))
    counts = {name: int((species[labelled] == name).sum()) for name in set(species[labelled])}
    labelled = labelled[[counts[species[i]] >= PARTS for i in labelled]]
    boxed = [sure(boxes[i], arguments.threshold) for i in labelled]
    torch.manual_seed(0)
    models = [
        ("teacher lite0", 224, open_teacher("lite0").features),
        ("start weights", arguments.student_px, encode(build_encoder(start="shipped"))),
    ]
    results = {
        "photos": len(labelled),
        "species": len(set(species[labelled])),
        "photos_with_box": sum(box is not None for box in boxed),
        "blank_photos": int((species == "blank").sum()),
        "blank_photos_with_box": sum(
            sure(boxes[i], arguments.threshold) is not None
            for i in np.flatnonzero(species == "blank")
        ),
        "median_box_area": round(float(np.median([b[2] * b[3] for b in boxed if b])), 3),
        "models": {},
    }
    paths = [manifest.image_path(int(i)) for i in labelled]
    for name, px, features in models:
        views = features_of_views(paths, boxed, px, features, arguments.margin)
        results["models"][name] = {"px": px} | judge(views, species[labelled])
        print(name, results["models"][name], flush=True)
    write_record(
        arguments.name,
        "What are crops to a detector's boxes worth for a linear probe on frozen features?",
        results,
        seeds=SEEDS,
        parts=PARTS,
        strength=STRENGTH,
        threshold=arguments.threshold,
        margin=arguments.margin,
        detector=detections.name,
    )


def best_box(detections: Detections, name: str, path: Path) -> tuple[float, Bbox] | None:
    """Return confidence and box of the surest animal of a photo."""
    found = detections.find(Photo(name, path))
    return (found[0].confidence, found[0].bbox) if found else None


def sure(found: tuple[float, Bbox] | None, threshold: float) -> Bbox | None:
    """Return the box if it is sure enough."""
    return found[1] if found is not None and found[0] >= threshold else None


def features_of_views(
    paths: Sequence[Path],
    boxes: Sequence[Bbox | None],
    px: int,
    features: Callable[[torch.Tensor], torch.Tensor],
    margin: float,
) -> dict[str, np.ndarray]:
    """Compute the features of each view of each photo."""
    made: dict[str, list[np.ndarray]] = {"whole": [], "box": [], "square": []}
    for path, bbox in zip(paths, boxes, strict=True):
        whole = Image.fromarray(read_rgb(path))
        crops = [whole, whole, whole]
        if bbox is not None:
            crops = [whole, crop(whole, bbox), crop(whole, grown(bbox, whole.size, margin))]
        x_B3HW = torch.stack([pixels(one, px) for one in crops])
        with torch.no_grad():
            for name, row in zip(made, features(x_B3HW).numpy(), strict=True):
                made[name].append(row)
    stacked = {name: np.stack(rows) for name, rows in made.items()}
    beside = np.concatenate([stacked["whole"], stacked["square"]], axis=1)
    return stacked | {"whole and square": beside}


def grown(bbox: Bbox, size: tuple[int, int], margin: float) -> Bbox:
    """Grow a box to a square of pixels with a margin, moved and cut to stay inside the photo."""
    width, height = size
    side = max(bbox[2] * width, bbox[3] * height) * (1 + 2 * margin)
    made = []
    for start, extent, length in ((bbox[0], bbox[2], width), (bbox[1], bbox[3], height)):
        whole = min(side, length)
        middle = (start + extent / 2) * length
        made.append((min(max(middle - whole / 2, 0), length - whole) / length, whole / length))
    return made[0][0], made[1][0], made[0][1], made[1][1]


def crop(image: Image.Image, bbox: Bbox) -> Image.Image:
    """Cut a box out of a photo, at least one pixel of it."""
    left, top = int(bbox[0] * image.width), int(bbox[1] * image.height)
    right = max(left + 1, round((bbox[0] + bbox[2]) * image.width))
    bottom = max(top + 1, round((bbox[1] + bbox[3]) * image.height))
    return image.crop((left, top, right, bottom))


def pixels(image: Image.Image, px: int) -> torch.Tensor:
    """Squeeze a picture into the square of the network, (3, px, px) from 0 to 1."""
    square = np.array(image.resize((px, px), Image.Resampling.BICUBIC))
    return torch.from_numpy(square).permute(2, 0, 1).float() / 255


def judge(views: dict[str, np.ndarray], truth: np.ndarray) -> dict[str, object]:
    """Return top-1 and macro-F1 of each view, and its paired difference to the whole photo."""
    answers = {name: [out_of_part(x, truth, seed) for seed in SEEDS] for name, x in views.items()}
    right = {name: np.mean([a == truth for a in given], 0) for name, given in answers.items()}
    found = {}
    for name, given in answers.items():
        low, high = interval(right[name] - right["whole"])
        found[name] = {
            "top1": round(float(right[name].mean()), 4),
            "macro_f1": round(
                float(np.mean([f1_score(truth, a, average="macro") for a in given])), 4
            ),
            "more_than_whole": round(float((right[name] - right["whole"]).mean()), 4),
            "low": low,
            "high": high,
        }
    return found


def out_of_part(x: np.ndarray, truth: np.ndarray, seed: int) -> np.ndarray:
    """Answer each photo by a probe that did not see its part."""
    answers = np.empty_like(truth)
    for train, test in StratifiedKFold(PARTS, shuffle=True, random_state=seed).split(x, truth):
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=300))
        answers[test] = probe.fit(x[train], truth[train]).predict(x[test])
    return answers


def interval(difference: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the mean of paired differences, photos drawn anew."""
    draw = np.random.default_rng(0).integers(0, len(difference), (RESAMPLES, len(difference)))
    low, high = np.quantile(difference[draw].mean(axis=1), [0.025, 0.975])
    return round(float(low), 4), round(float(high), 4)


if __name__ == "__main__":
    main()
