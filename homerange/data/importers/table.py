"""Import a table of photos: CSV (comma, semicolon or tab) or Parquet, one row per observation.

Column names are those that camera-trap projects, Darwin Core, Camtrap DP, iNaturalist and
SpeciesNet use; case, spaces and underscores do not matter. Other names are mapped by the caller.

What we decide:
    - a blank, a person or a vehicle may stand in the species or in the common name column;
    - a species of one small word beside a genus column is an epithet, as Wildlife Insights writes;
    - a column ``date`` without a clock is joined with a column ``time``, if there is one;
    - in a table with semicolons or tabs "51,5" is a number with a decimal comma.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from homerange.data.importers import Imported, complete, read_cells
from homerange.data.importers.folder import image_key
from homerange.data.manifest import Refused, schema
from homerange.data.names import class_key, outcome
from homerange.data.times import read_time
from homerange.errors import ManifestError

__all__ = ["import_table", "usual_column"]

# Our column: the names that others give it, the most telling first.
_ALIASES = {
    "image": "filepath path file filename image imagepath imagefile photo photopath url",
    "observation_id": "observationid occurrenceid",
    "species": "species scientificname taxon taxonname speciesname label",
    "common_name": "commonname vernacularname",
    "taxon_class": "taxonclass class",
    "taxon_order": "taxonorder order",
    "taxon_family": "taxonfamily family",
    "taxon_genus": "taxongenus genus",
    "bbox_x": "bboxx",
    "bbox_y": "bboxy",
    "bbox_width": "bboxwidth bboxw",
    "bbox_height": "bboxheight bboxh",
    "count": "count individualcount numberofobjects groupsize",
    "latitude_deg": "latitudedeg latitude lat decimallatitude",
    "longitude_deg": "longitudedeg longitude lon lng long decimallongitude",
    "coordinate_uncertainty_m": "coordinateuncertaintym coordinateuncertaintyinmeters "
    "coordinateuncertainty positionalaccuracy",
    "datetime": "datetime timestamp eventdate datetimeoriginal capturetime observedon date",
    "region_id": "regionid region siteid site",
    "location_id": "locationid location deploymentid deployment cameraid camera stationid station",
    "sequence_id": "sequenceid seqid sequence eventid burstid",
    "split": "split subset",
    "source": "source dataset datasetname",
    "licence": "licence license",
}
_SPLIT_WORDS = {"train": "train", "training": "train", "val": "val", "valid": "val"}
_SPLIT_WORDS |= {"validation": "val", "test": "test", "testing": "test"}
_EMPTY = {"", "na", "n/a", "nan", "null"}

_Cells = list[str | None]


def import_table(
    source: Path,
    *,
    photos: Path | None = None,
    columns: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Imported:
    """Import a CSV or Parquet table.

    Args:
        source: The table. CSV is UTF-8, with a header.
        photos: Folder that the image paths start from; the folder of the table by default.
        columns: Manifest column -> column of the table, for names that are not usual ones.
        seed: Seed of the splits.

    Returns:
        The manifest, the refused rows and notes.

    Raises:
        ManifestError: If the table or a column cannot be found or read, or no row can be used.
        CoordinateError: If latitude and longitude look swapped.
    """
    cells, row, refused, decimal_comma = _read(source)
    chosen = _choose(list(cells), columns or {}, source)
    ours: dict[str, _Cells] = {name: cells[theirs] for name, theirs in chosen.items()}
    if _plain(chosen.get("datetime", "")) == "date":
        ours["datetime"] = _with_clock(ours["datetime"], cells)
    notes = [_columns_note(chosen, list(cells))]
    number = _comma_number if decimal_comma else _number
    return complete(
        _convert(ours, row, notes, number),
        source=source,
        photos=source.parent if photos is None else photos,
        row=row,
        refused=refused,
        notes=notes,
        seed=seed,
    )


def _read(source: Path) -> tuple[dict[str, _Cells], list[int], list[Refused], bool]:
    if source.is_dir():
        raise ManifestError(f"{source}: is a folder; expected a CSV or Parquet file")
    if not source.is_file():
        raise ManifestError(f"{source}: no such table")
    if source.suffix.lower() in {".parquet", ".pq"}:
        cells = _read_parquet(source)
        rows = len(next(iter(cells.values()), []))
        return cells, list(range(1, rows + 1)), [], False
    return _read_csv(source)


def _read_parquet(source: Path) -> dict[str, _Cells]:
    try:
        table = pq.read_table(source)
    except pa.ArrowInvalid as error:
        raise ManifestError(f"{source}: not a Parquet file ({error})") from error
    return {name: [_text(v) for v in table[name].to_pylist()] for name in table.column_names}


def _text(value: object) -> str | None:
    if isinstance(value, date):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a whole-number id that met a null became a float
    return None if value is None else _cell(str(value))


def _cell(text: str) -> str | None:
    text = text.strip()
    return None if text.casefold() in _EMPTY else text


def _read_csv(source: Path) -> tuple[dict[str, _Cells], list[int], list[Refused], bool]:
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            head = file.readline()
            delimiter = max(",;\t", key=head.count)
            file.seek(0)
            lines = [line for line in csv.reader(file, delimiter=delimiter) if any(line)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(
            f"{source}: cannot be read as a table ({error}). Save it as CSV in UTF-8, or Parquet"
        ) from error
    except OSError as error:
        raise ManifestError(f"{source}: cannot be read ({error.strerror})") from error
    if not lines:
        raise ManifestError(f"{source}: the table is empty; expected a header line and rows")
    names = [name.strip() for name in lines[0]]
    row = [i for i, line in enumerate(lines) if i > 0 and len(line) == len(names)]
    refused = [
        Refused(i, "", f"has {len(line)} cells, but the header has {len(names)}")
        for i, line in enumerate(lines)
        if i > 0 and len(line) != len(names)
    ]
    cells = {name: [_cell(lines[i][at]) for i in row] for at, name in enumerate(names)}
    return cells, row, refused, delimiter != ","


def _choose(found: Sequence[str], columns: Mapping[str, str], source: Path) -> dict[str, str]:
    """Pair our columns with theirs: the caller's mapping first, then the usual names."""
    there = f"{source} has the columns {', '.join(found)}"
    for ours, theirs in columns.items():
        if ours not in _ALIASES:
            raise ManifestError(
                f"{ours!r} is no column of a manifest; expected one of {', '.join(_ALIASES)}"
            )
        if theirs not in found:
            raise ManifestError(f"no column {theirs!r} to read {ours} from; {there}")
    left = [name for name in found if name not in columns.values()]
    usual = {ours: usual_column(ours, left) for ours in _ALIASES if ours not in columns}
    chosen = {**columns, **{ours: theirs for ours, theirs in usual.items() if theirs}}
    if "image" not in chosen:
        raise ManifestError(f"no column holds the photos; {there}. Map one: --column image=NAME")
    return chosen


