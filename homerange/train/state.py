"""What a training keeps to go on from: step, best score, weights and optimizer, in one file.

The settings are kept too: a training that goes on with others would be none that was asked for.
"""

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from homerange.errors import CheckpointError, ConfigError
from homerange.model.checkpoint import WEIGHTS
from homerange.output import obstacle
from homerange.train.recipe import Recipe

__all__ = [
    "SAVE_EVERY_S",
    "STATE",
    "State",
    "check_output",
    "log_epoch",
    "read_state",
    "restore_state",
    "save_state",
]

SAVE_EVERY_S = 60.0
STATE = "training_state.pt"


@dataclass
class State:
    """Where a training stands."""

    step: int = 0
    best_score: float = float("-inf")


def check_output(folder: Path, source: Path, config: Recipe, *, resume: bool) -> None:
    """Refuse, before anything is written, to replace a checkpoint or to resume without a state.

    Args:
        folder: The checkpoint to write.
        source: What is learnt from.
        config: The settings, which must be those of the state to resume.
        resume: Whether a training in ``folder`` is to go on.

    Raises:
        CheckpointError: If there is a checkpoint, or no state to resume.
        ConfigError: If the state was made with other settings.
    """
    in_the_way = obstacle(folder / WEIGHTS, inputs=[source])
    if in_the_way:
        raise CheckpointError(f"{folder / WEIGHTS}: {in_the_way}")
    if resume:
        read_state(folder, config)
        return
    state, weights = ((folder / name).is_file() for name in (STATE, WEIGHTS))
    if state or weights:
        way = "Add --resume to go on with it, or write" if state else "Write"
        raise CheckpointError(f"{folder}: holds a checkpoint already. {way} to another folder")


def save_state(
    folder: Path, learner: nn.Module, config: Recipe, optimizer: Optimizer | None, state: State
) -> None:
    """Write the state in one step, so that a kill leaves the old one or the new one.

    Training without an optimizer that lasts, as in federated averaging, has ``None``.
    """
    part = folder / f"{STATE}.part"
    torch.save(
        {
            "config": asdict(config),
            "state": asdict(state),
            "learner": learner.state_dict(),
            "optimizer": optimizer.state_dict() if optimizer else {},
        },
        part,
    )
    part.replace(folder / STATE)


def read_state(folder: Path, config: Recipe) -> Mapping[str, Any]:
    """Read the saved state of a training that is to go on.

    Raises:
        CheckpointError: If there is no state in ``folder``, or it is damaged.
        ConfigError: If a setting differs; the message names it.
    """
    path = folder / STATE
    if not path.is_file():
        raise CheckpointError(f"{path}: nothing to resume. Train without --resume first")
    try:
        saved: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise CheckpointError(
            f"{path}: the state is damaged ({type(error).__name__}). Delete the folder and train "
            "again"
        ) from error
    for key, value in asdict(config).items():
        if saved["config"].get(key) != value:
            raise ConfigError(
                f"cannot resume: {key} was {saved['config'].get(key)!r} and is {value!r}. "
                "Use the same recipe, or train into another folder"
            )
    return saved


def restore_state(
    folder: Path, learner: nn.Module, config: Recipe, optimizer: Optimizer | None, state: State
) -> None:
    """Put learner, optimizer and state where a training stood.

    Raises:
        CheckpointError, ConfigError: As :func:`read_state`.
    """
    saved = read_state(folder, config)
    learner.load_state_dict(saved["learner"])
    if optimizer:
        optimizer.load_state_dict(saved["optimizer"])
    state.step, state.best_score = saved["state"]["step"], saved["state"]["best_score"]


def log_epoch(folder: Path, epoch: int, columns: Mapping[str, float], *, selected: bool) -> None:
    """Write the line of an epoch, counted from 0, to ``log.csv``; one that is done again is one."""
    path = folder / "log.csv"
    lines = [["epoch", *columns, "selected"]]
    if epoch and path.is_file():
        with path.open(newline="") as file:
            lines = list(csv.reader(file))[: epoch + 1]
    with path.open("w", newline="") as file:
        row = [epoch + 1, *(f"{value:.4f}" for value in columns.values()), int(selected)]
        csv.writer(file).writerows([*lines, row])
