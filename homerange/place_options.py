"""The options that name a place, the same for every verb that takes one."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from homerange.geo.place import Cell, Circle

__all__ = ["takes_area", "takes_place"]

Verb = Callable[..., Any]


def takes_area(command: Verb) -> Verb:
    """Give a verb the options that name an area, and hand it over as ``area`` (or None)."""

    @functools.wraps(command)
    def parsed(at: str | None, radius_km: float, s2: str | None, **rest: object) -> object:
        """Read the place and call the verb."""
        from homerange.geo.cells import parse_cell
        from homerange.geo.place import Cell, parse_at

        if at and s2:
            raise click.UsageError("--at and --s2 name two places; give one")
        if not at and _is_given("radius_km"):
            raise click.UsageError("--radius-km is the radius around --at LAT,LON; give both")
        area = Cell(parse_cell(s2)) if s2 else parse_at(at, radius_km) if at else None
        return command(area=area, **rest)

    at = click.option("--at", metavar="LAT,LON", help="Degrees, WGS 84, for example -2.33,34.83.")
    radius = click.option(
        "--radius-km", type=float, default=100.0, show_default=True, help="Around --at."
    )
    s2 = click.option("--s2", metavar="CELL", help="An S2 cell: its token (4c) or path (2/1).")
    return at(radius(s2(parsed)))


def takes_place(command: Verb) -> Verb:
    """Give a verb an area or a list of species as ``place``, with what to add and to leave out."""

    @functools.wraps(command)
    def parsed(area: "Circle | Cell | None", species: Path | None, **rest: object) -> object:
        """Read the list or the area and call the verb."""
        from homerange.geo.place import read_species_list

        if (area is None) == (species is None):
            raise click.UsageError("name one place: --at LAT,LON, --s2 CELL or --species FILE")
        return command(place=read_species_list(species) if species else area, **rest)

    listed = click.option(
        "--species",
        type=click.Path(path_type=Path),
        help="A file with a scientific name per line.",
    )
    include = click.option(
        "--include", multiple=True, metavar="NAME", help="Add a species; repeatable."
    )
    exclude = click.option(
        "--exclude", multiple=True, metavar="NAME", help="Leave one out; repeatable."
    )
    return takes_area(listed(include(exclude(parsed))))


def _is_given(parameter: str) -> bool:
    source = click.get_current_context().get_parameter_source(parameter)
    return source is not ParameterSource.DEFAULT
