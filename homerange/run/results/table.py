"""Results as a CSV table, one row a photo, for spreadsheets and R.

Columns: ``file``, ``datetime`` (as the camera wrote it), ``prediction`` (scientific name or
outcome), ``common_name``, ``confidence`` (0-1), ``second``, ``second_confidence``, ``third``,
``third_confidence``, ``failure`` (why there is no prediction).
"""

import csv
import io
from collections.abc import Iterable
from typing import BinaryIO

from homerange.run.journal import Answer
from homerange.run.sources import Photo
from homerange.world.place_package import PlacePackage

__all__ = ["COLUMNS", "write_table"]

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
)
_PLACES = (
    ("prediction", "confidence"),
    ("second", "second_confidence"),
    ("third", "third_confidence"),
)


def write_table(
    file: BinaryIO,
    package: PlacePackage,
    answers: Iterable[tuple[Photo, Answer]],
    first_look: str = "",
) -> None:
    """Write the answers as CSV, holding one photo in memory at a time.

    Args:
        file: Where to write UTF-8 to.
        package: The package that gave the answers.
        answers: Every photo with its answer, in the order of the rows.
        first_look: Which detector looked first; a table has no place for it.
    """
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    rows = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    rows.writeheader()
    for photo, answer in answers:
        rows.writerow(_row(photo.file, answer, package))
    text.detach()  # flushes, and leaves the file open to its owner


def _row(file: str, answer: Answer, package: PlacePackage) -> dict[str, str]:
    row = {"file": file, "datetime": answer.datetime or "", "failure": answer.failure or ""}
    if answer.failure is None:
        label, probability = answer.best(package.labels)
        row |= {"prediction": label, "confidence": f"{probability:.4f}"}
    for (name, confidence), (index, probability) in zip(_PLACES[1:], answer.top[1:], strict=False):
        row |= {name: package.labels[index], confidence: f"{probability:.4f}"}
    return row | {"common_name": package.common_names.get(row.get("prediction", ""), "")}
