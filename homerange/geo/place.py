"""A place: a circle on the Earth, an S2 cell, a polygon, a country, a list of species, or several.

All kinds know how to describe themselves and how to stand in ``place.json``. Which records count
for them is told in :mod:`homerange.geo.votes`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from homerange.errors import PlaceError
from homerange.geo.cells import cell_level, mean_edge_km, parse_cell, to_path, to_token
from homerange.geo.countries import Country
from homerange.geo.geojson import is_number, polygon_of
from homerange.geo.polygon import Polygon
from homerange.geo.species_list import SpeciesList

__all__ = [
    "DEFAULT_RADIUS_KM",
    "LARGEST_RADIUS_KM",
    "Area",
    "Cell",
    "Circle",
    "Country",
    "Place",
    "Polygon",
    "SpeciesList",
    "Union",
    "areas_of",
    "combine",
    "parse_at",
    "place_from_json",
]

DEFAULT_RADIUS_KM = 100.0
LARGEST_RADIUS_KM = 20_038.0  # half the equator: every place on the Earth is nearer
NAMED_IN_A_UNION = 3


@dataclass(frozen=True)
class Circle:
    """All that lies within a distance of a point.

    Raises:
        PlaceError: If the point is not on the Earth or the radius not in (0, 20038] km.
    """

    latitude_deg: float
    longitude_deg: float
    radius_km: float = DEFAULT_RADIUS_KM

    def __post_init__(self) -> None:
        """Refuse a point that is not on the Earth and a radius that is no size."""
        lat, lon = self.latitude_deg, self.longitude_deg
        if not (abs(lat) <= 90 and abs(lon) <= 180):
            swapped = abs(lon) <= 90 and abs(lat) <= 180
            raise PlaceError(
                f"latitude {lat} and longitude {lon} are not a place on the Earth. Expected "
                "latitude in [-90, 90], then longitude in [-180, 180], in degrees."
                + (f" They look swapped: write {lon},{lat}." if swapped else "")
            )
        if not 0 < self.radius_km <= LARGEST_RADIUS_KM:
            raise PlaceError(
                f"the radius of a place cannot be {self.radius_km} km; expected more than 0 and "
                f"at most {LARGEST_RADIUS_KM:,.0f} km, which reaches round the Earth."
            )

    def describe(self) -> str:
        """Say for people where this is."""
        return f"within {self.radius_km:g} km of {self.latitude_deg:.4f}, {self.longitude_deg:.4f}"

    def to_json(self) -> dict[str, object]:
        """Give the plain values for ``place.json``."""
        return {"kind": "circle", **asdict(self)}


@dataclass(frozen=True)
class Cell:
    """An S2 cell, as its 64-bit id (``parse_cell("2/1")`` makes one).

    Raises:
        PlaceError: If the number is not the id of a cell.
    """

    cell: int

    def __post_init__(self) -> None:
        """Refuse a number that is not the id of a cell."""
        cell_level(self.id_1)

    @property
    def id_1(self) -> NDArray[np.uint64]:
        """The cell as an array of one id."""
        return np.array([self.cell], np.uint64)

    @property
    def radius_km(self) -> float:
        """Half the mean edge of the cells of this level."""
        return mean_edge_km(int(cell_level(self.id_1)[0])) / 2

    def describe(self) -> str:
        """Say for people where this is."""
        return f"S2 cell {to_path(self.cell)} ({to_token(self.cell)})"

    def to_json(self) -> dict[str, object]:
        """Give the plain values for ``place.json``."""
        return {"kind": "cell", "cell": to_path(self.cell), "token": to_token(self.cell)}


Area: TypeAlias = Circle | Cell | Polygon | Country
"""A place on the Earth, in one piece of what the user named."""


@dataclass(frozen=True)
class Union:
    """Several places taken together; :func:`combine` makes one.

    Raises:
        PlaceError: If there is no area, or nothing beside one.
    """

    areas: tuple[Area, ...]
    listed: SpeciesList | None = None
    """Species to expect besides, whatever the records say."""

    def __post_init__(self) -> None:
        """Refuse what is no union."""
        if not self.areas or len(self.parts) < 2:
            raise PlaceError(
                f"a union of {len(self.areas)} areas and {len(self.parts) - len(self.areas)} "
                "lists of species is none; expected at least one area, and two parts in all."
            )

    @property
    def parts(self) -> tuple[Area | SpeciesList, ...]:
        """The areas, then the list."""
        return (*self.areas, self.listed) if self.listed else self.areas

    def describe(self) -> str:
        """Say for people where this is."""
        named = " and ".join(one.describe() for one in self.parts[:NAMED_IN_A_UNION])
        more = len(self.parts) - NAMED_IN_A_UNION
        return named + (f" and {more:,} more" if more > 0 else "")

    def to_json(self) -> dict[str, object]:
        """Give the plain values for ``place.json``."""
        return {"kind": "union", "places": [one.to_json() for one in self.parts]}


Place: TypeAlias = Area | SpeciesList | Union


def combine(places: Iterable[Area | SpeciesList]) -> Place:
    """Take several places as one; what is named twice counts once, and lists become one list.

    Raises:
        PlaceError: If there is none.

    Example:
        >>> combine([Circle(0.0, 10.0), Country("KEN"), Circle(0.0, 10.0)]).describe()
        'within 100 km of 0.0000, 10.0000 and Kenya (KEN)'
    """
    parts = tuple(dict.fromkeys(places))
    areas = tuple(one for one in parts if not isinstance(one, SpeciesList))
    species: dict[str, str] = {}
    for one in parts:
        for name in one.species if isinstance(one, SpeciesList) else ():
            species.setdefault(name.casefold(), name)
    listed = SpeciesList(tuple(species.values())) if species else None
    if len(areas) + bool(listed) > 1:
        return Union(areas, listed)
    found = listed or next(iter(areas), None)
    if found is None:
        raise PlaceError("no place is named; expected at least one.")
    return found


def areas_of(place: Place) -> tuple[Area, ...]:
    """Return the areas of a place; none for a list of species."""
    if isinstance(place, SpeciesList):
        return ()
    return place.areas if isinstance(place, Union) else (place,)


def place_from_json(data: Mapping[str, object]) -> Place:
    """Read what ``to_json`` wrote.

    Raises:
        PlaceError: If the kind is unknown, a value is missing, extra or of a wrong type, the two
            notations of a cell differ, or a union holds another.
    """
    match data:
        case {"kind": "union", "places": [*places], **rest} if not rest:
            parts = [_part_from_json(one) for one in places if isinstance(one, Mapping)]
            if len(parts) == len(places):
                listed = [one for one in parts if isinstance(one, SpeciesList)]
                areas = tuple(one for one in parts if not isinstance(one, SpeciesList))
                if len(listed) <= 1:
                    return Union(areas, *listed)
        case _:
            return _part_from_json(data)
    raise _no_place(data)


def _part_from_json(data: Mapping[str, object]) -> Area | SpeciesList:
    match data:
        case {
            "kind": "circle",
            "latitude_deg": int() | float() as latitude_deg,
            "longitude_deg": int() | float() as longitude_deg,
            "radius_km": int() | float() as radius_km,
            **rest,
        } if not rest and all(map(is_number, (latitude_deg, longitude_deg, radius_km))):
            return Circle(float(latitude_deg), float(longitude_deg), float(radius_km))
        case {"kind": "cell", "cell": str(path), "token": str(token), **rest} if not rest:
            if parse_cell(path) != parse_cell(token):
                raise PlaceError(
                    f"a place gives the S2 cell {path} and the token {token}, which is "
                    f"{to_path(parse_cell(token))}; expected the same cell twice."
                )
            return Cell(parse_cell(path))
        case {"kind": "polygon", "name": str(name), "geometry": geometry, **rest} if not rest:
            return polygon_of(geometry, name)
        case {"kind": "country", "country": str(code), "name": str(), **rest} if not rest:
            return Country(code)
        case {"kind": "list", "species": [*names], **rest} if not rest:
            species = tuple(name for name in names if isinstance(name, str))
            if len(species) == len(names):
                return SpeciesList(species)
    raise _no_place(data)


def _no_place(data: Mapping[str, object]) -> PlaceError:
    return PlaceError(
        f"kind {data.get('kind')!r} with {', '.join(sorted(set(data) - {'kind'})) or 'no values'} "
        "is not a place. Expected kind circle (numbers latitude_deg, longitude_deg, radius_km), "
        "cell (texts cell, token), polygon (text name, GeoJSON geometry), country (texts country, "
        "name), list (texts species) or union (places, none a union) and nothing else; a newer "
        "version of homerange may have written it."
    )


def parse_at(text: str, radius_km: float = DEFAULT_RADIUS_KM) -> Circle:
    """Read a point as people type it.

    Args:
        text: ``"LAT,LON"`` in decimal degrees (WGS 84).
        radius_km: Radius of the place around the point.

    Raises:
        PlaceError: If the text is not two numbers, the point is not on the Earth (the message
            says when the two look swapped), or the radius is out of range.

    Example:
        >>> parse_at("-2.33, 34.83").describe()
        'within 100 km of -2.3300, 34.8300'
    """
    try:
        latitude_deg, longitude_deg = (float(part) for part in text.split(","))
    except ValueError as error:
        raise PlaceError(
            f'"{text}" is not a point; expected LAT,LON: latitude, a comma and longitude in '
            'decimal degrees with a decimal point, for example "-2.33,34.83".'
        ) from error
    return Circle(latitude_deg, longitude_deg, radius_km)
