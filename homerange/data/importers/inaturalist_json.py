"""The files of the iNaturalist competitions, as one table of photos in columns.

Source: the competitions describe their files at github.com/visipedia/inat_comp. All years have the
lists ``images``, ``annotations``, ``categories`` and ``licenses`` of COCO. What differs:
    - 2017: a category has a name and a supercategory. Places, dates and observers are in a file of
      their own, ``train2017_locations.json`` for ``train2017.json``;
    - 2018 and 2019: names were hidden behind numbers. The real ones are in ``categories.json``.
      2018 has files of locations, 2019 has none;
    - 2021: an image knows its place, its uncertainty and its date.

Arrow reads them in columns, so that half a million photos are not half a million dictionaries.
"""

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from homerange.data.manifest import Refused
from homerange.data.names import class_key, looks_scientific
from homerange.errors import ManifestError
from homerange.progress import progress

__all__ = ["Photos", "locations_of", "read_photos", "taxon_columns"]

_Fields = dict[str, pa.DataType]

_TEXTS = ("name", "common_name", "supercategory", "class", "order", "family", "genus")
_CATEGORIES: _Fields = {"id": pa.int64()} | dict.fromkeys(_TEXTS, pa.string())
_IMAGES: _Fields = {"id": pa.int64(), "file_name": pa.string(), "license": pa.int64()}
_IMAGES |= dict.fromkeys(("rights_holder", "date"), pa.string())
_IMAGES |= dict.fromkeys(("latitude", "longitude", "location_uncertainty"), pa.float64())
_ANNOTATIONS: _Fields = {"image_id": pa.int64(), "category_id": pa.int64()}
_ANNOTATIONS |= {"bbox": pa.list_(pa.float64())}
_LICENCES: _Fields = {"id": pa.int64(), "name": pa.string(), "url": pa.string()}
_LOCATIONS: _Fields = {"id": pa.int64(), "date": pa.string(), "user_id": pa.int64()}
_LOCATIONS |= dict.fromkeys(("lat", "lon", "loc_uncert"), pa.float64())

_TAXON = ("species", "common_name", "taxon_class", "taxon_order", "taxon_family", "taxon_genus")
# Supercategories of 2017 that are a class of the taxonomy; Plantae, Fungi ... are something else.
_CLASSES = "Actinopterygii Amphibia Arachnida Aves Insecta Mammalia Reptilia".split()
_LARGEST_BYTES = 2**31 - 1  # of a block of Arrow's reader


@dataclass(frozen=True)
class Photos:
    """What files of annotations say, with the places of their photos."""

    table: pa.Table
    """A row for each annotation and for each photo without one: ``row``, counted through all files
    from 1; ``image_id`` and ``category_id``; ``observer``; and columns of the manifest."""

    taxa: pa.Table
    """The categories: ``id`` and the columns of ``taxon_columns``."""

    refused: list[Refused]
    notes: list[str]


def locations_of(source: Path, folder: Path | None) -> Path:
    """Name the file with the locations of ``source``, in ``folder`` or beside it.

    Example:
        >>> locations_of(Path("inat/train2017.json"), None).as_posix()
        'inat/train2017_locations.json'
    """
    return (folder or source.parent) / f"{source.stem}_locations.json"


def read_photos(
    sources: Sequence[Path], *, locations: Path | None = None, categories: Path | None = None
) -> Photos:
    """Read files of annotations such as ``train2017.json``.

    Args:
        sources: The files. Rows are counted as annotations, then photos without any.
        locations: Folder of ``train2017_locations.json`` and its like; beside each source if None.
            A source without such a file has no places: test sets have none.
        categories: File with the real names of the categories.

    Raises:
        ManifestError: If a file is absent or is not what it should be, or ``locations`` has no file
            for any source.
    """
    places = [locations_of(source, locations) for source in sources]
    if locations is not None and not any(path.is_file() for path in places):
        expected = " or ".join(path.name for path in places)
        raise ManifestError(f"{locations}: no such file in this folder; expected {expected}")
    files: list[Photos] = []
    before = 0
    with progress("read", len(sources), unit="files") as step:
        for source, path in zip(sources, places, strict=True):
            files.append(_read_file(source, path, categories, before))
            before += len(files[-1].table) + len(files[-1].refused)
            step()
    return Photos(
        pa.concat_tables([one.table for one in files]),
        pa.concat_tables([one.taxa for one in files]),
        [refused for one in files for refused in one.refused],
        [note for one in files for note in one.notes],
    )


