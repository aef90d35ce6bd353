"""Importers: one file for each kind of data set, all ending in the same last steps.

An importer reads its source into the columns of the manifest; ``complete`` then finds the photos,
asks their EXIF for a missing time or place, checks every row and deals out the splits.

Axes used in this file:
    N  rows
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from homerange.data.checks import check
from homerange.data.exif import ExifFacts, read_exif
from homerange.data.importers.folder import PhotoFolder
from homerange.data.manifest import Manifest, Refused, schema, with_column
from homerange.data.splits import assign_splits
from homerange.errors import ManifestError
from homerange.progress import progress

__all__ = ["Column", "Imported", "complete", "read_cells"]

_NOT_FOUND = "photo not found in"
_RESET_YEARS = ("1970", "1980")  # where the clocks of Unix and DOS devices start again

Column: TypeAlias = Sequence[object] | pa.Array | pa.ChunkedArray
"""Cells of one column: a list, or for large data sets an array of Arrow, which is smaller."""

_Value = TypeVar("_Value")
_Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Imported:
    """A manifest, the rows that could not be used, and counted facts for the user."""

    manifest: Manifest
    refused: list[Refused]
    notes: list[str]


def complete(
    columns: Mapping[str, Column],
    *,
    source: Path,
    photos: Path,
    row: Sequence[int],
    refused: Iterable[Refused],
    notes: Iterable[str],
    seed: int,
    exif: bool = True,
) -> Imported:
    """Turn columns into a checked manifest with splits.

    Args:
        columns: Manifest columns by name; absent ones are empty. Images as ``image_key`` writes.
        source: What was imported, for messages.
        photos: Folder that image paths start from.
        row: Data row of the source for each row, counted from 1.
        refused: Rows that the importer could not read.
        notes: What the importer has to tell.
        seed: Seed of the splits.
        exif: Whether to ask the photos for a time or place that the source does not give. Large
            data sets whose photos were written anew need not be opened for that.

    Raises:
        ManifestError: If no row can be used.
        CoordinateError: If latitude and longitude look swapped.
    """
    manifest = Manifest(_table(columns, len(row)), photos)
    manifest, row_N, again = _name_observations(manifest, np.array(row, np.int64))
    manifest, row_N, broken, check_notes = check(manifest, row_N)
    manifest, missing = _find_photos(manifest, row_N)
    all_refused = sorted([*refused, *again, *broken, *missing], key=lambda one: one.row)
    if len(manifest) == 0:
        raise ManifestError(_nothing_left(source, all_refused))
    manifest, exif_notes = _fill_from_exif(manifest) if exif else (manifest, [])
    splits = assign_splits(manifest, seed=seed)
    manifest = Manifest(with_column(manifest.table, "split", splits.names), photos)
    facts = [*notes, *check_notes, *exif_notes, *_facts(manifest.table), *splits.notes]
    return Imported(manifest, all_refused, facts)


def read_cells(
    cells: Sequence[str | None],
    read: Callable[[str], _Value | None],
    *,
    what: str,
    row: Sequence[int],
    notes: list[str],
) -> list[_Value | None]:
    """Read each cell that is not empty; count those that ``read`` cannot, with an example.

    Example:
        >>> notes = []
        >>> read_cells(["3", "x"], lambda cell: int(cell) if cell.isdigit() else None,
        ...            what="counts", row=[1, 2], notes=notes)
        [3, None]
        >>> notes
        ["1 counts are impossible or unreadable and are now empty, for example 'x' (row 2)"]
    """
    known = {cell: read(cell) for cell in set(cells) if cell is not None}
    bad = [i for i, cell in enumerate(cells) if cell is not None and known[cell] is None]
    if bad:
        notes.append(
            f"{len(bad):,} {what} are impossible or unreadable and are now empty, "
            f"for example {cells[bad[0]]!r} (row {row[bad[0]]})"
        )
    return [None if cell is None else known[cell] for cell in cells]


def _table(columns: Mapping[str, Column], rows: int) -> pa.Table:
    arrays = [_array(columns.get(field.name), field.type, rows) for field in schema()]
    return pa.Table.from_arrays(arrays, schema=schema())


def _array(cells: Column | None, kind: pa.DataType, rows: int) -> pa.Array | pa.ChunkedArray:
    if cells is None:
        return pa.nulls(rows, kind)
    if isinstance(cells, pa.Array | pa.ChunkedArray):
        return cells.cast(kind)
    return pa.array(cells, kind)


def _name_observations(manifest: Manifest, row_N: _Ints) -> tuple[Manifest, _Ints, list[Refused]]:
    """Give an id to each row that has none; refuse such a row where it repeats another."""
    images, ids = manifest.strings("image"), manifest.strings("observation_id")
    rows_of_photo = Counter(images)
    several = any(count > 1 for count in rows_of_photo.values())
    columns = [column.to_pylist() for column in manifest.table.columns] if several else []
    first_with: dict[tuple[object, ...], int] = {}
    taken: Counter[str] = Counter()
    again: dict[int, Refused] = {}
    for i, image in enumerate(images):
        if image is None or ids[i] is not None:
            continue
        if rows_of_photo[image] > 1:
            first = first_with.setdefault(tuple(column[i] for column in columns), i)
            if first != i:
                again[i] = Refused(int(row_N[i]), image, f"repeats row {row_N[first]}")
                continue
        taken[image] += 1
        ids[i] = image if taken[image] == 1 else f"{image}#{taken[image]}"
    keep_N = np.ones(len(ids), dtype=bool)
    keep_N[list(again)] = False
    named = Manifest(with_column(manifest.table, "observation_id", ids), manifest.root)
    return named.where(keep_N), row_N[keep_N], list(again.values())


def _find_photos(manifest: Manifest, row_N: _Ints) -> tuple[Manifest, list[Refused]]:
    images = manifest.strings("image")
    folder = PhotoFolder(manifest.root)
    found = [folder.find(image or "") for image in images]
    refused = [
        Refused(int(row_N[i]), image or "", f"{_NOT_FOUND} {manifest.root}")
        for i, image in enumerate(images)
        if found[i] is None
    ]
    renamed = Manifest(with_column(manifest.table, "image", found), manifest.root)
    return renamed.where(np.array([path is not None for path in found], dtype=bool)), refused


def _nothing_left(source: Path, refused: Sequence[Refused]) -> str:
    if not refused:
        return f"{source} has no rows; expected at least one photo"
    first = refused[0]
    found = f"{first.image or 'no image'}: {first.reason}"
    hint = ". Where the photos are elsewhere, name their folder with --photos"
    return (
        f"{source}: none of its {len(refused):,} rows can be used. Row {first.row}, {found}"
        f"{hint if first.reason.startswith(_NOT_FOUND) else ''}"
    )


def _fill_from_exif(manifest: Manifest) -> tuple[Manifest, list[str]]:
    names = ("datetime", "latitude_deg", "longitude_deg")
    table = manifest.table
    images = manifest.table["image"].to_pylist()
    times, lats, lons = (table[name].to_pylist() for name in names)
    wanting = [
        i
        for i, image in enumerate(images)
        if "://" not in image and (times[i] is None or lats[i] is None)
    ]
    facts = _read_all_exif({images[i] for i in wanting}, manifest.root)
    new_times = new_places = 0
    for i in wanting:
        fact = facts[images[i]]
        if times[i] is None and fact.datetime is not None:
            times[i], new_times = fact.datetime, new_times + 1
        if lats[i] is None and fact.latitude_deg is not None:
            lats[i], lons[i], new_places = fact.latitude_deg, fact.longitude_deg, new_places + 1
    for name, values in zip(names, (times, lats, lons), strict=True):
        table = with_column(table, name, values)
    counts = ((new_times, "their time"), (new_places, "their coordinates"))
    notes = [f"{count:,} rows took {what} from EXIF" for count, what in counts if count]
    return Manifest(table, manifest.root), notes


def _read_all_exif(images: set[str], photos: Path) -> dict[str, ExifFacts]:
    facts: dict[str, ExifFacts] = {}
    if images:
        with progress("read EXIF", len(images), unit="photos") as step:
            for image in sorted(images):
                facts[image] = read_exif(photos / image)
                step()
    return facts


def _facts(table: pa.Table) -> list[str]:
    years = pc.utf8_slice_codeunits(table["datetime"], 0, 4)
    reset = pc.sum(pc.is_in(years, pa.array(_RESET_YEARS))).as_py()
    whole = table.filter(pc.is_null(table["bbox_x"]))
    species = whole.group_by("image").aggregate([("species", "count_distinct")])
    several = pc.sum(pc.greater(species["species_count_distinct"], 1)).as_py()
    facts = (
        (table["species"].null_count, "rows have no species"),
        (table["datetime"].null_count, "rows have no time"),
        (table["latitude_deg"].null_count, "rows have no coordinates"),
        (reset, f"rows have a time in {' or '.join(_RESET_YEARS)}: was the clock reset?"),
        (several, "photos show several species without boxes"),
    )
    return [f"{count:,} {what}" for count, what in facts if count]
