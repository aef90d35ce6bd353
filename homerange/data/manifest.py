"""The manifest: one Parquet table of observations that every later step reads.

One row is one observation: a photo, or one animal in it (several rows may share a photo). The
columns and their units are documented in docs/manifest.md; times follow ISO 8601, coordinates
are WGS 84 degrees, boxes are shares of the photo's width and height as in Camtrap DP 1.0.

What rows must hold is checked once, on import (``data/checks.py``); the reader checks the version,
the columns and their types.

Axes used in this file:
    N  rows
"""

import csv
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from homerange.data.names import OUTCOMES
from homerange.errors import ManifestError
from homerange.output import atomic_file, obstacle, writing

__all__ = [
    "BOX_COLUMNS",
    "MANIFEST_VERSION",
    "SPLITS",
    "Manifest",
    "Refused",
    "check_output",
    "schema",
    "summary_lines",
    "with_column",
    "write_refused",
]

MANIFEST_VERSION = 1
SPLITS = ("train", "val", "test")

BOX_COLUMNS = ("bbox_x", "bbox_y", "bbox_width", "bbox_height")


def schema() -> pa.Schema:
    """Return the columns of a manifest, in order, with their types.

    Example:
        >>> schema().names[:3]
        ['image', 'observation_id', 'species']
    """
    texts = ("species", "common_name", "taxon_class", "taxon_order", "taxon_family", "taxon_genus")
    last_texts = ("datetime", "region_id", "location_id", "sequence_id", "split", "source")
    return pa.schema(
        [
            pa.field("image", pa.string(), nullable=False),
            pa.field("observation_id", pa.string(), nullable=False),
            *(pa.field(name, pa.string()) for name in texts),
            *(pa.field(name, pa.float32()) for name in BOX_COLUMNS),
            pa.field("count", pa.int32()),
            pa.field("latitude_deg", pa.float64()),
            pa.field("longitude_deg", pa.float64()),
            pa.field("coordinate_uncertainty_m", pa.float32()),
            *(pa.field(name, pa.string()) for name in (*last_texts, "licence")),
        ]
    )


@dataclass(frozen=True)
class Refused:
    """One row of a source that could not be used, and why."""

    row: int
    """Data row of the source, counted from 1."""

    image: str
    reason: str


@dataclass(frozen=True)
class Manifest:
    """A table of observations and the folder that its image paths start from."""

    table: pa.Table
    root: Path

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a manifest.

        Raises:
            ManifestError: If the file is absent, no Parquet, of another version, or lacks a column.
        """
        table = _read_parquet(path)
        metadata = table.schema.metadata or {}
        version = metadata.get(b"homerange.manifest_version", b"none").decode()
        if version != str(MANIFEST_VERSION):
            raise ManifestError(
                f"{path}: manifest version {version}, expected {MANIFEST_VERSION}. "
                "Make it again with: homerange import"
            )
        table = _conform(table, path)
        root = Path(os.path.normpath(path.resolve().parent / metadata[b"homerange.root"].decode()))
        return cls(table, root)

    def write(self, path: Path) -> None:
        """Write the manifest as Parquet; the root is stored relative to it where possible.

        Raises:
            ManifestError: If it cannot be written; an older manifest of that name is then whole.
        """
        try:
            root = Path(os.path.relpath(self.root.resolve(), path.resolve().parent)).as_posix()
        except ValueError:  # another drive on Windows
            root = self.root.resolve().as_posix()
        metadata = {"homerange.manifest_version": str(MANIFEST_VERSION), "homerange.root": root}
        table = self.table.replace_schema_metadata(metadata)
        with writing(path, ManifestError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path) as file:
                pq.write_table(table, file, compression="zstd")

    def split(self, name: str) -> Self:
        """Return the rows of one split: ``train``, ``val`` or ``test``.

        Raises:
            ManifestError: If there is no split of that name.
        """
        if name not in SPLITS:
            raise ManifestError(f"no split is named {name!r}; expected one of {', '.join(SPLITS)}")
        return self._rows(pc.equal(self.table["split"], name))

    def labelled(self) -> Self:
        """Return the rows with a species or an outcome."""
        return self._rows(pc.is_valid(self.table["species"]))

    def where(self, mask_N: NDArray[np.bool_]) -> Self:
        """Return the rows where ``mask_N`` is true."""
        return self._rows(pa.array(mask_N))

    def take(self, row_N: NDArray[np.integer]) -> Self:
        """Return the rows of these numbers, in this order; a row may come several times."""
        return type(self)(self.table.take(pa.array(row_N)), self.root)

    def strings(self, column: str) -> list[str | None]:
        """Return a text column as a list."""
        values: list[str | None] = self.table[column].to_pylist()
        return values

    def floats_N(self, column: str) -> NDArray[np.float64]:
        """Return a column of numbers, shape (N,); nan where unknown."""
        values = self.table[column].cast(pa.float64()).fill_null(np.nan)
        return np.asarray(values, dtype=np.float64)

    def latlon_N2(self) -> NDArray[np.float64]:
        """Return latitude and longitude, WGS 84 degrees, shape (N, 2); nan where unknown."""
        return np.stack([self.floats_N("latitude_deg"), self.floats_N("longitude_deg")], axis=1)

    def image_path(self, row: int) -> Path:
        """Return the file of a row's photo.

        Raises:
            ManifestError: If the photo is an address on the web.
        """
        image: str = self.table["image"][row].as_py()
        if "://" in image:
            raise ManifestError(f"{image} is not on this machine; download it and import again")
        return self.root / image

    def bbox(self, row: int) -> tuple[float, float, float, float] | None:
        """Return a row's box (x, y, width, height) in shares of the photo, or None."""
        x, y, width, height = (self.table[name][row].as_py() for name in BOX_COLUMNS)
        return None if x is None else (x, y, width, height)

    def _rows(self, mask_N: pa.Array) -> Self:
        return type(self)(self.table.filter(mask_N), self.root)


