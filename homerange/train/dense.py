"""Step i of the paper: train the dense network on a manifest, with labels, a teacher or both."""

from collections.abc import Callable
from pathlib import Path

from homerange.data.manifest import Manifest
from homerange.model.backbone import SHIPPED_START
from homerange.model.network import SpeciesNetwork, build_network
from homerange.train.config import TrainConfig
from homerange.train.stage import Stage, Trained, sha256_of, train_stage

__all__ = ["starts_dense", "train_dense"]


def train_dense(
    manifest: Path, output: Path, config: TrainConfig, *, resume: bool = False
) -> Trained:
    """Train a dense world network and write a checkpoint.

    Args:
        manifest: A manifest with splits; ``train`` is learnt from, ``val`` selects the epoch.
        output: Folder of the checkpoint; made if absent.
        config: The recipe.
        resume: Go on from the last saved state in ``output``.

    Raises:
        ManifestError, CheckpointError, ConfigError: As :func:`homerange.train.stage.train_stage`.
    """
    start = config.start
    if start == "shipped":
        start = f"shipped {SHIPPED_START.name} sha256 {sha256_of(SHIPPED_START)}"
    stage = Stage(classes=None, experts=None, start=start, build=starts_dense(config))
    return train_stage(manifest, output, config, stage, resume=resume)


def starts_dense(config: TrainConfig) -> Callable[[tuple[str, ...], Manifest], SpeciesNetwork]:
    """Return what builds the dense network of a recipe, its encoder started as the recipe says."""

    def build(classes: tuple[str, ...], _: Manifest) -> SpeciesNetwork:
        """Start the encoder, and a head for the classes."""
        return build_network(
            classes=len(classes),
            backbone=config.backbone,
            head=config.head,
            dropout=config.head_dropout,
            start=config.start,
        )

    return build
