"""Open what looks first: the results of a detector, or a detector."""

from collections.abc import Iterable
from itertools import tee
from pathlib import Path

from homerange.errors import ConfigError, RunError
from homerange.run.detections import Detections
from homerange.run.detector import Detector
from homerange.run.looks import FirstLook
from homerange.run.sources import Photo

__all__ = ["BOX_THRESHOLD", "open_first_look"]

BOX_THRESHOLD = 0.2
"""From which confidence a box is believed; what MegaDetector's authors advise for version 5."""


def open_first_look(
    detections: Path | None,
    detector: Path | None,
    threshold: float,
    photos: Iterable[Photo],
) -> FirstLook | None:
    """Open a first look, if there is one.

    Args:
        detections: Results in MegaDetector's format.
        detector: An ``.onnx`` file.
        threshold: Confidence from which boxes are believed.
        photos: Those of the run, to see that the results are about them.

    Raises:
        ConfigError: If both are given, or the threshold is no share.
        RunError: If the file cannot be used, or the results name no photo of the run.
    """
    if not 0 <= threshold <= 1:
        raise ConfigError(f"box_threshold is {threshold}; expected 0 to 1")
    if detections is not None and detector is not None:
        raise ConfigError(
            f"{detections} has boxes already, so the detector {detector} has nothing to do; "
            "expected one of the two"
        )
    if detector is not None:
        return FirstLook(Detector.open(detector), threshold)
    if detections is None:
        return None
    found = Detections.open(detections)
    some, each = tee(photos)
    first = next(some, None)
    if first is not None and not any(photo.file in found for photo in each):
        raise RunError(
            f"{detections}: names none of these photos, of which the first is {first.file!r}; its "
            f"own first is {found.first!r}. Run on the folder that the detector ran on"
        )
    return FirstLook(found, threshold)
