"""What ``homerange demo`` does: every country, then two of them side by side, then one page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from homerange.demo.answers import answer_photos
from homerange.demo.page import write_page
from homerange.demo.sides import Side, make_side
from homerange.demo.tour import Tour, tour
from homerange.errors import PackageError
from homerange.geo.countries import Country, all_countries
from homerange.output import writing
from homerange.world.world import open_world

__all__ = ["Shown", "show"]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What came of a demo."""

    page: Path
    tour: Tour
    sides: tuple[Side, ...]
    """Two, or none where one of the countries has no species."""


def show(
    world: Path,
    output: Path,
    *,
    compare: tuple[Country, Country],
    photos: Path | None = None,
    keep: bool = False,
    countries: Sequence[Country] | None = None,
) -> Shown:
    """Give every country its model, compare two, and write ``demo.html``.

    Args:
        world: The folder of a world.
        output: Folder for the page, the packages of the two countries and, with ``keep``, those
            of all; made if it is absent.
        compare: The two countries.
        photos: A folder, a photo or a list of photos to run both models over; none otherwise.
        keep: Keep the packages of all countries, in ``packages/``.
        countries: Which; every country of the Earth otherwise.

    Raises:
        WorldError: If the world is missing or cannot be cut.
        PlaceError: If the world has no record in one of the two countries.
        PackageError: If something cannot be written.
        RunError: If there are no such photos.
    """
    opened = open_world(world)
    page = output / "demo.html"
    with writing(page, PackageError):
        output.mkdir(parents=True, exist_ok=True)
    sides = tuple(make_side(opened, country, output) for country in compare)
    answered = answer_photos(photos, [side.made.path for side in sides]) if photos else ()
    every = countries if countries is not None else all_countries()
    found = tour(opened, every, output / "packages", keep=keep)
    with writing(page, PackageError):
        write_page(page, opened, found, sides, answered)
    return Shown(page=page, tour=found, sides=sides)
