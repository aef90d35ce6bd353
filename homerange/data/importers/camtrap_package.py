"""A Camtrap DP package on disk: a folder or a zip with ``datapackage.json`` and three tables.

Source: Camtrap DP 1.0 (https://camtrap-dp.tdwg.org), a Frictionless Data Package. Which table is
which is told by the names of the resources in ``datapackage.json``, not by those of the files.

What we decide:
    - any version 1 is read, another one is refused: 0.1 has other columns;
    - of the columns only those must be there that the importer cannot do without;
    - an empty cell, ``NA``, ``NaN`` and ``nan`` are no value, as the table schemas say.
"""

import csv
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Self

from homerange.data.manifest import Refused
from homerange.errors import ManifestError

__all__ = ["CamtrapPackage", "CamtrapTable", "leaves_package"]

_DESCRIPTION = "datapackage.json"
_VERSION = re.compile(r"camtrap-dp/(?P<version>(?P<major>\d+)(\.\d+)+)/")
_MISSING_VALUES = {"", "NA", "NaN", "nan"}
_DAMAGED = (UnicodeDecodeError, csv.Error, zipfile.BadZipFile, zlib.error, EOFError)


@dataclass(frozen=True)
class CamtrapTable:
    """The rows of one table that have as many cells as its header."""

    file: str
    rows: list[tuple[int, Mapping[str, str]]]
    """Number of the row, counted from 1, and its cells that hold a value."""
    refused: list[Refused]

    def __len__(self) -> int:
        return len(self.rows) + len(self.refused)


@dataclass(frozen=True)
class CamtrapPackage:
    """What ``datapackage.json`` says, and where its files lie."""

    source: Path
    description: Mapping[str, object]
    root: Traversable
    """The folder of ``datapackage.json``; inside the zip for a zip."""

    @classmethod
    def open(cls, source: Path) -> Self:
        """Find and read ``datapackage.json``.

        Args:
            source: The folder, the zip, or ``datapackage.json`` itself.

        Raises:
            ManifestError: If there is none, or it does not describe Camtrap DP 1.
        """
        root = _root(source)
        try:
            description = json.loads((root / _DESCRIPTION).read_bytes())
        except (ValueError, RecursionError, *_DAMAGED) as error:
            raise ManifestError(f"{source}: {_DESCRIPTION} is not JSON ({error})") from error
        except OSError as error:
            raise ManifestError(f"{source}: {_DESCRIPTION} cannot be read ({error})") from error
        if not isinstance(description, dict) or not isinstance(description.get("resources"), list):
            raise ManifestError(
                f"{source}: {_DESCRIPTION} lists no resources; expected a Camtrap DP package"
            )
        _check_version(source, description.get("profile"))
        return cls(source, description, root)

    @property
    def is_zip(self) -> bool:
        """Whether the files lie in a zip, where nothing else can read them."""
        return not isinstance(self.root, Path)

    def text(self, key: str) -> str | None:
        """Return a text of the description; None where it is empty or no text."""
        value = self.description.get(key)
        return value.strip() or None if isinstance(value, str) else None

    def entries(self, key: str) -> list[Mapping[str, object]]:
        """Return a list of objects of the description; what is no object is left out."""
        values = self.description.get(key)
        return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []

    def has(self, file: str) -> bool:
        """Tell whether a file is part of the package."""
        return (self.root / file).is_file()

    def read(self, resource: str, needed: tuple[str, ...]) -> CamtrapTable:
        """Read a table.

        Args:
            resource: ``deployments``, ``media`` or ``observations``.
            needed: Columns that must be in the header.

        Raises:
            ManifestError: If the resource or a column is missing, or a file cannot be read.
        """
        entry = next((one for one in self.entries("resources") if one.get("name") == resource), {})
        paths = entry.get("path")
        files = [paths] if isinstance(paths, str) else paths if isinstance(paths, list) else []
        if not files:
            raise ManifestError(
                f"{self.source}: {_DESCRIPTION} gives no file for the resource {resource!r}; "
                "Camtrap DP has deployments, media and observations"
            )
        dialect = entry.get("dialect")
        delimiter = dialect.get("delimiter", ",") if isinstance(dialect, dict) else ","
        table = CamtrapTable(", ".join(map(str, files)), [], [])
        for file in map(str, files):
            self._read_file(file, str(delimiter), needed, table)
        return table

    def _read_file(
        self, file: str, delimiter: str, needed: tuple[str, ...], table: CamtrapTable
    ) -> None:
        if "://" in file or leaves_package(file):
            raise ManifestError(
                f"{self.source}: the table {file} is no file of the package. Download the whole "
                "package, with its tables"
            )
        try:
            with (self.root / file).open("rb") as raw:
                data = gzip.open(raw) if file.endswith(".gz") else raw
                text = io.TextIOWrapper(data, encoding="utf-8-sig", newline="")
                lines = csv.reader(text, delimiter=delimiter)
                header = next(lines, [])
                _check_header(f"{self.source}: {file}", header, needed)
                for line in filter(any, lines):
                    _add(table, header, line)
        except _DAMAGED as error:
            raise ManifestError(f"{self.source}: {file} cannot be read as CSV ({error})") from error
        except OSError as error:
            reason = error.strerror or error
            raise ManifestError(f"{self.source}: {file} cannot be read ({reason})") from error


