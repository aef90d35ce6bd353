"""Tables as Parquet files: a class whose annotated fields are the columns, read without pyarrow.

The format is Apache Parquet, read and written with DuckDB. The same rows give the same bytes.

Axes used in this file:
    N  rows of a table      D  features before the class rows
"""

import glob
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Self, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from homerange.errors import WorldError
from homerange.extras import need

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "CellId",
    "Column",
    "Feature",
    "Float32",
    "Float64",
    "Int8",
    "Int32",
    "Int64",
    "Table",
    "Text",
    "TextOrNull",
    "connect",
    "strings",
]


@dataclass(frozen=True)
class Column:
    """How one column is stored."""

    sql_type: str
    dtype: type[np.generic]
    nullable: bool = False


Int8 = Annotated[NDArray[np.int8], Column("TINYINT", np.int8)]
Int32 = Annotated[NDArray[np.int32], Column("INTEGER", np.int32)]
Int64 = Annotated[NDArray[np.int64], Column("BIGINT", np.int64)]
CellId = Annotated[NDArray[np.uint64], Column("UBIGINT", np.uint64)]
Float32 = Annotated[NDArray[np.float32], Column("FLOAT", np.float32)]
Float64 = Annotated[NDArray[np.float64], Column("DOUBLE", np.float64)]
Text = Annotated[NDArray[np.object_], Column("VARCHAR", np.object_)]
TextOrNull = Annotated[NDArray[np.object_], Column("VARCHAR", np.object_, nullable=True)]
Feature = Annotated[NDArray[np.float16], Column("BLOB", np.float16)]


def strings(values: Iterable[str | None]) -> NDArray[np.object_]:
    """Make a column of texts; ``None`` is a missing one.

    Example:
        >>> strings(["Panthera leo", None]).tolist()
        ['Panthera leo', None]
    """
    values = list(values)
    column_N = np.empty(len(values), dtype=np.object_)
    column_N[:] = values
    return column_N


def connect(spill: Path | None = None) -> "duckdb.DuckDBPyConnection":
    """Open a database in memory that never downloads anything.

    Args:
        spill: Folder for what does not fit into memory; a folder ``.tmp`` here otherwise.

    Raises:
        ExtraNotInstalled: If DuckDB is absent.
    """
    settings: dict[str, str | bool] = {"autoinstall_known_extensions": False}
    if spill is not None:
        settings["temp_directory"] = str(spill)
    connection: duckdb.DuckDBPyConnection = need("duckdb").connect(config=settings)
    return connection


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """A Parquet file whose columns are the fields of the class, in their order."""

    file: ClassVar[str]
    once: ClassVar[Mapping[str, str]] = {}
    """Columns of earlier versions, with their SQL type: a file may have them, nobody reads them."""

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in _columns(type(self))}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"{self.file}: the columns differ in length: {lengths}")
        for name, column in _columns(type(self)).items():
            found = getattr(self, name).dtype
            if found != column.dtype:
                expected = np.dtype(column.dtype)
                raise ValueError(f"{self.file}: column {name} is {found}; expected {expected}")

    def __len__(self) -> int:
        return len(getattr(self, next(iter(_columns(type(self))))))

    @classmethod
    def of(cls, columns: Mapping[str, NDArray[np.generic]]) -> Self:
        """Make a table of columns by name, each cast to its type; no column means no row."""
        types = {name: column.dtype for name, column in _columns(cls).items()}
        return cls(**{n: np.asarray(columns.get(n, []), dtype) for n, dtype in types.items()})

    def write(self, folder: str | Path) -> None:
        """Write the table into the folder of a world, under its fixed name.

        The same rows give the same bytes.

        Raises:
            ExtraNotInstalled: If DuckDB is absent.
        """
        columns = _columns(type(self))
        target = str(Path(folder) / self.file).replace("'", "''")
        types = ", ".join(f'"{name}" {column.sql_type}' for name, column in columns.items())
        with connect() as connection:
            connection.execute("SET threads = 1")  # several write row groups in any order
            connection.execute(f"CREATE TABLE rows ({types})")
            if len(self):
                arrays = {name: _to_sql(getattr(self, name)) for name in columns}
                connection.register("arrays", arrays)
                connection.execute("INSERT INTO rows SELECT * FROM arrays")
            connection.execute(f"COPY rows TO '{target}' (FORMAT parquet, COMPRESSION zstd)")

    @classmethod
    def read(
        cls,
        folder: str | Path,
        where: str = "true",
        parameters: Mapping[str, object] | None = None,
    ) -> Self:
        """Read the table, or the rows that a condition keeps.

        Args:
            folder: The folder of a world.
            where: A condition in DuckDB's SQL over the columns; ``$name`` stands for a parameter.
            parameters: The values of those parameters.

        Raises:
            WorldError: If the file is missing, is no Parquet file, has other columns than the
                contract, or lacks a value that it needs.
            ExtraNotInstalled: If DuckDB is absent.
        """
        path = Path(folder) / cls.file
        columns = _columns(cls)
        query = f"SELECT {', '.join(columns)} FROM source WHERE {where}"
        arrays = cls.query(folder, query, parameters)
        return cls(**{n: _from_sql(path, n, arrays[n], column) for n, column in columns.items()})

    @classmethod
    def query(
        cls, folder: str | Path, query: str, parameters: Mapping[str, object] | None = None
    ) -> dict[str, NDArray[np.generic]]:
        """Ask about the rows of the file, called ``source`` in the query."""
        path = Path(folder) / cls.file
        duckdb = need("duckdb")
        try:
            with connect() as connection:
                source = connection.read_parquet(glob.escape(str(path)))
                found = dict(zip(source.columns, map(str, source.types), strict=True))
                found = {n: type_ for n, type_ in found.items() if cls.once.get(n) != type_}
                _check_columns(path, found, _columns(cls))
                source.create_view("source")
                arrays: dict[str, NDArray[np.generic]] = connection.execute(
                    query, dict(parameters or {})
                ).fetchnumpy()
                return arrays
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise WorldError(
                f"{path}: cannot be read as a table of a world ({reason}). Copy or download the "
                "world again"
            ) from error


