"""The list of a place as a file: CSV for spreadsheets and R, JSON for programs.

``docs/places.md`` describes both.
"""

import csv
import io
import json
from pathlib import Path
from typing import Literal, TypeAlias

from homerange.errors import ConfigError
from homerange.output import atomic_file, obstacle, writing
from homerange.specialize.species import SpeciesTable
from homerange.world.world import World

__all__ = ["COLUMNS", "MONTHS", "ListFormat", "format_of", "species_text", "write_species"]

ListFormat: TypeAlias = Literal["csv", "json"]

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

COLUMNS = (
    "species",
    "common_name",
    "in_world",
    "reason",
    "strength",
    "records_band",
    "distance_band",
    *MONTHS,
)
"""Of the CSV; species that the world lacks stand last, with ``in_world`` no."""

LIST_FORMAT, LIST_VERSION = "homerange-species", 1


def format_of(format: str | None, output: Path | None) -> ListFormat | None:
    """Find the format of a list, before any work; none means a table for people.

    Args:
        format: ``csv``, ``json`` or ``table``; by the suffix of ``output`` if absent.
        output: The file to write, if any.

    Raises:
        ConfigError: If there is a file, but no format that a file can have, or it cannot be
            written.
    """
    if output is None:
        return format if format in ("csv", "json") else None  # type: ignore[return-value]
    chosen = format or output.suffix.lower().removeprefix(".")
    if chosen not in ("csv", "json"):
        raise ConfigError(
            f"{output}: a list is a file of csv or json, not of {chosen or 'no format'}. Give a "
            "name that ends in .csv or .json, or --format"
        )
    if found := obstacle(output):
        raise ConfigError(f"{output}: {found}")
    return chosen  # type: ignore[return-value]


def write_species(world: World, table: SpeciesTable, output: Path, format: ListFormat) -> None:
    """Write the list of a place; a file of that name is replaced whole.

    Raises:
        ConfigError: If it cannot be written.
    """
    with writing(output, ConfigError):
        output.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(output) as file:
            file.write(species_text(world, table, format).encode())


def species_text(world: World, table: SpeciesTable, format: ListFormat) -> str:
    """Return the list of a place as the text of a file."""
    return _csv(table) if format == "csv" else _json(world, table)


def _csv(table: SpeciesTable) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in table.species:
        values = {name: value for name, value in row.to_json().items() if name in COLUMNS}
        months = dict(zip(MONTHS, row.months, strict=True))
        writer.writerow(values | months | {"in_world": "yes"})
    for missing in table.missing:
        reason = "recorded here, but not in this world"
        writer.writerow(missing.to_json() | {"in_world": "no", "reason": reason})
    return text.getvalue()


def _json(world: World, table: SpeciesTable) -> str:
    data = {
        "format": LIST_FORMAT,
        "version": LIST_VERSION,
        "world": {"name": world.description.name, "sha256": world.sha256},
        "place": table.place.to_json(),
        "species": [row.to_json() for row in table.species],
        "outcomes": list(table.outcomes),
        "missing": [row.to_json() for row in table.missing],
        "warnings": list(table.warnings),
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"