def leaves_package(path: str) -> bool:
    """Tell whether a path could lead out of its package, which Camtrap DP forbids.

    Example:
        >>> leaves_package("media/a..b.jpg"), leaves_package("../a.jpg"), leaves_package("~/a.jpg")
        (False, True, True)
    """
    return path.startswith(("/", "\\", "~")) or ".." in PurePosixPath(path.replace("\\", "/")).parts


def _root(source: Path) -> Traversable:
    if source.name == _DESCRIPTION and source.is_file():
        return source.parent
    if source.is_dir():
        if not (source / _DESCRIPTION).is_file():
            raise ManifestError(
                f"{source}: holds no {_DESCRIPTION}; expected a Camtrap DP package, as a folder "
                "or a zip"
            )
        return source
    if not source.is_file():
        raise ManifestError(f"{source}: no such package")
    try:
        archive = zipfile.Path(zipfile.ZipFile(source))
    except zipfile.BadZipFile as error:
        raise ManifestError(
            f"{source}: is no zip, or a damaged one ({error}); expected a Camtrap DP package, as "
            "a folder or a zip"
        ) from error
    except OSError as error:
        raise ManifestError(f"{source}: cannot be read ({error.strerror})") from error
    folders = [archive, *(one for one in archive.iterdir() if one.is_dir())]
    for folder in folders:
        if (folder / _DESCRIPTION).is_file():
            return folder
    raise ManifestError(f"{source}: the zip holds no {_DESCRIPTION}; expected a Camtrap DP package")


def _check_version(source: Path, profile: object) -> None:
    found = _VERSION.search(str(profile))
    if found is None or found["major"] != "1":
        version = f"is Camtrap DP {found['version']}" if found else f"has the profile {profile!r}"
        raise ManifestError(
            f"{source}: {version}; homerange reads Camtrap DP 1.0. Export the package again as "
            "Camtrap DP 1.0"
        )


def _check_header(where: str, header: list[str], needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in header]
    if missing:
        raise ManifestError(
            f"{where} lacks the columns {', '.join(missing)}; it has {', '.join(header) or 'none'}"
        )


def _add(table: CamtrapTable, header: list[str], line: list[str]) -> None:
    number = len(table) + 1
    if len(line) != len(header):
        reason = f"{table.file}: has {len(line)} cells, but the header has {len(header)}"
        table.refused.append(Refused(number, "", reason))
        return
    cells = ((name, cell.strip()) for name, cell in zip(header, line, strict=True))
    table.rows.append((number, {n: cell for n, cell in cells if cell not in _MISSING_VALUES}))