def _columns(table: type[Table]) -> dict[str, Column]:
    hints = get_type_hints(table, include_extras=True)
    return {n: get_args(hint)[1] for n, hint in hints.items() if get_origin(hint) is Annotated}


def _check_columns(path: Path, found: dict[str, str], columns: dict[str, Column]) -> None:
    expected = {name: column.sql_type for name, column in columns.items()}
    for name in {**expected, **found}:
        if expected.get(name) != found.get(name):
            raise WorldError(
                f"{path}: column {name} is {found.get(name, 'missing')}; expected "
                f"{expected.get(name, 'no such column')}. The world was made by another version "
                "of homerange, or is damaged: download it or publish it again"
            )


def _to_sql(column_N: NDArray[np.generic]) -> NDArray[np.generic]:
    if column_N.ndim == 1:
        return column_N
    blob_N = np.empty(len(column_N), dtype=np.object_)
    blob_N[:] = [row_D.tobytes() for row_D in column_N.astype("<f2")]
    return blob_N


def _from_sql(
    path: Path, name: str, array_N: NDArray[np.generic], column: Column
) -> NDArray[np.generic]:
    missing_N = np.ma.getmaskarray(array_N)
    if missing_N.any() and not column.nullable:
        raise WorldError(
            f"{path}: {int(missing_N.sum())} of {len(array_N)} rows have no {name}; every row "
            "needs one. Publish the world again"
        )
    values_N = np.ma.getdata(array_N).astype(np.object_ if column.nullable else array_N.dtype)
    if missing_N.any():
        values_N[missing_N] = None
    if column.sql_type == "BLOB":
        return _features(path, name, values_N)
    return values_N.astype(column.dtype, copy=False)


def _features(path: Path, name: str, blob_N: NDArray[np.generic]) -> NDArray[np.float16]:
    sizes = sorted({len(blob) for blob in blob_N.tolist()})
    if len(sizes) > 1:
        raise WorldError(
            f"{path}: column {name} has rows of {sizes[0]} and of {sizes[-1]} bytes; expected one "
            "size. Publish the world again"
        )
    flat = np.frombuffer(b"".join(blob_N.tolist()), dtype="<f2").astype(np.float16, copy=False)
    return flat.reshape(len(blob_N), sizes[0] // 2 if sizes else 0)
