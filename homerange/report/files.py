"""What the report verbs write: tables for people and for programs, each whole or not at all."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from homerange.errors import RunError
from homerange.output import atomic_file, writing

__all__ = ["Columns", "Written", "make_folder", "unreadable_note", "write_csv", "write_markdown"]

Columns = Mapping[str, Sequence[object]]


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a verb wrote."""

    paths: tuple[Path, ...]
    """Pictures or pages; the CSVs lie beside them."""
    notes: tuple[str, ...]
    """What a reader should know."""
    unreadable: int
    """Photos that could not be read and are left out."""


def unreadable_note(photos: int, kind: str) -> str:
    """Say how many photos could not be read, and how to find out why.

    Example:
        >>> unreadable_note(1, "test")  # doctest: +ELLIPSIS
        '1 test photos could not be read and are left out; homerange evaluate lists them ...'
    """
    return (
        f"{photos:,} {kind} photos could not be read and are left out; homerange evaluate lists "
        "them with the reason"
    )


def make_folder(folder: Path) -> None:
    """Make a folder if it is absent, before the work that fills it.

    Raises:
        RunError: If it cannot be made.
    """
    with writing(folder, RunError):
        folder.mkdir(parents=True, exist_ok=True)


def write_csv(columns: Columns, path: Path) -> None:
    """Write columns of equal length, with their names in the first line; None is an empty cell.

    Raises:
        RunError: If the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    with writing(path, RunError), atomic_file(path) as file:
        file.write(text.getvalue().encode())


def write_markdown(title: str, columns: Columns, notes: Sequence[str], path: Path) -> None:
    """Write a heading, the columns as a table, and notes below.

    Args:
        title: The heading.
        columns: Cells as they are to be read: texts and whole numbers; None is an empty cell.
        notes: A line each.
        path: The file.

    Raises:
        RunError: If the file cannot be written.
    """
    rows = [list(columns), ["---"] * len(columns), *zip(*columns.values(), strict=True)]
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    text = "\n".join([f"# {title}", "", *lines, "", *(f"- {note}" for note in notes)])
    with writing(path, RunError), atomic_file(path) as file:
        file.write((text + "\n").encode())


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")
