"""A place: a circle on the Earth, an S2 cell, or the user's own list of species.

The three kinds know how to describe themselves and how to stand in ``place.json``. Circles and
cells also say which records of a species count for them.

A record knows only the S2 cell in which it lies, so it is taken as the smallest disc around the
centre of that cell which covers it. Everything is measured on the sphere: the dateline and the
poles need no case of their own.

Axes used in this file:
    N  records, each in one cell      U  cells, each once
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from homerange.errors import PlaceError
from homerange.geo.cells import (
    cell_centre,
    cell_corners,
    cell_level,
    cell_reach_km,
    contains,
    longest_diagonal_km,
    mean_edge_km,
    parse_cell,
    to_path,
    to_token,
)
from homerange.geo.sphere import distance_to_outline_km, great_circle_km

__all__ = [
    "DEFAULT_RADIUS_KM",
    "LARGEST_RADIUS_KM",
    "Cell",
    "Circle",
    "Place",
    "SpeciesList",
    "distance_to_cells_km",
    "overlaps",
    "parse_at",
    "place_from_json",
    "read_species_list",
    "votes",
]

DEFAULT_RADIUS_KM = 100.0
LARGEST_RADIUS_KM = 20_038.0  # half the equator: every place on the Earth is nearer


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


@dataclass(frozen=True)
class SpeciesList:
    """The species that the user expects, wherever that is.

    Raises:
        PlaceError: If the list is empty or names a species twice.
    """

    species: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse an empty list and a species that stands there twice."""
        if not self.species:
            raise PlaceError("a list of species is empty; expected at least one scientific name.")
        seen: set[str] = set()
        for name in self.species:
            if name.casefold() in seen:
                raise PlaceError(f"a list of species names {name} twice; expected it once.")
            seen.add(name.casefold())

    def describe(self) -> str:
        """Say for people what this is."""
        return f"a list of {len(self.species)} species"

    def to_json(self) -> dict[str, object]:
        """Give the plain values for ``place.json``."""
        return {"kind": "list", "species": list(self.species)}


Place: TypeAlias = Circle | Cell | SpeciesList


def place_from_json(data: Mapping[str, object]) -> Place:
    """Read what ``to_json`` wrote.

    Raises:
        PlaceError: If the kind is unknown, a value is missing, extra or of a wrong type, or the
            two notations of a cell differ.
    """
    match data:
        case {
            "kind": "circle",
            "latitude_deg": int() | float() as latitude_deg,
            "longitude_deg": int() | float() as longitude_deg,
            "radius_km": int() | float() as radius_km,
            **rest,
        } if not rest and not any(map(_is_odd, (latitude_deg, longitude_deg, radius_km))):
            return Circle(float(latitude_deg), float(longitude_deg), float(radius_km))
        case {"kind": "cell", "cell": str(path), "token": str(token), **rest} if not rest:
            if parse_cell(path) != parse_cell(token):
                raise PlaceError(
                    f"a place gives the S2 cell {path} and the token {token}, which is "
                    f"{to_path(parse_cell(token))}; expected the same cell twice."
                )
            return Cell(parse_cell(path))
        case {"kind": "list", "species": [*names], **rest} if not rest:
            species = tuple(name for name in names if isinstance(name, str))
            if len(species) == len(names):
                return SpeciesList(species)
    raise PlaceError(
        f"kind {data.get('kind')!r} with {', '.join(sorted(set(data) - {'kind'})) or 'no values'} "
        "is not a place. Expected kind circle (numbers latitude_deg, longitude_deg, radius_km), "
        "cell (texts cell, token) or list (texts species) and nothing else; a newer version of "
        "homerange may have written it."
    )


def _is_odd(number: float) -> bool:
    """Find true and false, which Python counts as numbers, and numbers that no float holds."""
    return isinstance(number, bool) or (isinstance(number, int) and abs(number) > 10**15)


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


