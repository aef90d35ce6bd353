"""The verb ``evaluate``: how right a checkpoint is on one split of a manifest."""

import json
from collections.abc import Callable
from pathlib import Path

from homerange.data.evaluation import Evaluation, summarise
from homerange.data.manifest import Manifest
from homerange.errors import CheckpointError, ManifestError
from homerange.model.checkpoint import WEIGHTS, CheckpointConfig, load_checkpoint
from homerange.model.network import SpeciesNetwork
from homerange.train.infer import infer

__all__ = ["evaluate"]


def evaluate(
    checkpoint: Path,
    manifest: Path,
    *,
    split: str = "test",
    build: Callable[[CheckpointConfig], SpeciesNetwork] = CheckpointConfig.network,
) -> Evaluation:
    """Measure a checkpoint on the labelled photos of one split; writes its ``metrics.json``.

    Args:
        checkpoint: Folder of the checkpoint.
        manifest: The manifest with splits.
        split: ``"train"``, ``"val"`` or ``"test"``.
        build: As for :func:`homerange.model.checkpoint.load_checkpoint`.

    Raises:
        CheckpointError: If the checkpoint has no class head.
        ManifestError: If the split holds no labelled photo.
    """
    network, config = load_checkpoint(checkpoint, build)
    if network.head is None:
        raise CheckpointError(
            f"{checkpoint}: an encoder without classes cannot be evaluated. Train it on labelled "
            f"photos first: homerange train dense MANIFEST --set start={checkpoint}/{WEIGHTS}"
        )
    everything = Manifest.read(manifest)
    photos = everything.split(split).labelled()
    if len(photos) == 0:
        raise ManifestError(f"{manifest}: no labelled photo in split {split}; nothing to evaluate")
    answers = infer(network, config, photos, title="evaluate")
    learnt = set(everything.split("train").strings("location_id"))
    evaluation = summarise(answers, photos, config.classes, split, train_cameras=learnt)
    text = json.dumps(evaluation.to_json(), indent=1, ensure_ascii=False)
    (checkpoint / "metrics.json").write_text(text + "\n")
    return evaluation
