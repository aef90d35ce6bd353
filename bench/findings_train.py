"""Train the networks that docs/findings.md compares: for each seed a dense one, then more from it.

    python bench/findings_train.py species115.parquet -o networks --seeds 0 1 2

Each seed trains one dense network with the recipe ``small-data``; from there the variants
below are trained on for the same epochs with the recipe ``small-experts``, the dense one too, so
that none of them has seen more photos than another. What is finished is not trained again; hours
on two cores. Then: bench/findings.py.
"""

import argparse
from pathlib import Path

from homerange.model.checkpoint import WEIGHTS, load_checkpoint
from homerange.train.config import TrainConfig
from homerange.train.dense import train_dense
from homerange.train.expert_config import ExpertConfig
from homerange.train.experts import train_experts
from homerange.train.stage import Stage, sha256_of, train_stage

ANY_SUBSET = ("place_dropout=1.0", "place_radius_km=500")
VARIANTS: dict[str, list[str]] = {
    "experts": ["tokens_max=20000"],
    "dense": [],
    "bottleneck": ["tokens_max=20000", "experts=0", "shared=2"],
    "random routing": ["tokens_max=20000", "routing=random"],
    "dense, any subset": [*ANY_SUBSET],
    "experts, any subset": ["tokens_max=20000", *ANY_SUBSET, "place_expert_share_min=0.25"],
    "dense, teacher": ["teacher=lite0", "teacher_weight=4.0", "views=1", "teacher_px=160"],
}
"""``bottleneck``: one MLP of an expert's width for all tokens, no router."""


def folder_of(variant: str) -> str:
    """Name the folder of a variant within that of its seed."""
    return variant.replace(",", "").replace(" ", "-")


def main() -> None:
    """Train what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument(
        "--epochs", type=int, nargs=2, default=[6, 1], help="dense, then each variant"
    )
    parser.add_argument("--set", dest="settings", action="append", default=[])
    arguments = parser.parse_args()
    dense_epochs, epochs = arguments.epochs
    for seed in arguments.seeds:
        settings = ["input_px=128", f"seed={seed}", *arguments.settings]
        base = arguments.output / f"seed{seed}" / "base"
        config = TrainConfig.read("small-data", [*settings, f"epochs={dense_epochs}"])
        if not (base / WEIGHTS).is_file():
            train_dense(arguments.manifest, base, config)
        for variant in arguments.variants:
            folder = base.parent / folder_of(variant)
            if (folder / WEIGHTS).is_file():
                continue
            own = [*settings, f"epochs={epochs}", *VARIANTS[variant]]
            config = ExpertConfig.read("small-experts", own)
            if variant.startswith("dense"):
                train_on(arguments.manifest, folder, config, base)
            else:
                train_experts(arguments.manifest, folder, config, from_checkpoint=base)


def train_on(manifest: Path, folder: Path, config: ExpertConfig, base: Path) -> None:
    """Train a dense network on, with the settings of the expert stage and no experts."""
    dense, facts = load_checkpoint(base)
    start = f"dense checkpoint sha256 {sha256_of(base / WEIGHTS)}"
    stage = Stage(classes=facts.classes, experts=None, start=start, build=lambda *_: dense.train())
    train_stage(manifest, folder, config, stage, resume=False)


if __name__ == "__main__":
    main()
