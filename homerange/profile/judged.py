"""The photos that a world is judged by, and what it reaches on those of them that are for testing.

Axes used in this file:
    N  photos
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homerange.data.answers import Answers
from homerange.data.evaluation import summarise
from homerange.data.manifest import Manifest
from homerange.errors import ManifestError
from homerange.world.description import Description

__all__ = ["judged_photos", "with_metrics"]


def judged_photos(photos: Manifest, path: Path) -> Manifest:
    """Return the labelled photos of the splits val and test.

    Raises:
        ManifestError: If there are none.
    """
    labelled = photos.labelled()
    judged = labelled.where(np.isin(_splits_N(labelled), ["val", "test"]))
    if len(judged) == 0:
        raise ManifestError(
            f"{path}: no labelled photo in splits val and test, so nothing can be measured. "
            "Import more photos, or give splits in a split column"
        )
    return judged


def with_metrics(
    facts: Description,
    judged: Manifest,
    answers: Answers,
    classes: Sequence[str],
    *,
    learnt_from: Manifest | None = None,
) -> Description:
    """Add to the facts of a world what it reaches on the test photos, where there are any.

    Args:
        facts: Of the world.
        judged: The photos that were run.
        answers: What it says of them.
        classes: The labels of the world.
        learnt_from: The photos of the training; without them known and new cameras are not told
            apart.
    """
    test_N = _splits_N(judged)[answers.row_N] == "test"
    if not test_N.any():
        return facts
    cameras = None if learnt_from is None else set(learnt_from.strings("location_id"))
    measured = summarise(answers.where(test_N), judged, classes, "test", train_cameras=cameras)
    return replace(facts, metrics=measured.to_json())


def _splits_N(manifest: Manifest) -> NDArray[np.str_]:
    return np.array([split or "" for split in manifest.strings("split")], dtype=np.str_)