def read_species_list(path: Path) -> SpeciesList:
    """Read a text file with one scientific name a line; ``#`` starts a comment.

    Raises:
        PlaceError: If the file cannot be read as UTF-8 text, holds no name, or holds one twice
            (capitals do not count); the message gives both lines.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PlaceError(
            f"cannot read the species list {path}: {error}. Expected a UTF-8 text file with one "
            "scientific name a line."
        ) from error
    line_of: dict[str, int] = {}
    species: list[str] = []
    for number, line in enumerate(lines, start=1):
        name = " ".join(line.partition("#")[0].split())
        if not name:
            continue
        first = line_of.setdefault(name.casefold(), number)
        if first != number:
            raise PlaceError(
                f"{path}, line {number}: {name} stands on line {first} already; remove one."
            )
        species.append(name)
    if not species:
        raise PlaceError(
            f"the species list {path} holds no name; expected one scientific name a line."
        )
    return SpeciesList(tuple(species))


def distance_to_cells_km(place: Circle | Cell, cells_N: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Measure how far cells lie outside a place.

    For a circle this is the gap between it and the disc that covers the cell: never more than
    the true gap. For a cell it is 0 where one cell holds the other, and else the way from the
    centre of the cell to the edge of the place, so that neighbours stay outside.

    Args:
        place: Where.
        cells_N: S2 ids of any levels, shape (N,).

    Returns:
        Distance in km, shape (N,); 0 where the cell overlaps the place.

    Raises:
        PlaceError: If an id is not that of an S2 cell.

    Example:
        >>> cells = np.array([parse_cell("2/100"), parse_cell("4/103")], np.uint64)
        >>> distance_to_cells_km(Circle(51.5, -0.12), cells).round()  # London
        array([   0., 4672.])
    """
    centre_N2 = cell_centre(cells_N)
    if isinstance(place, Circle):
        point_2 = np.array([place.latitude_deg, place.longitude_deg])
        gap_N = great_circle_km(point_2, centre_N2) - cell_reach_km(cells_N) - place.radius_km
        return np.clip(gap_N, 0.0, None)
    outside_N = distance_to_outline_km(centre_N2, cell_corners(place.id_1)[0])
    return np.where(overlaps(place, cells_N), 0.0, outside_N)


def overlaps(place: Circle | Cell, cells_N: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Tell which cells overlap a place: those at a distance of 0 km, found faster.

    Args:
        place: Where.
        cells_N: S2 ids of any levels, shape (N,).

    Returns:
        True where :func:`distance_to_cells_km` is 0, shape (N,).

    Raises:
        PlaceError: If an id is not that of an S2 cell.
    """
    if isinstance(place, Cell):
        cell_level(cells_N)  # raises where one is no cell
        return contains(place.cell, cells_N) | contains(cells_N, place.cell)
    point_2 = np.array([place.latitude_deg, place.longitude_deg])
    to_centre_N = great_circle_km(point_2, cell_centre(cells_N))
    # Corners are costly, and the cells of a whole world lie far away: they need none.
    overlaps_N = to_centre_N <= place.radius_km + longest_diagonal_km(cells_N)
    overlaps_N[overlaps_N] = distance_to_cells_km(place, cells_N[overlaps_N]) == 0
    return overlaps_N


def votes(
    place: Circle | Cell,
    cells_N: NDArray[np.uint64],
    uncertainty_km_N: NDArray[np.floating],
) -> NDArray[np.bool_]:
    """Tell which records count for a place.

    A record counts if its cell overlaps the place and its uncertainty is at most the radius of
    the place: what may be 27 km away says nothing about a place of 1 km.

    Args:
        place: Where.
        cells_N: S2 ids of any levels, shape (N,).
        uncertainty_km_N: How wrong the coordinates of each record may be, shape (N,); 0 where
            nobody said. NaN never counts.

    Returns:
        True for the records that count, shape (N,).

    Raises:
        PlaceError: If an id is not that of an S2 cell.
    """
    # A cell holds many records: whether it overlaps is asked once for all of them.
    cell_U, row_N = np.unique(cells_N, return_inverse=True)
    sure_N = uncertainty_km_N <= place.radius_km
    votes_N: NDArray[np.bool_] = sure_N & overlaps(place, cell_U)[row_N]
    return votes_N