def usual_column(ours: str, found: Sequence[str]) -> str | None:
    """Return the column of a table that holds one of ours by its usual names, the most telling.

    Example:
        >>> usual_column("latitude_deg", ["Decimal Latitude", "species"])
        'Decimal Latitude'
    """
    by_plain_name = {_plain(name): name for name in reversed(found)}
    return next((by_plain_name[a] for a in _ALIASES[ours].split() if a in by_plain_name), None)


def _plain(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign.isalnum())


def _with_clock(dates: _Cells, cells: Mapping[str, _Cells]) -> _Cells:
    """Join a column of dates with the column of clock times beside it, if there is one."""
    clocks = next((cells[name] for name in cells if _plain(name) == "time"), None)
    if clocks is None:
        return dates
    pairs = zip(dates, clocks, strict=True)
    return [f"{day} {clock}" if day and clock else day for day, clock in pairs]


def _columns_note(chosen: Mapping[str, str], found: Sequence[str]) -> str:
    read = ", ".join(
        ours if ours == theirs else f"{ours} from {theirs}" for ours, theirs in chosen.items()
    )
    unused = [name for name in found if name not in chosen.values()]
    return f"columns read: {read}" + (f"; not used: {', '.join(unused)}" if unused else "")


def _convert(
    ours: Mapping[str, _Cells],
    row: Sequence[int],
    notes: list[str],
    number: Callable[[str], float | None],
) -> dict[str, Sequence[object]]:
    readers: dict[str, tuple[Callable[[str], object], str]] = {
        "image": (image_key, "image paths"),
        "datetime": (read_time, "times"),
        "split": (lambda text: _SPLIT_WORDS.get(text.casefold()), "splits"),
        "count": (_whole_number, "counts"),
    }
    for name, kind in zip(schema().names, schema().types, strict=True):
        if pa.types.is_floating(kind):
            readers[name] = (number, f"values of {name}")
    read: dict[str, Sequence[object]] = dict(ours)
    for name in ours.keys() & readers.keys():
        reader, what = readers[name]
        read[name] = read_cells(ours[name], reader, what=what, row=row, notes=notes)
    read["species"] = _species(ours, len(row))
    return read


def _species(ours: Mapping[str, _Cells], rows: int) -> _Cells:
    empty: _Cells = [None] * rows
    columns = (ours.get(name, empty) for name in ("species", "common_name", "taxon_genus"))
    return [_one_species(*cells) for cells in zip(*columns, strict=True)]


def _one_species(species: str | None, common: str | None, genus: str | None) -> str | None:
    if species is None:
        return None if common is None else outcome(common)
    if genus is not None and species.islower() and species.isalpha() and outcome(species) is None:
        species = f"{genus} {species}"
    return class_key(species)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _comma_number(text: str) -> float | None:
    return _number(text if "." in text else text.replace(",", "."))


def _whole_number(text: str) -> int | None:
    value = _number(text)
    return int(value) if value is not None and value.is_integer() and 0 <= value < 2**31 else None
