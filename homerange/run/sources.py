"""What to run on: a folder, one photo, or a list of photos.

A list is a ``.txt`` with one path per line, or a ``.csv`` with a column ``file`` (or ``path`` or
``filepath``) and optionally ``species``: the true answer, used for nothing but reporting. Paths in
a list are relative to the list.

Photos are found one by one, never all at once, so a source of a million photos costs no memory.
A folder is walked in the order of its sorted paths. What cannot be walked or named is a photo with
a `problem`: a line in the results, not the end of the run.
"""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from homerange.data.names import class_key
from homerange.errors import RunError

__all__ = ["SUFFIXES", "Fingerprint", "Photo", "find_photos", "fingerprint", "source_root"]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp"})
LISTS = frozenset({".txt", ".csv"})
FILE_COLUMNS = ("file", "path", "filepath")
# Thumbnails of Synology, and what macOS puts into zips. Both repeat every photo.
_SKIPPED_FOLDERS = frozenset({"@eaDir", "__MACOSX"})


Fingerprint = tuple[int | None, int | None]
"""Size in bytes and time of change in ns of a photo; both None where there is no file."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo to run on."""

    file: str
    """Its name in the results: relative to the folder, or as the list has it, always with ``/``."""
    path: Path
    """Where it is."""
    truth: str | None = None
    """The class key of its true species or outcome, where the list knows it."""
    problem: str | None = None
    """Why there is nothing to open; None for every ordinary photo."""


def fingerprint(path: Path) -> Fingerprint:
    """Return what changes when a photo is replaced.

    Example:
        >>> fingerprint(Path("no-such-photo.jpg"))
        (None, None)
    """
    try:
        facts = path.stat()
    except (OSError, ValueError):  # ValueError: a list may name a file that no system could have
        return None, None
    return facts.st_size, facts.st_mtime_ns


def source_root(source: Path) -> Path:
    """Return the absolute folder or list that the names in the results belong to.

    Raises:
        RunError: If there is no such folder, photo or list.
    """
    if not source.exists():
        raise RunError(f"{source}: no such file or folder; expected photos to run on")
    if not source.is_dir() and source.suffix.lower() not in SUFFIXES | LISTS:
        raise RunError(
            f"{source}: not a kind of file that can be run on; expected a folder, a photo "
            f"({_list(SUFFIXES)}) or a list of photos ({_list(LISTS)})"
        )
    return source.resolve()


def find_photos(source: Path) -> Iterator[Photo]:
    """Find the photos of a source, one by one.

    Args:
        source: A folder (walked with its subfolders), a photo, or a list of photos.

    Yields:
        Each photo: those of a folder sorted by name, those of a list in its order. Hidden files
        and the thumbnails that network drives and zips add are skipped.

    Raises:
        RunError: If there is no such source, or its list cannot be read.
    """
    source_root(source)
    suffix = source.suffix.lower()
    if source.is_dir():
        yield from _walk(source, "", (source.resolve(),))
    elif suffix in SUFFIXES:
        yield Photo(_text(source.name), source)
    elif suffix == ".txt":
        yield from _text_list(source)
    else:
        yield from _table(source)


def _walk(folder: Path, prefix: str, above: tuple[Path, ...]) -> Iterator[Photo]:
    """Walk in the order of the whole paths: a folder sorts as its name with a ``/``."""
    try:
        with os.scandir(folder) as entries:
            kept = [(entry.name + "/" * entry.is_dir(), entry.is_dir()) for entry in entries]
    except OSError as error:
        reason = f"this folder cannot be opened ({error.strerror})"
        yield Photo(prefix or ".", folder, problem=reason)
        return
    for name, is_folder in sorted(kept):
        path = folder / name
        if name.startswith("."):
            continue
        if is_folder:
            real = path.resolve()
            if path.name not in _SKIPPED_FOLDERS and real not in above:  # a link may climb
                yield from _walk(path, prefix + _text(name), (*above, real))
        elif path.suffix.lower() in SUFFIXES:
            yield Photo(prefix + _text(name), path)


def _text_list(source: Path) -> Iterator[Photo]:
    for line in _lines(source):
        if name := line.strip():
            yield _listed(source, name)


def _table(source: Path) -> Iterator[Photo]:
    lines = _lines(source)
    header = next(lines, "")
    delimiter = ";" if header.count(";") > header.count(",") else ","
    columns = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
    file_column = next((name for name in FILE_COLUMNS if name in columns), None)
    if file_column is None:
        raise RunError(
            f"{source}: the first line has the columns {', '.join(columns) or 'nothing'}; "
            f"expected one called {', '.join(FILE_COLUMNS)}"
        )
    rows = csv.DictReader(lines, columns, delimiter=delimiter, restval="")
    for number, row in enumerate(_rows(rows, source), start=1):
        name = row[file_column].strip()
        truth = class_key(row.get("species", ""))
        if name:
            yield _listed(source, name, truth)
        elif any(row.values()):
            problem = f"row {number} of {source.name} names no file"
            yield Photo(f"{source.name}:{number}", source, truth, problem)


def _rows(rows: "csv.DictReader[str]", source: Path) -> Iterator[dict[str, str]]:
    try:
        yield from rows
    except csv.Error as error:
        raise RunError(
            f"{source}: line {rows.line_num + 2} is no CSV ({error}); save it as CSV again"
        ) from error


def _lines(source: Path) -> Iterator[str]:
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise RunError(
            f"{source}: is not UTF-8 text ({error.reason} at byte {error.start}); "
            "save it with the encoding UTF-8"
        ) from error
    except OSError as error:
        raise RunError(f"{source}: cannot be read ({error.strerror})") from error


def _listed(source: Path, name: str, truth: str | None = None) -> Photo:
    name = name.replace("\\", "/")
    return Photo(_text(name), source.parent / name, truth)


def _text(name: str) -> str:
    """Return a name that every format can hold; bytes that are no UTF-8 become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _list(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
