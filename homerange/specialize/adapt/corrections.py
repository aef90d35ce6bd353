"""The user's corrections: a CSV of files and species, and the photos that it names.

The columns are ``file`` (or ``path``, ``filepath``) and ``species``; ``datetime`` where there is
one, as the CSV of ``homerange predict`` has it, else the time that the camera wrote. A later row of
the same photo replaces an earlier one. What cannot be used is put aside with the reason.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homerange.data.exif import read_exif
from homerange.data.names import class_key
from homerange.data.times import read_time, seconds_N
from homerange.errors import AdaptError

__all__ = ["Correction", "LeftOut", "in_time", "read_corrections"]

FILE_COLUMNS = ("file", "path", "filepath")


@dataclass(frozen=True, kw_only=True)
class Correction:
    """A photo and what is on it."""

    file: str
    """As the table names it."""
    path: Path
    label: int
    """Index of its label."""
    time: str = ""
    """ISO 8601; empty where nobody knows."""


@dataclass(frozen=True)
class LeftOut:
    """A correction that could not be used, and why."""

    image: str
    reason: str


def read_corrections(
    path: Path, photos: Path, labels: Sequence[str]
) -> tuple[list[Correction], list[LeftOut]]:
    """Read a table of corrections.

    Args:
        path: The CSV.
        photos: The folder that its files start from.
        labels: What a photo may show, by scientific name or outcome.

    Returns:
        Those that name a file and a label, in the order of the table; and the others.

    Raises:
        AdaptError: If the table cannot be read or lacks a column.
    """
    index = {class_key(label) or label: i for i, label in enumerate(labels)}
    index |= {label: i for i, label in enumerate(labels)}
    found: dict[str, Correction] = {}
    left_out: list[LeftOut] = []
    for number, row in enumerate(_rows(path), start=1):
        file, name = row["file"].replace("\\", "/"), row["species"]
        label = index.get(name, index.get(class_key(name) or "", -1))
        if not file:
            left_out.append(LeftOut(f"row {number}", "names no file"))
        elif label < 0:
            left_out.append(LeftOut(file, f"{name or 'nothing'!r} is no label of the package"))
        else:
            time = read_time(row.get("datetime", "")) or ""
            correction = Correction(file=file, path=photos / file, label=label, time=time)
            found.pop(file, None)  # the later row counts, and in its own place
            found[file] = correction
    return list(found.values()), left_out


def in_time(
    corrections: Sequence[Correction],
) -> tuple[list[Correction], NDArray[np.float64] | None]:
    """Sort corrections by the time of their photos, the oldest first.

    Returns:
        The corrections, and their times in seconds; in the order of the table and without times
        where the time of one is unknown.
    """
    times = [one.time or read_exif(one.path).datetime for one in corrections]
    time_N = seconds_N(times)
    if np.isnan(time_N).any():
        return list(corrections), None
    order_N = np.argsort(time_N, kind="stable")
    return [corrections[i] for i in order_N.tolist()], time_N[order_N]


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """Go through the rows of the table, by our names of its columns."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        head = lines[0] if lines else ""
        table = csv.reader(lines, delimiter=max(",;\t", key=head.count), strict=True)
        header = [name.strip().lower() for name in next(table, [])]
        file = next((name for name in FILE_COLUMNS if name in header), None)
        if file is None or "species" not in header:
            raise AdaptError(
                f"{path}: has the columns {', '.join(header) or 'nothing'}; expected file and "
                "species, one row for each corrected photo"
            )
        for cells in table:
            row = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
            if any(row.values()):
                yield {"species": "", **row, "file": row.get(file, "")}
    except OSError as error:
        raise AdaptError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise AdaptError(f"{path}: cannot be read ({error}). Save it as CSV in UTF-8") from error
