"""How close does the student come to its teacher? A linear classifier on frozen features.

    python bench/linear_probe.py wildlife.parquet species115.parquet --encoder start.safetensors

For each manifest a logistic regression (C chosen on val) is fitted to the features of the train
photos and judged on the test photos, which neither the probe nor the student's training saw. Rows:
the teacher, the student, and the student's network with random weights.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from record import write_record
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from homerange.data.images import Preprocessing
from homerange.data.manifest import Manifest
from homerange.data.metrics import wilson_interval
from homerange.model.backbone import build_encoder
from homerange.train.dataset import PlainPhotos, loader
from homerange.train.teacher import open_teacher

STRENGTHS = (0.001, 0.01, 0.1, 1.0)


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--encoder", required=True, help="start weights, or 'shipped'")
    parser.add_argument("--teacher", default="lite0")
    parser.add_argument("--teacher-px", type=int, default=224)
    parser.add_argument("--student-px", type=int, nargs="+", default=[128, 160, 192])
    parser.add_argument("--name", default="linear_probe")
    arguments = parser.parse_args()
    teacher = open_teacher(arguments.teacher)
    models = [("teacher " + arguments.teacher, arguments.teacher_px, teacher.features)]
    for px in arguments.student_px:
        models.append(("student", px, encode(build_encoder(start=arguments.encoder))))
    torch.manual_seed(0)
    models.append(("random weights", arguments.student_px[-1], encode(build_encoder())))
    results = []
    for path in arguments.manifests:
        for name, px, features in models:
            results.append(
                {"manifest": path.stem, "model": name, "px": px} | probe(path, px, features)
            )
            print(results[-1], flush=True)
    write_record(arguments.name, "How close does the student come to its teacher?", results, seed=0)


def encode(encoder: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the features of an encoder in evaluation mode."""
    encoder.eval()

    def features(x_B3HW: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return encoder(x_B3HW)

    return features


def probe(path: Path, px: int, features: Callable[[torch.Tensor], torch.Tensor]) -> dict:
    """Fit on train, choose the strength on val, judge on test."""
    manifest = Manifest.read(path).labelled()
    x, y, split = [], [], []
    photos = PlainPhotos(manifest, (), Preprocessing(input_px=px, fit="squash"))
    names = np.array(manifest.strings("species"))
    splits = np.array(manifest.strings("split"))
    for batch in loader(photos, workers=2):
        x.append(features(batch.pixels_B3HW.float() / 255).numpy())
        y.append(names[batch.photo_B.numpy()])
        split.append(splits[batch.photo_B.numpy()])
    x, y, split = np.concatenate(x), np.concatenate(y), np.concatenate(split)
    x = StandardScaler().fit(x[split == "train"]).transform(x)
    fitted = [
        LogisticRegression(C=c, max_iter=300).fit(x[split == "train"], y[split == "train"])
        for c in STRENGTHS
    ]
    best = max(fitted, key=lambda model: model.score(x[split == "val"], y[split == "val"]))
    right = int((best.predict(x[split == "test"]) == y[split == "test"]).sum())
    total = int((split == "test").sum())
    low, high = wilson_interval(right, total)
    return {
        "species": len(set(y)),
        "test_photos": total,
        "top1": round(right / total, 4),
        "low": round(low, 4),
        "high": round(high, 4),
    }


if __name__ == "__main__":
    main()
