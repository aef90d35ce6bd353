"""What a package is ordered to be: the same wish is the same order, however it was typed.

The order of names, capitals and spaces do not matter. World and version of homerange belong to the
order, because they change what the package holds.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from homerange import __version__
from homerange.errors import ConfigError
from homerange.geo.place import Circle, Place, SpeciesList, Union, place_from_json
from homerange.specialize.choose import Choice
from homerange.specialize.names import classes_of, classes_to_add_and_drop
from homerange.world.world import World

__all__ = ["Order"]

_ID_LETTERS = 32
_SHORT_ID = 8


@dataclass(frozen=True, kw_only=True)
class Order:
    """The arguments of :func:`homerange.specialize.specialize.specialize`, in one form."""

    place: Place
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    experts: str | None = None

    @classmethod
    def checked(
        cls,
        world: World,
        place: Place,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        experts: str | None = None,
    ) -> Self:
        """Write a wish as an order, and refuse at once what no build could do.

        Raises:
            SpeciesError: If a name is none of the world's, or is both included and excluded.
            ConfigError: If ``experts`` is no choice, or the world has none to choose from.
        """
        listed = place.listed if isinstance(place, Union) else place
        if isinstance(listed, SpeciesList):
            classes_of(world, listed.species, "the list of species")
        added, dropped = classes_to_add_and_drop(world, include, exclude)
        if experts is not None:
            Choice.parse(experts)
            if not world.graph.experts:
                raise ConfigError(
                    f"experts {experts!r}: the world {world.description.name!r} has no experts, "
                    "so none can be dropped; leave this out"
                )
        return cls(
            place=place,
            include=tuple(world.labels[c] for c in added),
            exclude=tuple(world.labels[c] for c in dropped),
            experts=experts,
        )

    def to_text(self) -> str:
        """Write the order down; the same order gives the same text."""
        content = {
            "place": self.place.to_json(),
            "include": self.include,
            "exclude": self.exclude,
            "experts": self.experts,
        }
        return json.dumps(content, sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what ``to_text`` wrote."""
        content = json.loads(text)
        return cls(
            place=place_from_json(content["place"]),
            include=tuple(content["include"]),
            exclude=tuple(content["exclude"]),
            experts=content["experts"],
        )

    def identity(self, world: World) -> str:
        """Return a hash of what decides over the package: order, world and version."""
        text = f"{__version__}\n{world.sha256}\n{self.to_text()}"
        return hashlib.sha256(text.encode()).hexdigest()[:_ID_LETTERS]

    def package_name(self, world: World) -> str:
        """Name the package after its place, in letters that every file system takes.

        The end tells apart orders of one place.
        """
        return f"{_short_name(self.place)}-{self.identity(world)[:_SHORT_ID]}"


def _short_name(place: Place) -> str:
    if isinstance(place, Circle):
        north_south = "S" if place.latitude_deg < 0 else "N"
        east_west = "W" if place.longitude_deg < 0 else "E"
        latitude_deg, longitude_deg = abs(place.latitude_deg), abs(place.longitude_deg)
        where = f"{latitude_deg:.2f}{north_south}-{longitude_deg:.2f}{east_west}"
        return f"{where}-{place.radius_km:g}km"
    words = re.sub(r"[^a-z0-9]+", "-", place.describe().casefold())
    return words.strip("-")[:40].rstrip("-")
