"""Results as a CSV table, one row a photo, for spreadsheets and R.

Columns: ``file``, ``datetime`` (as the camera wrote it), ``prediction`` (scientific name or
outcome), ``common_name``, ``confidence`` (0-1), ``second``, ``second_confidence``, ``third``,
``third_confidence``, ``failure`` (why there is no prediction), ``burst`` (the first photo of the
burst it belongs to), ``burst_photos``, ``burst_prediction`` and ``burst_confidence``
(the one answer of its photos), and in every row who answered, so that tables of several places
can be joined.
"""

import csv
import io
from collections.abc import Iterable
from typing import BinaryIO

from homerange.run.answers import Answer
from homerange.run.results.naming import best_name
from homerange.run.results.stamp import STAMP_COLUMNS, stamp_cells
from homerange.run.sources import Photo
from homerange.world.place_package import PlacePackage

__all__ = ["COLUMNS", "SQL_TYPES", "write_table"]

COLUMNS = (
    "file",
    "datetime",
    "prediction",
    "common_name",
    "confidence",
    "second",
    "second_confidence",
    "third",
    "third_confidence",
    "failure",
    "burst",
    "burst_photos",
    "burst_prediction",
    "burst_confidence",
    *STAMP_COLUMNS,
)
SQL_TYPES = {name: "VARCHAR" for name in COLUMNS} | {
    "confidence": "DOUBLE",
    "second_confidence": "DOUBLE",
    "third_confidence": "DOUBLE",
    "burst_photos": "INTEGER",
    "burst_confidence": "DOUBLE",
}
"""What the columns are in a format that has types: an empty cell is a missing value."""

_PLACES = (
    ("prediction", "confidence"),
    ("second", "second_confidence"),
    ("third", "third_confidence"),
)


def write_table(
    file: BinaryIO, package: PlacePackage, answers: Iterable[tuple[Photo, Answer]]
) -> None:
    """Write the answers as CSV, holding one photo in memory at a time.

    Args:
        file: Where to write UTF-8 to.
        package: The package that gave the answers.
        answers: Every photo with its answer, in the order of the rows.
    """
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    rows = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    rows.writeheader()
    stamped = stamp_cells(package)
    for photo, answer in answers:
        rows.writerow(_row(photo.file, answer, package) | stamped)
    text.detach()  # flushes, and leaves the file open to its owner


def _row(file: str, answer: Answer, package: PlacePackage) -> dict[str, str]:
    row = {"file": file, "datetime": answer.datetime or "", "failure": answer.failure or ""}
    if answer.failure is None:
        label, probability = answer.best(package.labels)
        row |= {"prediction": label, "confidence": f"{probability:.4f}"}
    for (name, confidence), (index, probability) in zip(_PLACES[1:], answer.top[1:], strict=False):
        row |= {name: package.labels[index], confidence: f"{probability:.4f}"}
    best = best_name(answer, package)
    return row | {"common_name": best.common_name if best else ""} | _burst(answer, package)


def _burst(answer: Answer, package: PlacePackage) -> dict[str, str]:
    if answer.burst is None:
        return {}
    index, probability = answer.burst.top[0]
    return {
        "burst": answer.burst.key,
        "burst_photos": str(answer.burst.photos),
        "burst_prediction": package.labels[index],
        "burst_confidence": f"{probability:.4f}",
    }
