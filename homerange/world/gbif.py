"""Import a GBIF download: records of species become rows of occurrence, of source ``extra``.

Source: Darwin Core terms as GBIF interprets them. Which issues make coordinates unusable is GBIF's
own list, ``OccurrenceIssue.GEOSPATIAL_RULES`` of its public code.

What we decide:
    - a record counts for its ``species``, the accepted name without author; what is determined to a
      genus or higher is refused, and so are people;
    - of several reasons to refuse a record, the first one in ``_REASONS`` is counted;
    - an uncertainty that is missing, zero or negative is unknown, and counts as exact as it does
      for photos;
    - the table is read once, by DuckDB; what is larger than memory is spilled beside the output.

Axes used in this file:
    N  records
"""

import glob
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from homerange.errors import OccurrenceError
from homerange.extras import need
from homerange.geo.coarse import UNCERTAINTY_BANDS_KM, coarse_cells
from homerange.output import writing
from homerange.progress import progress
from homerange.world.gbif_download import columns_of, download_name, find_table
from homerange.world.occurrences import EXTRA, OccurrenceFile, write_occurrences
from homerange.world.parquet import connect
from homerange.world.tables import COUNT_BAND_FROM

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["ImportedRecords", "import_gbif"]

_NEEDED = ("species", "decimalLatitude", "decimalLongitude", "basisOfRecord", "issue")
_OPTIONAL = (
    "coordinateUncertaintyInMeters", "month", "occurrenceStatus", "hasGeospatialIssues", "license",
)  # fmt: skip
_GEOSPATIAL_ISSUES = (
    "ZERO_COORDINATE", "COORDINATE_OUT_OF_RANGE", "COORDINATE_INVALID",
    "COUNTRY_COORDINATE_MISMATCH", "PRESUMED_SWAPPED_COORDINATE", "PRESUMED_NEGATED_LONGITUDE",
    "PRESUMED_NEGATED_LATITUDE",
)  # fmt: skip
_REASONS = {
    "no species: determined to a genus or higher": "species IS NULL",
    "people": "species = 'Homo sapiens'",
    "no coordinates": "decimalLatitude IS NULL OR decimalLongitude IS NULL",
    "coordinates that are no numbers or out of range": (
        "NOT coalesce(abs(latitude) <= 90 AND abs(longitude) <= 180, false)"
    ),
    "latitude 0, longitude 0": "latitude = 0 AND longitude = 0",
    "a geospatial issue, by GBIF's own list": (
        "list_has_any(string_split(coalesce(issue, ''), ';'), $issues) "
        "OR lower(hasGeospatialIssues) = 'true'"
    ),
    "absent: looked for and not found": "upper(occurrenceStatus) = 'ABSENT'",
    "a fossil": "upper(basisOfRecord) = 'FOSSIL_SPECIMEN'",
    "a living specimen: a zoo, a garden, a collection": "upper(basisOfRecord) = 'LIVING_SPECIMEN'",
}
_BAD_LINE = "a line that cannot be read"
_NO_LICENCE = ("UNSPECIFIED", "UNSUPPORTED")
_LOOK_EVERY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class ImportedRecords:
    """What an import of records came to."""

    file: OccurrenceFile
    species: int
    rows: int
    """Rows of the table: records that are alike are one."""
    refused: Mapping[str, int]
    """Records that were not used, by the reason; the commonest first."""
    vague: int
    """Records that do not say how uncertain they are."""


def import_gbif(source: Path, output: Path) -> ImportedRecords:
    """Import a GBIF download into a file that ``homerange profile --occurrences`` takes.

    Args:
        source: The zip as GBIF gives it, its folder, or the table in it.
        output: The file to write, ``.parquet``.

    Returns:
        What was read, written and refused.

    Raises:
        OccurrenceError: If the source is no GBIF download or is damaged, no record can be used, or
            the file cannot be written.
        ExtraNotInstalled: If DuckDB or pyarrow is absent.
    """
    duckdb, _ = need("duckdb"), need("pyarrow")  # DuckDB hands columns to Python through pyarrow
    with writing(output, OccurrenceError):
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".homerange-", dir=output.parent)
    with folder as spill, connect(Path(spill)) as connection:
        table = find_table(source, Path(spill))
        columns = columns_of(table, _NEEDED)
        try:
            _run(connection, table, columns)
            return _written(connection, source, output)
        except duckdb.Error as error:
            raise OccurrenceError(
                f"{source}: cannot be read as a GBIF download ({str(error).splitlines()[0]})"
            ) from error


