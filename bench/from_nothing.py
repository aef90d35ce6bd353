"""What are the start weights worth? The same recipe from them and from nothing.

    python bench/from_nothing.py wildlife.parquet --seeds 0 1 2

Each seed trains twice with the recipe ``small-data``; test photos are the same for all. Reported:
top-1 of each run, and the paired difference over photos and seeds with a bootstrap interval.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from record import write_record

from homerange.data.manifest import Manifest
from homerange.data.metrics import chance, in_top, majority
from homerange.model.checkpoint import load_checkpoint
from homerange.train.config import TrainConfig
from homerange.train.dense import train_dense
from homerange.train.infer import infer


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--name", default="from_nothing")
    arguments = parser.parse_args()
    photos = Manifest.read(arguments.manifest).split("test").labelled()
    right: dict[str, list[np.ndarray]] = {"shipped": [], "none": []}
    classes = 0
    for seed in arguments.seeds:
        for start in right:
            settings = [*arguments.settings, f"seed={seed}", f"start={start}"]
            config = TrainConfig.read("small-data", settings)
            with tempfile.TemporaryDirectory() as folder:
                train_dense(arguments.manifest, Path(folder) / "checkpoint", config)
                network, facts = load_checkpoint(Path(folder) / "checkpoint")
            answers = infer(network, facts, photos, title="test")
            known_N = answers.class_N >= 0
            hits_N = np.zeros(len(answers.class_N), dtype=bool)
            hits_N[known_N] = in_top(answers.logits_NC[known_N], answers.class_N[known_N], 1)
            right[start].append(hits_N)
            classes = len(facts.classes)
            print(seed, start, hits_N.mean().round(4), flush=True)
    shipped, nothing = (np.array(right[start], dtype=float) for start in ("shipped", "none"))
    results = {
        "test_photos": len(photos),
        "classes": classes,
        "chance": chance(classes),
        "majority": majority(photos.strings("species")),
        "top1_from_start_weights": shipped.mean(axis=1).round(4).tolist(),
        "top1_from_nothing": nothing.mean(axis=1).round(4).tolist(),
        "difference": round(float((shipped - nothing).mean()), 4),
        "difference_95": bootstrap(shipped - nothing),
    }
    print(results)
    write_record(
        arguments.name,
        "What are the start weights worth, against training from nothing?",
        results,
        seeds=arguments.seeds,
        manifest=arguments.manifest.name,
        settings=arguments.settings,
    )


def bootstrap(difference_SN: np.ndarray, draws: int = 10_000) -> list[float]:
    """Return the 95 % interval of the mean, drawing seeds and photos with replacement."""
    generator = np.random.default_rng(0)
    seeds, photos = difference_SN.shape
    means = [
        difference_SN[generator.integers(0, seeds, seeds)][
            :, generator.integers(0, photos, photos)
        ].mean()
        for _ in range(draws)
    ]
    return [round(float(end), 4) for end in np.percentile(means, [2.5, 97.5])]


if __name__ == "__main__":
    main()