def taxon_columns(taxa: pa.Table, category_ids: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    """Give species, common name and taxonomy of some categories; empty where one is null."""
    at = pc.index_in(category_ids, value_set=taxa["id"])
    return {name: taxa[name].take(at) for name in _TAXON}


def _read_file(source: Path, places: Path, categories: Path | None, before: int) -> Photos:
    needed = {"images": _IMAGES, "categories": _CATEGORIES}
    lists = _parse(
        _bytes(source), needed | {"annotations": _ANNOTATIONS, "licenses": _LICENCES}, source
    )
    if absent := [name for name in needed if lists[name] is None]:
        raise ManifestError(
            f"{source}: not of an iNaturalist competition, it has no list {absent[0]!r}"
        )
    found = lists["categories"] if categories is None else _read_list(categories, _CATEGORIES)
    taxa = _taxa(found, source if categories is None else categories)
    images, notes = _with_places(lists["images"], source, places)
    images = images.append_column("licence", _licences(lists["licenses"], lists["images"]))
    images = images.append_column("source", pa.repeat(source.stem, len(images)))
    annotations = lists["annotations"]
    if annotations is None:  # a test set
        annotations = _empty(_ANNOTATIONS)
    if boxes := len(annotations) - annotations["bbox"].null_count:
        notes.append(
            f"{boxes:,} annotations of {source.name} have boxes, which are not read here: "
            "homerange import coco reads them, without places"
        )
    table, refused = _rows(images, annotations, taxa, before)
    for name, column in taxon_columns(taxa, table["category_id"]).items():
        table = table.append_column(name, column)
    return Photos(table, taxa, refused, notes)


def _rows(
    images: pa.Table, annotations: pa.Table, taxa: pa.Table, before: int
) -> tuple[pa.Table, list[Refused]]:
    """Put annotations and images together; ``before`` rows stood in earlier files."""
    at = pc.index_in(annotations["image_id"], value_set=images["image_id"])
    named = pc.is_in(annotations["category_id"], value_set=taxa["id"])
    good_N = np.asarray(pc.and_(pc.is_valid(at), named))
    good, bad = np.flatnonzero(good_N), np.flatnonzero(~good_N)
    labelled = pc.is_in(images["image_id"], value_set=annotations["image_id"])
    alone = np.flatnonzero(~np.asarray(labelled))
    row_N = before + 1 + np.concatenate([good, len(annotations) + np.arange(len(alone))])
    category = annotations["category_id"].take(good).combine_chunks()
    category = pa.concat_arrays([category, pa.nulls(len(alone), pa.int64())])
    table = images.take(pa.array(np.concatenate([at.take(good), alone])))
    table = table.append_column("row", pa.array(row_N)).append_column("category_id", category)
    return table, [
        Refused(
            before + 1 + row,
            "" if image is None else images["image"][image].as_py() or "",
            f"no image has the id {image_id}"
            if image is None
            else f"no category has the id {category_id}",
        )
        for row, image, image_id, category_id in zip(
            bad.tolist(),
            at.take(bad).to_pylist(),
            annotations["image_id"].take(bad).to_pylist(),
            annotations["category_id"].take(bad).to_pylist(),
            strict=True,
        )
    ]


def _taxa(categories: pa.Table, source: Path) -> pa.Table:
    rows = [{**row, "name": row["name"] or ""} for row in categories.to_pylist()]
    if not any(looks_scientific(row["name"]) for row in rows):
        first = f" (the first is {rows[0]['name']!r})" if rows else ""
        raise ManifestError(
            f"{source}: none of its {len(rows):,} categories has a scientific name{first}. The "
            "competitions of 2018 and 2019 hid them: give the real ones with "
            "--categories categories.json"
        )
    kinds = [("id", pa.int64()), *((name, pa.string()) for name in _TAXON)]
    return pa.Table.from_pylist([_taxon(row) for row in rows], schema=pa.schema(kinds))


def _taxon(row: Mapping[str, str]) -> dict[str, object]:
    above = row["supercategory"]
    genus = row["name"].split()[0] if looks_scientific(row["name"]) else None
    return {
        "id": row["id"],
        "species": class_key(row["name"]),
        "common_name": row["common_name"] or None,
        "taxon_class": row["class"] or (above if above in _CLASSES else None),
        "taxon_order": row["order"] or None,
        "taxon_family": row["family"] or None,
        "taxon_genus": row["genus"] or genus,
    }


def _with_places(images: pa.Table, source: Path, path: Path) -> tuple[pa.Table, list[str]]:
    """Name the columns of images as the manifest does; add those of the file of locations."""
    notes = []
    places = _empty(_LOCATIONS)
    if path.is_file():
        places = _read_list(path, _LOCATIONS)
        notes.append(f"places and dates of {source.name} from {path}")
    elif images["latitude"].null_count == len(images):
        notes.append(
            f"{source.name} gives no places, and {path} is not there: its rows have none. Name the "
            "folder of that file with --locations"
        )
    at = pc.index_in(images["id"], value_set=places["id"])
    here = {name: places[name].take(at) for name in _LOCATIONS}
    observer = pc.coalesce(here["user_id"].cast(pa.string()), images["rights_holder"])
    table = pa.table(
        {
            "image_id": images["id"],
            "image": images["file_name"],
            "latitude_deg": _first(images["latitude"], here["lat"]),
            "longitude_deg": _first(images["longitude"], here["lon"]),
            "coordinate_uncertainty_m": _first(images["location_uncertainty"], here["loc_uncert"]),
            "datetime": pc.coalesce(images["date"], here["date"]),
            "observer": observer,
        }
    )
    return table, notes


def _first(numbers: pa.ChunkedArray, others: pa.ChunkedArray) -> pa.ChunkedArray:
    """Take the other number where one is unknown; the competitions write both null and NaN."""
    known = pc.if_else(pc.is_nan(numbers), None, numbers)
    return pc.coalesce(known, pc.if_else(pc.is_nan(others), None, others))


def _licences(licences: pa.Table | None, images: pa.Table) -> pa.ChunkedArray | pa.Array:
    """Give the licence of each image: the address of a Creative Commons one, else its name."""
    if licences is None:
        return pa.nulls(len(images), pa.string())
    is_cc = pc.fill_null(pc.match_substring(licences["url"], "creativecommons.org/"), False)
    words = pc.if_else(is_cc, licences["url"], licences["name"])
    return words.take(pc.index_in(images["license"], value_set=licences["id"]))


def _empty(fields: _Fields) -> pa.Table:
    return pa.schema(list(fields.items())).empty_table()


def _read_list(path: Path, fields: _Fields) -> pa.Table:
    """Read a file that is one list of objects."""
    found = _parse(b'{"list":%b}' % _bytes(path), {"list": fields}, path)["list"]
    if found is None or found["id"].null_count == len(found):
        raise ManifestError(f"{path}: expected a list of objects with an id; it has none")
    return found


def _bytes(path: Path) -> bytes:
    try:
        text = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: no such file") from error
    except OSError as error:  # a folder, or not ours to read
        raise ManifestError(f"{path}: cannot be read ({error.strerror})") from error
    if len(text) >= _LARGEST_BYTES:
        raise ManifestError(f"{path}: is larger than 2 GB, which is more than can be read")
    return text


def _parse(text: bytes, lists: Mapping[str, _Fields], path: Path) -> dict[str, pa.Table | None]:
    """Read the named lists of objects of a JSON object; None where one is absent."""
    kinds = {name: pa.list_(pa.struct(list(fields.items()))) for name, fields in lists.items()}
    how = pj.ParseOptions(
        explicit_schema=pa.schema(list(kinds.items())),
        unexpected_field_behavior="ignore",
        newlines_in_values=True,
    )
    try:
        whole = pj.read_json(
            pa.BufferReader(text),
            read_options=pj.ReadOptions(block_size=len(text) + 1),
            parse_options=how,
        )
    except pa.ArrowInvalid as error:
        raise ManifestError(
            f"{path}: not a JSON file of an iNaturalist competition ({error}). Other COCO files "
            "are read by: homerange import coco"
        ) from error
    tables: dict[str, pa.Table | None] = {}
    for name, fields in lists.items():
        column = whole[name].combine_chunks()
        rows = column.flatten().flatten()
        absent = column.null_count == len(column)
        tables[name] = None if absent else pa.table(dict(zip(fields, rows, strict=True)))
    return tables
