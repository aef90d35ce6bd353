"""Import the photos of an iNaturalist competition, 2017 to 2021, with their places.

Source: the annotations and locations of github.com/visipedia/inat_comp, read by
``inaturalist_json.py``.

What we decide:
    - the name of a file tells the split: ``train2017.json``, ``val.json``, ``test2018.json``. The
      competitions' splits stay;
    - the photos that one observer took on one day are a sequence: they may show one animal. Where a
      competition does not number its observers, the holder of the rights is the observer;
    - ``loc_uncert`` and ``location_uncertainty`` are metres. iNaturalist blurs the places of
      sensitive species on purpose, by tens of kilometres;
    - a photo without coordinates stays, and EXIF is not asked: iNaturalist withheld them.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from homerange.data.importers import Column, Imported, complete, read_cells
from homerange.data.importers.inaturalist_json import read_photos
from homerange.data.manifest import SPLITS, schema
from homerange.data.regions import name_cells
from homerange.data.times import read_time
from homerange.errors import ManifestError

__all__ = ["import_inaturalist", "photo_columns"]


def import_inaturalist(
    sources: Sequence[Path],
    *,
    photos: Path | None = None,
    locations: Path | None = None,
    categories: Path | None = None,
    cells: int | None = None,
) -> Imported:
    """Import files of annotations of an iNaturalist competition.

    Args:
        sources: ``train2017.json``, ``val2017.json`` and their like, of one competition.
        photos: Folder that ``file_name`` starts from; the folder of the first file by default.
        locations: Folder of the files of locations; the folder of each file by default.
        categories: File with the real names of the categories, for 2018 and 2019.
        cells: Most photos of an S2 cell: each photo gets such a cell as its ``region_id``, and
            cells with fewer than a hundredth of it give none.

    Returns:
        The manifest, the refused rows and notes.

    Raises:
        ManifestError: If a file cannot be read or is not of a competition, its name tells no split,
            or no row can be used.
        CoordinateError: If latitude and longitude look swapped.
        ConfigError: If ``cells`` is less than 1.
    """
    split_of = {source.stem: _split(source) for source in sources}
    found = read_photos(sources, locations=locations, categories=categories)
    row = found.table["row"].to_pylist()
    notes = list(found.notes)
    columns = photo_columns(found.table, row, notes)
    columns["split"] = [split_of[stem] for stem in found.table["source"].to_pylist()]
    imported = complete(
        columns,
        source=sources[0],
        photos=sources[0].parent if photos is None else photos,
        row=row,
        refused=found.refused,
        notes=notes,
        seed=0,  # every row has its split
        exif=False,
    )
    return imported if cells is None else _in_cells(imported, cells)


def photo_columns(table: pa.Table, row: Sequence[int], notes: list[str]) -> dict[str, Column]:
    """Turn photos as ``read_photos`` gives them into columns of the manifest.

    Args:
        table: The photos.
        row: Data row of the source for each, counted from 1.
        notes: Gets a note for times that cannot be read.
    """
    ours = [name for name in schema().names if name in table.column_names]
    columns: dict[str, Column] = {name: table[name] for name in ours}
    found = table["datetime"].to_pylist()
    times = pa.array(read_cells(found, read_time, what="times", row=row, notes=notes), pa.string())
    day = pc.utf8_slice_codeunits(times, 0, len("2017-05-01"))
    columns["datetime"] = times
    columns["sequence_id"] = pc.binary_join_element_wise(table["observer"], day, " ")
    return columns


def _split(source: Path) -> str:
    found = re.match("|".join(SPLITS), source.name)
    if found is None:
        raise ManifestError(
            f"{source}: its name tells no split; expected one that begins with train, val or test, "
            "as in train2017.json"
        )
    return found[0]


def _in_cells(imported: Imported, cells: int) -> Imported:
    manifest, notes = name_cells(imported.manifest, n_max=cells)
    return Imported(manifest, imported.refused, [*imported.notes, *notes])
