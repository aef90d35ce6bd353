"""Records of species at places, from a table of occurrences or from a manifest; no photo is needed.

Tables are CSV (comma, semicolon or tab, plain or .gz) or Parquet, with the column names that
``table.py`` knows. A table with semicolons or tabs may have decimal commas.

Axes used in this file:
    N  records, those that can be used      R  rows of the table
"""

import csv
import gzip
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from homerange.data.importers.table import usual_column
from homerange.data.manifest import SPLITS, Refused
from homerange.data.names import OUTCOMES, class_key
from homerange.errors import ManifestError
from homerange.geo.sphere import check_latlon

__all__ = ["Records", "read_records"]

NEEDED = ("species", "latitude_deg", "longitude_deg")
OPTIONAL = ("coordinate_uncertainty_m", "split", "licence")
SWAPPED_SHARE = 0.1
"""A few typing mistakes are not a swapped table, as in ``checks.py``."""


@dataclass(frozen=True)
class Records:
    """Records that can be used, and the rows that cannot."""

    species_N: NDArray[np.str_]
    """Scientific names."""
    latlon_N2: NDArray[np.float64]
    """Latitude and longitude, WGS 84 degrees."""
    uncertainty_km_N: NDArray[np.float64]
    """0 where nobody said."""
    split_N: NDArray[np.str_]
    """``train``, ``val`` or ``test``; empty where the table does not say."""
    licence_N: NDArray[np.str_]
    """In the words of the source; empty where none is stated."""
    refused: list[Refused]


def read_records(path: Path) -> Records:
    """Read the records of a table.

    Args:
        path: A table with species, latitude and longitude; coordinate uncertainty in metres, split
            and licence are read where it has them. A manifest is such a table.

    Raises:
        ManifestError: If the table cannot be read, lacks a column, or no row can be used.
        CoordinateError: If more than a tenth of the coordinates are no place on the Earth.
    """
    columns, decimal_comma = _columns(path)
    name_R = _names(columns["species"])
    latlon_R2 = np.stack([_numbers(columns[name], decimal_comma) for name in NEEDED[1:]], axis=1)
    split_R = _texts(columns["split"])
    reason_R = _reasons(name_R, latlon_R2, split_R)
    good_R = reason_R == ""
    if not good_R.any():
        why = Counter(reason_R.tolist()).most_common(1)[0][0] if len(reason_R) else "it is empty"
        raise ManifestError(f"{path}: none of {len(reason_R):,} rows can be used, mostly: {why}")
    rows = np.flatnonzero(good_R)
    metres_R = _numbers(columns["coordinate_uncertainty_m"], decimal_comma)
    return Records(
        name_R[rows],
        latlon_R2[rows],
        np.maximum(np.nan_to_num(metres_R[rows], nan=0.0), 0) / 1000,
        split_R[rows],
        _texts(columns["licence"])[rows],
        [Refused(int(i) + 1, "", str(reason_R[i])) for i in np.flatnonzero(~good_R)],
    )


def _columns(path: Path) -> tuple[dict[str, pa.ChunkedArray], bool]:
    """Read the columns that are needed, by our names, and whether decimal commas may occur."""
    if not path.is_file():
        raise ManifestError(f"{path}: no such table. Expected CSV, CSV.gz or Parquet with records")
    is_parquet = path.suffix.lower() in {".parquet", ".pq"}
    try:
        delimiter, found = (",", pq.read_schema(path).names) if is_parquet else _header(path)
        chosen = {ours: usual_column(ours, found) for ours in (*NEEDED, *OPTIONAL)}
        missing = [ours for ours in NEEDED if chosen[ours] is None]
        if missing:
            raise ManifestError(
                f"{path}: no column holds {', '.join(missing)}; it has {', '.join(found)}. "
                "Rename a column to one of these"
            )
        theirs = [name for name in chosen.values() if name is not None]
        table = pq.read_table(path, columns=theirs) if is_parquet else _csv(path, delimiter, theirs)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise ManifestError(
            f"{path}: cannot be read as a table ({error}). Save it as CSV in UTF-8, or Parquet"
        ) from error
    empty = pa.chunked_array([pa.nulls(len(table), pa.string())])
    return {
        ours: empty if name is None else table[name] for ours, name in chosen.items()
    }, delimiter != ","


def _header(path: Path) -> tuple[str, list[str]]:
    opened = gzip.open(path, "rt", encoding="utf-8-sig") if path.suffix == ".gz" else None
    with opened or path.open(encoding="utf-8-sig") as file:
        head = file.readline()
    delimiter = max(",;\t", key=head.count)
    return delimiter, next(csv.reader([head], delimiter=delimiter), [])


def _csv(path: Path, delimiter: str, columns: Sequence[str]) -> pa.Table:
    kinds = pacsv.ConvertOptions(
        include_columns=columns,
        column_types=dict.fromkeys(columns, pa.string()),
        strings_can_be_null=True,
    )
    return pacsv.read_csv(
        path, parse_options=pacsv.ParseOptions(delimiter=delimiter), convert_options=kinds
    )


def _names(column: pa.ChunkedArray) -> NDArray[np.str_]:
    """Return the class key of each row; empty where there is none. Each name is read once."""
    coded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    keys = [class_key(name) or "" for name in coded.dictionary.to_pylist()]
    index_R = np.asarray(coded.indices.fill_null(len(keys)))
    name_R: NDArray[np.str_] = np.array([*keys, ""], dtype=np.str_)[index_R]
    return name_R


def _texts(column: pa.ChunkedArray) -> NDArray[np.str_]:
    return np.array(pc.fill_null(column.cast(pa.string()), "").to_pylist(), dtype=np.str_)


def _numbers(column: pa.ChunkedArray, decimal_comma: bool) -> NDArray[np.float64]:
    """Read numbers, nan for what is none."""
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        return np.asarray(column.cast(pa.float64()).fill_null(np.nan), dtype=np.float64)
    texts = column.cast(pa.string())
    if decimal_comma:
        texts = pc.replace_substring(texts, ",", ".")
    return np.array([_number(text) for text in texts.to_pylist()], dtype=np.float64)


def _number(text: str | None) -> float:
    try:
        return float(text) if text else np.nan
    except ValueError:
        return np.nan


def _reasons(
    name_R: NDArray[np.str_], latlon_R2: NDArray[np.float64], split_R: NDArray[np.str_]
) -> NDArray[np.str_]:
    """Say for each row why it cannot be used; an empty text where it can."""
    unknown_R = np.isnan(latlon_R2).any(axis=1)
    outside_R = ~unknown_R & (np.abs(latlon_R2) > (90, 180)).any(axis=1)
    if outside_R.sum() > SWAPPED_SHARE * (~unknown_R).sum():
        check_latlon(latlon_R2[~unknown_R], where="record")
    return np.select(
        [
            name_R == "",
            np.isin(name_R, OUTCOMES),
            unknown_R,
            outside_R,
            (latlon_R2 == 0).all(axis=1),
            (split_R != "").any() & ~np.isin(split_R, SPLITS),
        ],
        [
            "no species",
            "an outcome, no species",
            "no coordinates",
            "coordinates are out of range",
            "latitude 0, longitude 0 (a receiver without a fix)",
            "no split of train, val or test, where other rows have one",
        ],
        default="",
    )
