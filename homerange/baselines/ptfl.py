"""PTFL: federated averaging from pre-trained weights, with the photos of an S2 cell as a client.

Source: Chen et al. 2022, arXiv:2206.11488 (to start from pre-trained weights); McMahan et al. 2017
(FedAvg): in each round every client m trains the shared weights on its own photos, and the new
shared weights are sum_m |D_m| / |D| theta_m.

Where we differ, and why: the local optimizer is that of the recipe, as for all systems here, and
begins anew in each round. The statistics of batch norm are averaged like the weights.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from homerange.baselines.clients import clients_of
from homerange.baselines.config import BaselineConfig
from homerange.data.answers import Unreadable, check_readable
from homerange.data.manifest import Manifest
from homerange.data.metrics import in_top
from homerange.errors import ConfigError, ManifestError
from homerange.model.checkpoint import CheckpointConfig, read_config, save_weights
from homerange.train.dataset import PlainPhotos, TrainingPhotos
from homerange.train.dense import starts_dense
from homerange.train.infer import infer
from homerange.train.learner import Learner
from homerange.train.loop import TrainingData, fit
from homerange.train.recipe import check_above_0
from homerange.train.stage import Stage, Trained, train_stage
from homerange.train.state import State, restore_state, save_state

__all__ = ["PtflConfig", "fedavg", "train_ptfl"]

ROUND_SEED = 1000  # rounds draw other photos than the first, and than those of a seed beside it


@dataclass(frozen=True, kw_only=True)
class PtflConfig(BaselineConfig):
    """Settings of the recipe ``ptfl``; ``epochs`` are the local ones, in each round."""

    system: str = "ptfl"

    rounds: int = 10
    """Times that the weights of the clients are averaged; each trains ``epochs`` epochs between."""

    client_photos_max: int = 10_000
    """Photos of a client, at most: a cell with more is split in four (N_max of iNaturalist-Geo)."""

    def _check_values(self) -> None:
        super()._check_values()
        check_above_0(self, ("rounds", "client_photos_max"))

    def _check_contradictions(self) -> None:
        super()._check_contradictions()
        self._refuse("place_dropout")


def fedavg(
    fabric: Fabric, learner: Learner, data: TrainingData, folder: Path, *, resume: bool
) -> list[Unreadable]:
    """Train round by round, keeping the shared weights that do best on the validation photos.

    What the clients are is written to ``clients.json``. A resume begins with the round that was
    under way.

    Args:
        fabric: The engine, one process.
        learner: Trained in place.
        data: Photos; they are shared among the clients here.
        folder: The checkpoint to write.
        resume: Go on from the state in ``folder``.

    Returns:
        Photos that could not be read, each once.

    Raises:
        ConfigError: If there are several processes.
        CheckpointError, ConfigError: As :func:`homerange.train.loop.fit`.
        ManifestError: If not one photo can be read.
    """
    config = learner.config
    assert isinstance(config, PtflConfig)
    if fabric.world_size > 1:
        raise ConfigError("ptfl trains one client after another; start it in one process")
    fabric.to_device(learner)
    photos = data.train.manifest
    clients = clients_of(photos.latlon_N2(), photos_max=config.client_photos_max)
    counts = {name: len(rows) for name, rows in clients.items()}
    (folder / "clients.json").write_text(json.dumps(counts, indent=1) + "\n")
    facts = read_config(folder)
    state = State()
    unreadable: dict[str, Unreadable] = {}
    if resume:
        restore_state(folder, learner, config, None, state)
    for number in range(state.step, config.rounds):
        local = replace(config, seed=config.seed + ROUND_SEED * number)
        shared, found = _one_round(fabric, learner, photos, clients, facts, local)
        check_readable(photos, found)
        learner.load_state_dict(shared)
        learner.config = config
        top1, found_in_val = _judge(learner, facts, data.val.manifest)
        unreadable |= {bad.image: bad for bad in (*found, *found_in_val)}
        if top1 >= state.best_score:
            state.best_score = top1
            save_weights(learner.network, folder)
        state.step = number + 1
        save_state(folder, learner, config, None, state)
    return [unreadable[image] for image in sorted(unreadable)]


def _one_round(
    fabric: Fabric,
    learner: Learner,
    photos: Manifest,
    clients: Mapping[str, NDArray[np.int64]],
    facts: CheckpointConfig,
    local: PtflConfig,
) -> tuple[dict[str, Tensor], list[Unreadable]]:
    """Let each client train the shared weights; return their mean by photos that were read."""
    before = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
    sums = {name: torch.zeros_like(tensor, dtype=torch.double) for name, tensor in before.items()}
    total, unreadable = 0, []
    nothing = PlainPhotos(photos.take(np.empty(0, np.int64)), facts.classes, facts.preprocessing)
    for rows in clients.values():
        own = TrainingPhotos(photos.take(rows), facts.classes, local, px=local.input_px)
        learner.load_state_dict(before)
        learner.config = local
        with TemporaryDirectory() as scratch:
            data = TrainingData(own, nothing, None, None)
            try:
                bad = fit(fabric, learner, data, Path(scratch), resume=False)
            except ManifestError as error:  # not one photo of this client can be read
                images = own.manifest.strings("image")
                bad = [Unreadable(i, image or "", str(error)) for i, image in enumerate(images)]
        unreadable += [replace(one, photo=int(rows[one.photo])) for one in bad]
        read = len(rows) - len(bad)
        for name, tensor in learner.state_dict().items():
            sums[name] += read * tensor.double()
        total += read
    means = {name: tensor / max(1, total) for name, tensor in sums.items()}
    return {name: _like(tensor, before[name]) for name, tensor in means.items()}, unreadable


def _like(mean: Tensor, tensor: Tensor) -> Tensor:
    """Return a mean in the type of what was averaged; counters of batch norm are whole."""
    return (mean if tensor.is_floating_point() else mean.round()).to(tensor.dtype)


def _judge(
    learner: Learner, facts: CheckpointConfig, val: Manifest
) -> tuple[float, list[Unreadable]]:
    """Return top-1 on validation photos (0 without any: the last round is kept) and unread ones."""
    answers = infer(learner.network.eval(), facts, val, title="val")
    known_N = answers.class_N >= 0
    hits = in_top(answers.logits_NC[known_N], answers.class_N[known_N], 1)
    return (float(hits.mean()) if len(hits) else 0.0), answers.unreadable


def train_ptfl(
    manifest: Path, output: Path, config: PtflConfig, *, resume: bool = False
) -> Trained:
    """Train the dense network by federated averaging over S2 cells.

    Raises:
        ManifestError, CheckpointError, ConfigError: As :func:`homerange.train.stage.train_stage`.
    """
    stage = Stage(
        classes=None, experts=None, start=config.start, build=starts_dense(config), fit=fedavg
    )
    return train_stage(manifest, output, config, stage, resume=resume)
