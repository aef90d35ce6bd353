"""One checkpoint, measured for the tables: overall, by camera, at each location, and its size.

Axes used in this file:
    N  test photos      C  classes      K  classes of a location
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from homerange.data.answers import Answers
from homerange.data.evaluation import Evaluation, summarise
from homerange.data.manifest import Manifest
from homerange.errors import CheckpointError, ManifestError
from homerange.model.checkpoint import WEIGHTS, CheckpointConfig, load_checkpoint
from homerange.profile.work import Work, count_work
from homerange.report.locations import Location
from homerange.report.sweep import Right
from homerange.specialize.figures import score
from homerange.train.infer import infer

__all__ = ["PAPER_PX", "Measured", "measure"]

PAPER_PX = 256
"""The operations of the paper's table 3 come out at this size."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What the tables say of one checkpoint."""

    name: str
    config: CheckpointConfig
    work: Work
    """At the size of its photos."""
    work_as_paper: Work
    """At 256 pixels."""
    evaluation: Evaluation
    at: tuple[Right | None, ...]
    """At each location; none where it has no test photos or no class that the network knows."""


def measure(
    name: str, folder: Path, manifest: Path, photos: Manifest, locations: Sequence[Location]
) -> Measured:
    """Run a checkpoint over all test photos.

    Args:
        name: What the tables call it.
        folder: The checkpoint.
        manifest: Where the photos stand, for messages.
        photos: All photos of the manifest.
        locations: Locations in these photos.

    Raises:
        CheckpointError: If it has no classes, or a file is missing or damaged.
        ManifestError: If there is no labelled test photo, or none can be read.
    """
    network, config = load_checkpoint(folder)
    if network.head is None:
        raise CheckpointError(
            f"{folder}: an encoder without classes cannot be measured. Train it on labelled photos "
            f"first: homerange train dense MANIFEST --set start={folder}/{WEIGHTS}"
        )
    is_test_N = np.array([split == "test" for split in photos.strings("split")], bool)
    is_test_N &= np.array([name is not None for name in photos.strings("species")], bool)
    test = photos.where(is_test_N)
    if not len(test):
        raise ManifestError(f"{manifest}: no labelled photo in split test; nothing to measure")
    work = count_work(network, config.preprocessing.input_px)
    work_as_paper = count_work(network, PAPER_PX)
    answers = infer(network, config, test, title=name)
    learnt = set(photos.split("train").strings("location_id"))
    return Measured(
        name=name,
        config=config,
        work=work,
        work_as_paper=work_as_paper,
        evaluation=summarise(answers, test, config.classes, "test", train_cameras=learnt),
        at=tuple(
            _at(answers.where(one.rows["test"][is_test_N][answers.row_N]), config.classes, one)
            for one in locations
        ),
    )


def _at(answers: Answers, classes: Sequence[str], location: Location) -> Right | None:
    """Say how right the answers are, for all classes and for those of the location."""
    listed_K = np.array([c for c, name in enumerate(classes) if name in location.species], int)
    if not len(answers.class_N) or not len(listed_K):
        return None
    # A species that the network does not know gets a class of its own, which is never answered.
    true_N = np.where(answers.class_N < 0, len(classes), answers.class_N)
    return Right(
        every_class=score(true_N, answers.logits_NC.argmax(axis=1)),
        on_list=score(true_N, listed_K[answers.logits_NC[:, listed_K].argmax(axis=1)]),
    )
