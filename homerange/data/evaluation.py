"""How right answers are: overall, per region, and on known and new cameras, always with n.

Axes used in this file:
    N  photos      C  classes
"""

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from homerange.data.answers import Answers, Unreadable
from homerange.data.manifest import Manifest
from homerange.data.metrics import chance, in_top, macro_f1, majority, wilson_interval

__all__ = ["Evaluation", "Metrics", "summarise"]


@dataclass(frozen=True)
class Metrics:
    """Shares of right answers among ``photos`` photos."""

    photos: int
    species: int
    """Classes that occur in these photos."""
    top1: float
    top1_low: float
    top1_high: float
    """Ends of the 95 % Wilson interval of top-1."""
    top5: float
    macro_f1: float
    """Mean F1 over the classes that occur in these photos."""
    chance: float
    majority: float
    """Share of the commonest class of these photos: what always answering it would reach."""


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a checkpoint on one split."""

    split: str
    overall: Metrics
    regions: dict[str, Metrics]
    cameras: dict[str, Metrics]
    """Photos of ``known cameras``, which are in the train split too, and of ``new cameras``: ID and
    OOD of WILDS. Photos whose camera nobody states are in neither."""
    unknown_species: int
    """Labelled photos whose species the network does not know; they count as wrong answers."""
    unreadable: list[Unreadable]

    def to_json(self) -> dict[str, object]:
        """Return plain values for ``metrics.json`` and ``world.json``; nan becomes null."""
        return {
            "split": self.split,
            "unknown_species": self.unknown_species,
            "unreadable": len(self.unreadable),
            "overall": _plain(self.overall),
            "regions": {name: _plain(metrics) for name, metrics in self.regions.items()},
            "cameras": {name: _plain(metrics) for name, metrics in self.cameras.items()},
        }


def summarise(
    answers: Answers,
    photos: Manifest,
    classes: Sequence[str],
    split: str,
    *,
    train_cameras: AbstractSet[str | None] | None = None,
) -> Evaluation:
    """Turn the answers of a network into metrics: overall, by ``region_id`` and by camera.

    Args:
        answers: The answers.
        photos: The photos that were asked for.
        classes: The classes of the network.
        split: Name of the split.
        train_cameras: Every ``location_id`` of the train split; without it cameras are not told
            apart.
    """
    regions = photos.strings("region_id")
    cameras: list[str | None] = [None] * len(photos)
    if train_cameras is not None:
        cameras = [
            camera and ("known cameras" if camera in train_cameras else "new cameras")
            for camera in photos.strings("location_id")
        ]
    everything = np.ones(len(answers.row_N), dtype=bool)
    return Evaluation(
        split,
        _measure(answers, everything, len(classes)),
        _measure_groups(answers, regions, len(classes)),
        _measure_groups(answers, cameras, len(classes)),
        int((answers.class_N < 0).sum()),
        answers.unreadable,
    )


def _measure_groups(
    answers: Answers, names: Sequence[str | None], classes: int
) -> dict[str, Metrics]:
    """Measure the photos of each name apart; those without one are left out."""
    name_N = np.array([name or "" for name in names])[answers.row_N]
    return {
        str(name): _measure(answers, name_N == name, classes) for name in np.unique(name_N) if name
    }


def _measure(answers: Answers, chosen_N: NDArray[np.bool_], classes: int) -> Metrics:
    logits_NC, class_N = answers.logits_NC[chosen_N], answers.class_N[chosen_N]
    known_N = class_N >= 0
    total = len(class_N)
    hits = in_top(logits_NC[known_N], class_N[known_N], 1)
    hits5 = in_top(logits_NC[known_N], class_N[known_N], 5)
    low, high = wilson_interval(int(hits.sum()), total)
    # A species that the network does not know gets a class of its own, which is never answered.
    true_N = np.where(known_N, class_N, classes)
    return Metrics(
        photos=total,
        species=len(np.unique(true_N)),
        top1=_share(hits, total),
        top1_low=low,
        top1_high=high,
        top5=_share(hits5, total),
        macro_f1=macro_f1(true_N, logits_NC.argmax(axis=1)),
        chance=chance(classes),
        majority=majority(true_N.tolist()),
    )


def _share(hits_N: NDArray[np.bool_], total: int) -> float:
    return int(hits_N.sum()) / total if total else float("nan")


def _plain(metrics: Metrics) -> dict[str, float | int | None]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in asdict(metrics).items()
    }