def check_output(path: Path, *inputs: Path) -> None:
    """Refuse, before any work, a file that cannot be written or that the work reads.

    Raises:
        ManifestError: If so.
    """
    if found := obstacle(path, inputs=inputs):
        raise ManifestError(f"{path}: {found}")


def write_refused(refused: Sequence[Refused], path: Path) -> None:
    """Write the refused rows as CSV: row, image, reason; where there are none, leave no file.

    Raises:
        ManifestError: If the file cannot be written, or that of an earlier import not be removed.
    """
    with writing(path, ManifestError):
        if not refused:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["row", "image", "reason"])
            writer.writerows((one.row, one.image, one.reason) for one in refused)


def with_column(table: pa.Table, name: str, values: Sequence[object] | pa.Array) -> pa.Table:
    """Return the table with one column of the manifest replaced; nan counts as null."""
    field = schema().field(name)
    column = pa.array(values, field.type, from_pandas=True)
    return table.set_column(table.schema.get_field_index(name), field, column)


def summary_lines(manifest: Manifest) -> list[str]:
    """Describe a manifest in a few lines: rows, species, places, times, splits."""
    table = manifest.table
    rows_of = Counter(manifest.strings("species"))
    outcomes = {name: rows_of.pop(name, 0) for name in OUTCOMES}
    unlabelled = rows_of.pop(None, 0)
    times = sorted(time for time in manifest.strings("datetime") if time)
    located = len(manifest) - table["latitude_deg"].null_count
    span = f", from {times[0][:10]} to {times[-1][:10]}" if times else ""
    labels = "".join(f", {rows:,} {name}" for name, rows in outcomes.items() if rows)
    split = Counter(manifest.strings("split"))
    return [
        f"{len(manifest):,} observations in {_distinct(table, 'image'):,} photos",
        f"{rows_of.total():,} of {len(rows_of):,} species{labels}, {unlabelled:,} without a label",
        f"{located:,} with coordinates, {_distinct(table, 'region_id'):,} regions, "
        f"{_distinct(table, 'location_id'):,} cameras",
        f"{len(times):,} with a time{span}",
        "split: " + ", ".join(f"{split[name]:,} {name}" for name in SPLITS),
    ]


def _read_parquet(path: Path) -> pa.Table:
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest. Make one with: homerange import")
    try:
        return pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise ManifestError(f"{path}: not a Parquet file ({error})") from error


def _conform(table: pa.Table, path: Path) -> pa.Table:
    missing = [name for name in schema().names if name not in table.column_names]
    if missing:
        raise ManifestError(f"{path}: the manifest lacks the columns {', '.join(missing)}")
    try:
        table = table.select(schema().names).replace_schema_metadata(None).cast(schema())
    except (pa.ArrowInvalid, ValueError) as error:
        raise ManifestError(
            f"{path}: a column has the wrong type or misses values ({error})"
        ) from error
    return table.combine_chunks()


def _distinct(table: pa.Table, column: str) -> int:
    return int(pc.count_distinct(table[column]).as_py())
