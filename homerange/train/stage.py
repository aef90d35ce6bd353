"""What the stages of training share: photos, classes and teacher in, a checkpoint out.

A stage (dense, location, experts) says which network it starts from and what the checkpoint should
tell of it; the loop, the teacher, resume and the checks before anything is written are the same.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np
from lightning.fabric import Fabric

from homerange.data.answers import Unreadable
from homerange.data.manifest import Manifest
from homerange.data.names import OUTCOMES
from homerange.errors import CheckpointError, ConfigError, ManifestError
from homerange.model.checkpoint import WEIGHTS, CheckpointConfig, read_config
from homerange.model.experts import ExpertSpec
from homerange.model.network import SpeciesNetwork
from homerange.train.augment import seeded
from homerange.train.config import TrainConfig
from homerange.train.contrast import LocationLoss
from homerange.train.dataset import PlainPhotos, TrainingPhotos
from homerange.train.engine import make_fabric
from homerange.train.learner import Learner
from homerange.train.loop import TrainingData, fit
from homerange.train.places import TrainingPlaces
from homerange.train.state import check_output
from homerange.train.teacher import TeacherFeatures, teacher_features

__all__ = ["Fit", "Stage", "Trained", "check_same_network", "sha256_of", "train_stage"]


@dataclass(frozen=True)
class Trained:
    """What a training left behind."""

    folder: Path
    classes: tuple[str, ...]
    photos: int
    unreadable: list[Unreadable]
    """Photos of train and val that no process could read."""
    first_process: bool
    """Whether this process is the one that speaks for all of a launch."""


class Fit(Protocol):
    """Trains a learner and writes its weights, as :func:`homerange.train.loop.fit` does."""

    def __call__(  # noqa: D102
        self, fabric: Fabric, learner: Learner, data: TrainingData, folder: Path, *, resume: bool
    ) -> list[Unreadable]: ...


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What one stage brings to a training."""

    classes: tuple[str, ...] | None
    """Classes of the checkpoint to go on from; ``None`` to take those of the training photos."""
    experts: ExpertSpec | None
    """Shape of the experts; ``None`` for a dense network."""
    start: str
    """Where the first weights come from, for the provenance."""
    build: Callable[[tuple[str, ...], Manifest], SpeciesNetwork]
    """Makes the network that training starts from, of classes and training photos."""
    location: Callable[[SpeciesNetwork, Fabric], LocationLoss] | None = None
    """Makes the loss of a stage that places supervise."""
    learner: type[Learner] = Learner
    """What is learnt in a step."""
    fit: Fit | None = None
    """How the steps are taken; ``None`` for :func:`homerange.train.loop.fit`."""
    photos: Callable[[Manifest], Manifest] | None = None
    """Chooses the photos of the manifest that count; ``None`` for all of them."""


def train_stage(
    manifest: Path, output: Path, config: TrainConfig, stage: Stage, *, resume: bool
) -> Trained:
    """Train one stage on a manifest and write a checkpoint.

    Args:
        manifest: A manifest with splits; ``train`` is learnt from, ``val`` selects the epoch.
        output: Folder of the checkpoint; made if absent.
        config: The recipe.
        stage: The network to start from.
        resume: Go on from the last saved state in ``output``.

    Raises:
        ManifestError: If no photo can be learnt from.
        CheckpointError: If ``output`` holds a checkpoint already and ``resume`` is not asked for,
            or ``resume`` is asked for and there is no state.
        ConfigError: If the state to resume was made with another recipe, manifest or start.
    """
    _check_output(output, manifest, config, stage.start, resume=resume)
    everything = Manifest.read(manifest)
    if stage.photos:
        everything = stage.photos(everything)
    train, val = (
        _usable(everything.split("train"), config),
        _usable(everything.split("val"), config),
    )
    classes = stage.classes or (_classes(train) if config.labels_weight else ())
    if len(train) == 0 or (config.labels_weight and not classes):
        raise ManifestError(
            f"{manifest}: no {'labelled ' if config.labels_weight else ''}photo in split train; "
            f"it holds {len(everything)} rows. Import the photos again, or label some"
        )
    fabric = make_fabric(config)
    if fabric.is_global_zero:
        output.mkdir(parents=True, exist_ok=True)
        _checkpoint_config(manifest, everything, config, classes, stage).write(output)
    fabric.barrier()
    train_teacher, val_teacher = _teach(train, val, config, output, str(fabric.device))
    with seeded(config.seed):
        network = stage.build(classes, train)
        learner = stage.learner(
            network,
            config,
            teacher_size=train_teacher.size if train_teacher else 0,
            location=stage.location(network, fabric) if stage.location else None,
        )
    data = TrainingData(
        TrainingPhotos(train, classes, config, px=config.input_px),
        PlainPhotos(val, classes, config.preprocessing),
        train_teacher,
        val_teacher,
        _cut_for(train, classes, config),
    )
    run = stage.fit or fit
    unreadable = run(fabric, learner, data, output, resume=resume)
    return Trained(output, classes, len(train), unreadable, fabric.is_global_zero)


