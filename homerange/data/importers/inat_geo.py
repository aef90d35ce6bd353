"""Import iNaturalist-Geo: photos of iNaturalist 2017, divided among S2 cells.

Source: the splits of Hsu, Qi and Brown (ECCV 2020), ``inaturalist-geo.zip`` of
github.com/google-research/google-research, folder ``federated_vision_datasets``. The training CSV
has the columns ``user_id`` (an S2 cell such as ``2/1``), ``image_id``, ``class`` (a number of its
own) and ``label`` (the category of iNaturalist 2017); ``test.csv`` has no cell. TensorFlow
Federated has the same splits in one CSV with a column for each: ``geo_100`` ... ``geo_30k``, where
``NA`` is a photo in no cell.

What we decide:
    - photos, names and places come from the files of iNaturalist 2017, because the CSV has none.
      An ``image_id`` of digits is an id of these files; any other is the name of a photo's file
      without folder and suffix, as TensorFlow Federated reads it;
    - of the training photos of each cell a fifth, drawn at random and rounded up, is val: the
      paper's table 1. Cells of one photo have none;
    - the cell is the region. Test photos have no cell, hence no region.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from homerange.data.importers import Imported, complete
from homerange.data.importers.csv_columns import read_columns
from homerange.data.importers.inaturalist import photo_columns
from homerange.data.importers.inaturalist_json import Photos, read_photos, taxon_columns
from homerange.data.manifest import Refused
from homerange.errors import ManifestError, PlaceError
from homerange.geo.cells import parse_cell, to_path

__all__ = ["import_inat_geo"]

_NO_CELL = "NA"
_VAL_SHARE = 5  # one in so many


def import_inat_geo(
    source: Path,
    *,
    annotations: Sequence[Path],
    test: Path | None = None,
    column: str = "user_id",
    photos: Path | None = None,
    locations: Path | None = None,
    seed: int = 0,
) -> Imported:
    """Import a split of iNaturalist-Geo.

    Args:
        source: The CSV of the training photos.
        annotations: Files of iNaturalist 2017 that have these photos: ``train2017.json``, and what
            else has photos of ``test``.
        test: The CSV of the test photos.
        column: Column of the cell of each training photo.
        photos: Folder that the paths of iNaturalist 2017 start from; that of the first file of
            annotations by default.
        locations: Folder of the files of locations; the folder of each annotation file by default.
        seed: Seed of the choice of val.

    Returns:
        The manifest, the refused rows and notes. Rows are counted through both CSV files.

    Raises:
        ManifestError: If a file is absent or not what it should be, a cell is no S2 cell, or no row
            can be used.
    """
    rows = _training_rows(source, column, seed)
    if test is not None:
        rows = pa.concat_tables([rows, _test_rows(test)])
    rows = rows.append_column("row", pa.array(np.arange(len(rows)) + 1))
    notes: list[str] = []
    rows = _without_no_cell(rows, notes)
    known = read_photos(annotations, locations=locations)
    at, refused = _find(rows, known, annotations)
    rows = rows.filter(pc.is_valid(at))
    photo = known.table.take(pc.drop_null(at))
    row = rows["row"].to_pylist()
    columns = photo_columns(photo, row, notes)
    columns |= taxon_columns(known.taxa, pc.coalesce(photo["category_id"], _number(rows["label"])))
    return complete(
        columns | {"region_id": rows["region"], "split": rows["split"]},
        source=source,
        photos=annotations[0].parent if photos is None else photos,
        row=row,
        refused=refused,
        notes=[*notes, *known.notes],
        seed=0,  # every row has its split
        exif=False,
    )


def _training_rows(source: Path, column: str, seed: int) -> pa.Table:
    """Read the training photos with their cells; choose val."""
    what = "a training split of iNaturalist-Geo"
    table = read_columns(source, (column, "image_id"), what=what, optional=("label",))
    cells = table[column].to_pylist()
    name_of = {cell: _cell(cell, source, column) for cell in set(cells)}
    regions = [name_of[cell] for cell in cells]
    val_N = _val_N(table["image_id"].to_pylist(), regions, seed)
    return _rows(table, regions, ["val" if val else "train" for val in val_N.tolist()])


def _test_rows(source: Path) -> pa.Table:
    what = "the test split of iNaturalist-Geo"
    table = read_columns(source, ("image_id",), what=what, optional=("label",))
    return _rows(table, [None] * len(table), ["test"] * len(table))


def _rows(table: pa.Table, regions: Sequence[str | None], splits: Sequence[str]) -> pa.Table:
    has_label = "label" in table.column_names
    label = table["label"] if has_label else pa.nulls(len(table), pa.string())
    texts = {"region": pa.array(regions, pa.string()), "split": pa.array(splits, pa.string())}
    return pa.table({"image_id": table["image_id"], "label": label} | texts)


def _cell(text: str | None, source: Path, column: str) -> str:
    """Write a cell in one form, or ``NA``."""
    if text == _NO_CELL:
        return _NO_CELL
    try:
        if text is None or "/" not in text:  # a number of a user could pass for a token
            raise PlaceError
        return to_path(parse_cell(text))
    except PlaceError as error:
        raise ManifestError(
            f"{source}: the column {column} has {text!r}; expected S2 cells such as 2/1. Is this "
            "the split by user, not by place?"
        ) from error


def _val_N(image_ids: Sequence[str | None], regions: Sequence[str], seed: int) -> NDArray[np.bool_]:
    """Draw a fifth of each region, rounded up, but never all of it; rows in any order."""
    by_id_N = np.argsort(np.array([one or "" for one in image_ids], dtype=str), kind="stable")
    draw_N = np.empty(len(by_id_N))
    draw_N[by_id_N] = np.random.default_rng(seed).random(len(by_id_N))
    _, region_N, photos_R = np.unique(regions, return_inverse=True, return_counts=True)
    order_N = np.lexsort((draw_N, region_N))
    place_N = np.arange(len(order_N)) - np.repeat(np.cumsum(photos_R) - photos_R, photos_R)
    wanted_R = np.minimum(-(-photos_R // _VAL_SHARE), photos_R - 1)
    val_N = np.zeros(len(order_N), dtype=bool)
    val_N[order_N] = place_N < np.repeat(wanted_R, photos_R)
    return val_N


def _without_no_cell(rows: pa.Table, notes: list[str]) -> pa.Table:
    outside = pc.fill_null(pc.equal(rows["region"], _NO_CELL), False)
    if count := pc.sum(outside).as_py():
        notes.append(f"{count:,} training photos are in no cell ({_NO_CELL}) and are left out")
    return rows.filter(pc.invert(outside))


def _find(
    rows: pa.Table, known: Photos, annotations: Sequence[Path]
) -> tuple[pa.ChunkedArray, list[Refused]]:
    """Find the photo of each row, null where there is none of that label; say why not."""
    ids, photos = rows["image_id"], known.table
    numbers = _number(ids).null_count == 0
    stems = pc.replace_substring_regex(photos["image"], r"^.*/|\.[^.]*$", "")
    at = pc.index_in(ids, value_set=photos["image_id"].cast(pa.string()) if numbers else stems)
    label, category = _number(rows["label"]), photos["category_id"].take(at)
    files = " or ".join(path.name for path in annotations)
    unread = pc.and_(pc.is_valid(rows["label"]), pc.is_null(label))
    nameless = pc.is_null(pc.coalesce(category, label))
    stated = pc.is_in(label, value_set=known.taxa["id"])
    unknown = pc.and_(pc.is_null(category), pc.invert(stated))
    other = pc.fill_null(pc.not_equal(label, category), False)
    facts = (
        (pc.is_null(at), f"no photo of {files} has this id"),
        (unread, "the label is no number"),
        (nameless, f"neither a label nor {files} names the photo"),
        (unknown, f"the label is no category of {files}"),
        (other, f"the label is another category than in {files}"),
    )
    reasons: dict[int, str] = {}
    for bad, why in facts:
        for i in np.flatnonzero(bad).tolist():
            reasons.setdefault(i, why)
    good_N = np.ones(len(rows), dtype=bool)
    good_N[list(reasons)] = False
    refused = [
        Refused(rows["row"][i].as_py(), ids[i].as_py() or "", why)
        for i, why in sorted(reasons.items())
    ]
    return pc.if_else(pa.array(good_N), at, None), refused


def _number(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read whole numbers; null where a text is none."""
    digits = pc.fill_null(pc.match_substring_regex(texts, r"^[0-9]{1,9}$"), False)
    return pc.if_else(digits, texts, None).cast(pa.int64())
