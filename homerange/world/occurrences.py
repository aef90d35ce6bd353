"""Records of species from elsewhere, as a file that a world can take in: its source is ``extra``.

The file has the columns of ``occurrence.parquet`` (``world/tables.py``) and is as coarse: cells of
level 8 or coarser, bands of counts. Its Parquet metadata says where the records come from and under
what licences, so that the world can say so too.
"""

import glob
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from homerange.errors import OccurrenceError, WorldError
from homerange.extras import need
from homerange.output import writing
from homerange.world.parquet import connect
from homerange.world.tables import Occurrence

if TYPE_CHECKING:
    import duckdb

__all__ = ["EXTRA", "OccurrenceFile", "add_occurrences", "write_occurrences"]

EXTRA = "extra"
"""The source of records that are no photos of the world."""

_KEY = "homerange_occurrences"
_VERSION = 1
_COLUMNS = "species, cell, month, source, uncertainty_km, count_band"


@dataclass(frozen=True, kw_only=True)
class OccurrenceFile:
    """What a file of records says about itself."""

    path: Path
    source: str
    """Where the records come from."""
    records: int
    """How many; the rows know bands only."""
    licences: Mapping[str, int]
    """Records by licence, in the words of their source; an empty text where none is stated."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read what a file says about itself.

        Raises:
            OccurrenceError: If the file is absent or was not written by ``homerange import gbif``.
            ExtraNotInstalled: If DuckDB is absent.
        """
        if not path.is_file():
            raise OccurrenceError(f"{path}: no such file. {_AGAIN}")
        duckdb = need("duckdb")
        query = "SELECT decode(value) FROM parquet_kv_metadata($path) WHERE decode(key) = $key"
        try:
            with connect() as connection:
                found = connection.execute(
                    query, {"path": glob.escape(str(path)), "key": _KEY}
                ).fetchone()
        except duckdb.Error as error:
            raise OccurrenceError(
                f"{path}: is no Parquet file ({_first_line(error)}). {_AGAIN}"
            ) from error
        facts = json.loads(found[0]) if found else {}
        if facts.pop("version", None) != _VERSION:
            raise OccurrenceError(
                f"{path}: holds no records of species, or those of another version. {_AGAIN}"
            )
        return cls(path=path, **facts)


def write_occurrences(
    connection: "duckdb.DuckDBPyConnection", query: str, facts: OccurrenceFile
) -> None:
    """Write the rows of a query that gives the columns of the table of occurrence.

    Args:
        connection: The database that the query asks.
        query: In DuckDB's SQL.
        facts: The file to write, and what it says about itself.

    Raises:
        OccurrenceError: If the file cannot be written; an older one of that name is then whole.
    """
    words = {"version": _VERSION, **asdict(facts)}
    del words["path"]
    metadata = json.dumps(words, ensure_ascii=False).replace("'", "''")
    part = facts.path.with_name(f".{facts.path.name}.part")
    with writing(facts.path, OccurrenceError):
        facts.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _copy(connection, query, part, f", KV_METADATA {{{_KEY}: '{metadata}'}}")
            part.replace(facts.path)
        finally:
            part.unlink(missing_ok=True)


def add_occurrences(folder: Path, added: OccurrenceFile) -> None:
    """Add records to the table of occurrence of a world that is being published.

    Raises:
        WorldError: If a table cannot be read or written.
        ExtraNotInstalled: If DuckDB is absent.
    """
    table = folder / Occurrence.file
    part = table.with_name(f".{table.name}.part")
    rows = (f"SELECT {_COLUMNS} FROM {_parquet(path)}" for path in (table, added.path))
    duckdb = need("duckdb")
    try:
        with connect(folder / ".spill") as connection:
            _copy(connection, " UNION ALL ".join(rows), part)
        part.replace(table)
    except (duckdb.Error, OSError) as error:
        raise WorldError(
            f"{table}: the records of {added.path} cannot be added ({_first_line(error)}). {_AGAIN}"
        ) from error
    finally:
        part.unlink(missing_ok=True)


_AGAIN = "Make the file of records again with: homerange import gbif"


def _copy(
    connection: "duckdb.DuckDBPyConnection", query: str, path: Path, options: str = ""
) -> None:
    target = str(path).replace("'", "''")
    connection.execute("SET threads = 1")  # several write row groups in any order
    connection.execute(
        f"COPY (SELECT {_COLUMNS} FROM ({query}) ORDER BY ALL) TO '{target}' "
        f"(FORMAT parquet, COMPRESSION zstd{options})"
    )


def _parquet(path: Path) -> str:
    return "read_parquet('" + glob.escape(str(path)).replace("'", "''") + "')"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