def _group(columns: list[str]) -> str:
    """Write the query that judges each record and counts those that are alike."""
    absent = "".join(f", NULL AS {name}" for name in _OPTIONAL if name not in columns)
    reasons = " ".join(f"WHEN {test} THEN '{_quoted(why)}'" for why, test in _REASONS.items())
    return f"""
        CREATE TABLE grouped AS
        WITH read AS (
            SELECT *{absent} FROM read_csv(
                $path, delim = '\t', quote = '', escape = '', header = true, auto_detect = false,
                columns = $columns, store_rejects = true
            )
        ), numbers AS (
            -- trim: else DuckDB refuses the whole line where one number cannot be read
            SELECT *,
                TRY_CAST(trim(decimalLatitude) AS DOUBLE) AS latitude,
                TRY_CAST(trim(decimalLongitude) AS DOUBLE) AS longitude,
                TRY_CAST(trim(coordinateUncertaintyInMeters) AS DOUBLE) AS metres,
                TRY_CAST(trim(month) AS INTEGER) AS in_month
            FROM read
        ), judged AS (
            SELECT *,
                CASE {reasons} END AS reason,
                CASE WHEN metres > 0 AND isfinite(metres) THEN metres / 1000 ELSE 0 END AS km
            FROM numbers
        ), kept AS (
            -- what is refused keeps its reason only, so that one row counts all of one reason
            SELECT reason, km,
                if(reason IS NULL, species, NULL) AS species,
                if(reason IS NULL, latitude, NULL) AS latitude,
                if(reason IS NULL, longitude, NULL) AS longitude,
                if(reason IS NULL AND in_month BETWEEN 1 AND 12, in_month, 0) AS month,
                if(reason IS NULL, {_steps("km >", UNCERTAINTY_BANDS_KM)}, 0) AS band,
                reason IS NULL AND km = 0 AS vague,
                if(reason IS NULL, coalesce(license, ''), '') AS licence
            FROM judged
        )
        SELECT reason, species, coarse_cell(latitude, longitude, km) AS cell, month, band, vague,
            if(licence IN {_NO_LICENCE}, '', licence) AS licence, max(km) AS km, count(*) AS records
        FROM kept GROUP BY ALL
    """


def _rows() -> str:
    """Write the query for the rows of the table of occurrence."""
    return f"""
        SELECT species, cell, month::TINYINT AS month, '{EXTRA}' AS source,
            max(km)::FLOAT AS uncertainty_km,
            ({_steps("sum(records) >=", COUNT_BAND_FROM)})::TINYINT AS count_band
        FROM grouped WHERE reason IS NULL GROUP BY species, cell, month, band
    """


def _steps(test: str, bounds: tuple[int, ...]) -> str:
    """Write the number of bounds that are passed, as SQL: 0 to all of them."""
    tests = [f"WHEN {test} {bound} THEN {i}" for i, bound in enumerate(bounds, start=1)]
    return f"CASE {' '.join(reversed(tests))} ELSE 0 END"


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _run(connection: "duckdb.DuckDBPyConnection", table: Path, columns: list[str]) -> None:
    """Look at the whole table, once, with progress; a stop from the keyboard stops the query."""
    connection.create_function(  # type: ignore[call-overload]  # a text is a type of function too
        "coarse_cell",
        lambda lat, lon, km: _coarse_cell(lat, lon, km),  # without annotations: they would be read
        ["DOUBLE", "DOUBLE", "DOUBLE"],
        "UBIGINT",
        type="arrow",
    )
    connection.execute("SET enable_progress_bar = true")
    connection.execute("SET enable_progress_bar_print = false")  # ours is the progress shown
    parameters = {
        "path": glob.escape(str(table)),
        "columns": dict.fromkeys(columns, "VARCHAR"),
        "issues": list(_GEOSPATIAL_ISSUES),
    }
    done = 0
    with (
        ThreadPoolExecutor(1) as pool,
        progress("read GBIF records", 100, unit="%") as step,
    ):
        running = pool.submit(connection.execute, _group(columns), parameters)
        try:
            while not running.done():
                wait([running], timeout=_LOOK_EVERY_S)
                now = max(done, int(connection.query_progress()))
                step(now - done)
                done = now
        except BaseException:
            connection.interrupt()
            raise
        running.result()


def _coarse_cell(latitude_N: "pa.Array", longitude_N: "pa.Array", km_N: "pa.Array") -> "pa.Array":
    """Find the cell of each record, as a function of DuckDB."""
    latlon_N2 = np.stack([_floats(latitude_N), _floats(longitude_N)], axis=1)
    return need("pyarrow").array(coarse_cells(latlon_N2, _floats(km_N)))


def _floats(column_N: "pa.Array") -> NDArray[np.float64]:
    values_N: NDArray[np.float64] = column_N.to_numpy(zero_copy_only=False)
    return values_N


def _written(
    connection: "duckdb.DuckDBPyConnection", source: Path, output: Path
) -> ImportedRecords:
    """Write the file and count what is in it and what is not."""
    refused = dict(
        connection.execute(
            "SELECT reason, sum(records)::BIGINT AS records FROM grouped WHERE reason IS NOT NULL "
            "GROUP BY reason UNION ALL SELECT $bad_line, count(DISTINCT line) FROM reject_errors "
            "HAVING count(*) > 0 ORDER BY records DESC, reason",
            {"bad_line": _BAD_LINE},
        ).fetchall()
    )
    kept = "FROM grouped WHERE reason IS NULL"
    licences = connection.execute(
        f"SELECT licence, sum(records)::BIGINT {kept} GROUP BY licence ORDER BY licence"
    ).fetchall()
    totals = (
        f"SELECT sum(records)::BIGINT, count(DISTINCT species), sum(if(vague, records, 0)) {kept}"
    )
    (records, species, vague), *_ = connection.execute(totals).fetchall()
    if not records:
        raise OccurrenceError(_nothing_left(source, refused))
    facts = OccurrenceFile(
        path=output, source=download_name(source), records=records, licences=dict(licences)
    )
    write_occurrences(connection, _rows(), facts)
    (rows,) = connection.execute(f"SELECT count(*) FROM ({_rows()})").fetchone() or (0,)
    return ImportedRecords(
        file=facts, species=species, rows=rows, refused=refused, vague=int(vague)
    )


def _nothing_left(source: Path, refused: Mapping[str, int]) -> str:
    if not refused:
        return f"{source} has no records; expected a GBIF download with at least one"
    why, count = next(iter(refused.items()))
    return (
        f"{source}: none of its {sum(refused.values()):,} records can be used; most often "
        f"({count:,}) because of: {why}"
    )
