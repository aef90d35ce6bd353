"""The options that name a place, the same for every verb that takes one."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["takes_area", "takes_place"]

Verb = Callable[..., Any]


def takes_area(command: Verb) -> Verb:
    """Give a verb the options that name an area, and hand it over as ``area`` (or None)."""

    @functools.wraps(command)
    def parsed(**options: Any) -> object:  # noqa: ANN401 - what click gives
        """Read the place and call the verb."""
        named, rest = _split(options, "at", "radius_km", "s2", "country", "geojson")
        return command(area=_place_of(named), **rest)

    return _area_options(parsed)


def takes_place(command: Verb) -> Verb:
    """Give a verb an area or a list of species as ``place``, with what to add and to leave out."""

    @functools.wraps(command)
    def parsed(**options: Any) -> object:  # noqa: ANN401 - what click gives
        """Read the lists and areas and call the verb."""
        named, rest = _split(options, "at", "radius_km", "s2", "country", "geojson", "species")
        place = _place_of(named)
        if place is None:
            raise click.UsageError(
                "name a place: --at LAT,LON, --s2 CELL, --country NAME, --geojson FILE or "
                "--species FILE; several are taken together"
            )
        return command(place=place, **rest)

    listed = click.option(
        "--species",
        multiple=True,
        type=click.Path(path_type=Path),
        help="A file with a scientific name per line.",
    )
    include = click.option(
        "--include", multiple=True, metavar="NAME", help="Add a species; repeatable."
    )
    exclude = click.option(
        "--exclude", multiple=True, metavar="NAME", help="Leave one out; repeatable."
    )
    return _area_options(listed(include(exclude(parsed))))


def _area_options(command: Verb) -> Verb:
    options = (
        click.option(
            "--at",
            multiple=True,
            metavar="LAT,LON",
            help="Degrees, WGS 84, for example -2.33,34.83.",
        ),
        click.option(
            "--radius-km",
            type=float,
            multiple=True,
            help="Around --at, 100 otherwise; one for all, or one for each.",
        ),
        click.option(
            "--s2", multiple=True, metavar="CELL", help="An S2 cell: its token (4c) or path (2/1)."
        ),
        click.option(
            "--country", multiple=True, metavar="NAME", help="ISO 3166 (KEN, KE) or English name."
        ),
        click.option(
            "--geojson",
            multiple=True,
            type=click.Path(path_type=Path),
            help="A file with polygons, WGS 84.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _split(options: dict[str, Any], *names: str) -> tuple[dict[str, Any], dict[str, Any]]:
    rest = {name: value for name, value in options.items() if name not in names}
    return {name: options[name] for name in names}, rest


def _place_of(named: dict[str, Any]) -> object:
    """Make the place that options name; none where none does."""
    from homerange.geo.name_place import name_place

    given = {name: value for name, value in named.items() if value}
    if "radius_km" in given and "at" not in given:
        raise click.UsageError("--radius-km is the radius around --at LAT,LON; give both")
    return name_place(**given) if given else None
