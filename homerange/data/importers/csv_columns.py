"""Named columns of a CSV file that somebody published: all there and well formed, or refused.

For tables as people have them, with names and forms of their own, see ``table.py``.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from homerange.errors import ManifestError

__all__ = ["read_columns"]


def read_columns(
    source: Path, needed: Sequence[str], *, what: str, optional: Sequence[str] = ()
) -> pa.Table:
    """Read columns of a CSV file with a header, as text.

    Args:
        source: The file, UTF-8, with commas.
        needed: Columns that it must have.
        what: What the file should be, for messages.
        optional: Columns that it may have.

    Returns:
        The needed columns and those of the optional ones that are there; empty cells are null.

    Raises:
        ManifestError: If the file cannot be read, lacks a column, or has a line with too many or
            too few cells.
    """
    header = _header(source)
    missing = [name for name in needed if name not in header]
    if missing:
        raise ManifestError(
            f"{source}: not {what}, it has no column {', '.join(missing)}; it has "
            f"{', '.join(header) or 'nothing'}"
        )
    chosen = [name for name in (*needed, *optional) if name in header]
    convert = pacsv.ConvertOptions(
        include_columns=chosen,
        column_types=dict.fromkeys(chosen, pa.string()),
        strings_can_be_null=True,
        null_values=[""],
    )
    try:
        return pacsv.read_csv(source, convert_options=convert)
    except pa.ArrowInvalid as error:
        raise ManifestError(f"{source}: cannot be read as {what} ({error})") from error


def _header(source: Path) -> list[str]:
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            return next(csv.reader(file), [])
    except FileNotFoundError as error:
        raise ManifestError(f"{source}: no such file") from error
    except OSError as error:  # a folder, or not ours to read
        raise ManifestError(f"{source}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{source}: not a CSV file in UTF-8 ({error})") from error
