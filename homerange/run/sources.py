"""What to run on: a folder, one photo or video, or a list of them.

A list is a ``.txt`` with one path per line, a ``.csv`` with a column ``file`` (or ``path`` or
``filepath``) and optionally ``species``: the true answer, used for nothing but reporting, or a
``.json`` of instances as SpeciesNet takes them (`homerange.run.instances`). Paths in a list are
relative to the list.

Photos are found one by one, never all at once, so a source of a million photos costs no memory, not
even where all of them lie in one folder: a folder is walked in the order in which the disk gives
it, and the journal sorts. What cannot be walked or named is a photo with a `problem`: a line in the
results, not the end of the run.
"""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from homerange.data.names import class_key
from homerange.errors import RunError
from homerange.run.instances import Given, read_instances

__all__ = [
    "SUFFIXES",
    "VIDEO_SUFFIXES",
    "Fingerprint",
    "Photo",
    "find_photos",
    "fingerprint",
    "is_video",
    "source_root",
]

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".m4v", ".mts"})
SUFFIXES = VIDEO_SUFFIXES | {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp"}
LISTS = frozenset({".txt", ".csv", ".json"})
FILE_COLUMNS = ("file", "path", "filepath")
# Thumbnails of Synology, and what macOS puts into zips. Both repeat every photo.
_SKIPPED_FOLDERS = frozenset({"@eaDir", "__MACOSX"})


Fingerprint = tuple[int | None, int | None]
"""Size in bytes and time of change in ns of a photo; both None where there is no file."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo, or one video, to run on."""

    file: str
    """Its name in the results: relative to the folder, or as the list has it, always with ``/``."""
    path: Path
    """Where it is."""
    truth: str | None = None
    """The class key of its true species or outcome, where the list knows it."""
    problem: str | None = None
    """Why there is nothing to open; None for every ordinary photo."""
    given: Given = ()
    """What instances say about it: ``country``, ``latitude`` ...; handed on to the results."""

    @property
    def folder(self) -> str:
        """The camera folder it lies in, as the results name it; empty at the top.

        Example:
            >>> Photo("oak/100MEDIA/1.jpg", Path("/photos/oak/100MEDIA/1.jpg")).folder
            'oak/100MEDIA'
        """
        return self.file.rpartition("/")[0]


def is_video(path: Path) -> bool:
    """Whether a file is looked at frame by frame, going by its name."""
    return path.suffix.lower() in VIDEO_SUFFIXES


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
            f"{source}: not a kind of file that can be run on; expected a folder, a photo or video "
            f"({_list(SUFFIXES)}) or a list of them ({_list(LISTS)})"
        )
    return source.resolve()


def find_photos(source: Path) -> Iterator[Photo]:
    """Find the photos of a source, one by one.

    Args:
        source: A folder (walked with its subfolders), a photo or video, or a list of them.

    Yields:
        Each photo: those of a folder as the disk has them, those of a list in its order. Hidden
        files and the thumbnails that network drives and zips add are skipped.

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
    elif suffix == ".json":
        for name, given in read_instances(source):
            yield replace(_listed(source, name), given=given)
    else:
        yield from _table(source)


def _walk(folder: Path, prefix: str, above: tuple[Path, ...]) -> Iterator[Photo]:
    """Give the photos of a folder, then those of the folders in it."""
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                path = folder / entry.name
                if _is_folder(entry):
                    folders.append(entry.name)
                elif path.suffix.lower() in SUFFIXES:
                    yield Photo(prefix + _text(entry.name), path)
    except OSError as error:
        reason = f"this folder cannot be opened ({error.strerror})"
        yield Photo(prefix or ".", folder, problem=reason)
    for name in sorted(folders):
        path = folder / name
        real = path.resolve()
        if name not in _SKIPPED_FOLDERS and real not in above:  # a link may climb
            yield from _walk(path, f"{prefix}{_text(name)}/", (*above, real))


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: opening it will say so
        return False


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
    try:
        return Photo(_text(name), source.parent / name, truth)
    except UnicodeEncodeError:
        shown = name.encode("utf-8", "backslashreplace").decode()
        return Photo(shown, source, truth, "no file can have this name")


def _text(name: str) -> str:
    """Return a name that every format can hold; bytes that are no UTF-8 become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _list(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