def check_same_network(folder: Path, facts: CheckpointConfig, config: TrainConfig) -> None:
    """Refuse to go on from a checkpoint whose network is not that of the recipe.

    Raises:
        CheckpointError: If it has no classes.
        ConfigError: If its backbone or head is another.
    """
    if not facts.classes:
        raise CheckpointError(
            f"{folder}: an encoder without classes. Train it on labelled photos first: "
            f"homerange train dense MANIFEST --set start={folder}/{WEIGHTS}"
        )
    for name, found in (("backbone", facts.backbone), ("head", facts.head)):
        if getattr(config, name) != found:
            raise ConfigError(
                f"{name} is {getattr(config, name)!r} but {folder} has {found!r}; "
                f"use --set {name}={found}"
            )


def _check_output(
    folder: Path, manifest: Path, config: TrainConfig, start: str, *, resume: bool
) -> None:
    """Refuse, before anything is written, to replace a checkpoint or to resume another training."""
    check_output(folder, manifest, config, resume=resume)
    if not resume:
        return
    provenance = read_config(folder).provenance
    if provenance.get("manifest_sha256") != sha256_of(manifest):
        raise ConfigError(
            f"cannot resume: {manifest} is not the manifest that {folder} was trained on. "
            "Use that one, or train into another folder"
        )
    if provenance.get("start") != start:
        raise ConfigError(
            f"cannot resume: {folder} started from {provenance.get('start')}, not from {start}. "
            "Give the same, or train into another folder"
        )


def _usable(manifest: Manifest, config: TrainConfig) -> Manifest:
    """Without a teacher only labelled photos can be learnt from; with one, all can."""
    return manifest if config.teacher else manifest.labelled()


def _classes(train: Manifest) -> tuple[str, ...]:
    """Species in alphabetical order, then outcomes: those with at least one training photo."""
    names = {name for name in train.strings("species") if name is not None}
    return (*sorted(names - set(OUTCOMES)), *(name for name in OUTCOMES if name in names))


def _teach(
    train: Manifest, val: Manifest, config: TrainConfig, folder: Path, device: str
) -> tuple[TeacherFeatures | None, TeacherFeatures | None]:
    if not config.teacher:
        return None, None
    known = teacher_features(train, config, folder, device=device)
    if len(val) == 0:
        return known, None
    held = teacher_features(val, config, folder, plain=True, device=device)
    return known, replace(held, mean_F=known.mean_F, std_F=known.std_F)


def _cut_for(
    train: Manifest, classes: tuple[str, ...], config: TrainConfig
) -> TrainingPlaces | None:
    if not config.place_dropout:
        return None
    return TrainingPlaces(
        train,
        classes,
        radius_km=config.place_radius_km,
        expert_share_min=config.place_expert_share_min,
    )


def _checkpoint_config(
    path: Path,
    manifest: Manifest,
    config: TrainConfig,
    classes: tuple[str, ...],
    stage: Stage,
) -> CheckpointConfig:
    splits = np.asarray([name or "none" for name in manifest.strings("split")])
    return CheckpointConfig(
        backbone=config.backbone,
        head=config.head,
        classes=classes,
        preprocessing=config.preprocessing,
        experts=stage.experts,
        recipe=asdict(config),
        provenance={
            "manifest_sha256": sha256_of(path),
            "photos": {name: int((splits == name).sum()) for name in ("train", "val", "test")},
            "start": stage.start,
        },
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, or ``absent``."""
    return sha256(path.read_bytes()).hexdigest() if path.is_file() else "absent"
