"""Which formats of results there are, and how each gets to its place in one piece."""

import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Literal, get_args

from homerange.errors import RunError
from homerange.output import atomic_file, atomic_folder
from homerange.run.answers import Answer
from homerange.run.results.camtrap_dp import write_camtrap_dp
from homerange.run.results.fieldwork import Fieldwork
from homerange.run.results.megadetector import write_megadetector
from homerange.run.results.speciesnet import write_speciesnet
from homerange.run.results.table import SQL_TYPES, write_table
from homerange.run.results.wildlife_insights import write_wildlife_insights
from homerange.run.sources import Photo
from homerange.world.parquet import csv_to_parquet
from homerange.world.place_package import PlacePackage

__all__ = ["FORMATS", "Format", "format_of", "is_folder", "write_results"]

Format = Literal["megadetector", "csv", "parquet", "speciesnet", "camtrap-dp", "wildlife-insights"]
FORMATS: tuple[Format, ...] = get_args(Format)

_FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".json": "megadetector",
    ".csv": "csv",
    ".parquet": "parquet",
}
_Answers = Iterable[tuple[Photo, Answer]]


def format_of(output: Path) -> Format:
    """Return the format that the name of the results tells.

    Raises:
        RunError: If it tells none.
    """
    if output.suffix.lower() not in _FORMAT_OF_SUFFIX:
        raise RunError(
            f"{output}: its name does not tell the format; expected .json (MegaDetector), .csv or "
            f".parquet, or choose with --format ({', '.join(FORMATS)})"
        )
    return _FORMAT_OF_SUFFIX[output.suffix.lower()]


def is_folder(format: Format) -> bool:
    """Whether the results are a folder and not a file."""
    return format == "camtrap-dp"


def write_results(
    format: Format,
    output: Path,
    package: PlacePackage,
    answers: _Answers,
    fieldwork: Fieldwork,
    *,
    first_look: str = "",
) -> None:
    """Write the results; what stood there before stays until they are complete.

    Args:
        format: Which.
        output: The file or folder.
        package: The package that gave the answers.
        answers: Every photo with its answer, taken one by one.
        fieldwork: What the user knows about the cameras.
        first_look: Which detector looked first; empty without one.

    Raises:
        RunError: If the format cannot hold any of the photos.
        OSError: If the results cannot be written.
        ExtraNotInstalled: If the format needs a package that is absent.
    """
    if format == "camtrap-dp":
        with atomic_folder(output) as folder:
            write_camtrap_dp(folder, package, answers, fieldwork)
        return
    write: dict[Format, Callable[[BinaryIO, PlacePackage, _Answers], None]] = {
        "megadetector": partial(write_megadetector, first_look=first_look),
        "csv": write_table,
        "parquet": _write_parquet,
        "speciesnet": write_speciesnet,
        "wildlife-insights": partial(write_wildlife_insights, fieldwork=fieldwork),
    }
    with atomic_file(output) as file:
        write[format](file, package, answers)


def _write_parquet(file: BinaryIO, package: PlacePackage, answers: _Answers) -> None:
    """By way of the CSV, which DuckDB turns row group by row group: neither holds all photos."""
    with TemporaryDirectory(dir=Path(file.name).parent, prefix=".parquet-") as folder:
        table, parquet = Path(folder) / "rows.csv", Path(folder) / "rows.parquet"
        with table.open("wb") as rows:
            write_table(rows, package, answers)
        csv_to_parquet(table, parquet, SQL_TYPES)
        with parquet.open("rb") as made:
            shutil.copyfileobj(made, file)
