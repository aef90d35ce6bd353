"""A place from the words that people use, the same for the command line, Python and the map."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from homerange.errors import PlaceError
from homerange.geo.cells import parse_cell
from homerange.geo.countries import find_country
from homerange.geo.geojson import polygons_of, read_geojson
from homerange.geo.place import (
    DEFAULT_RADIUS_KM,
    Area,
    Cell,
    Place,
    SpeciesList,
    combine,
    parse_at,
)
from homerange.geo.species_list import read_species_list

__all__ = ["name_place"]

DRAWN = "drawn here"
"""Name of a GeoJSON object that is no file."""


def name_place(
    *,
    at: Iterable[str] = (),
    radius_km: Sequence[float] = (DEFAULT_RADIUS_KM,),
    s2: Iterable[str] = (),
    country: Iterable[str] = (),
    geojson: Iterable[str | Path | Mapping[str, object]] = (),
    species: Iterable[str | Path] = (),
) -> Place:
    """Make one place of all that is named.

    Args:
        at: Points, each as ``"LAT,LON"``.
        radius_km: One radius for all points, or one for each in their order.
        s2: S2 cells, as tokens or paths.
        country: Codes or English names.
        geojson: Files, or GeoJSON objects as ``json.load`` gives them.
        species: Text files with a scientific name a line.

    Raises:
        PlaceError: If nothing is named, one of them is no place, or the number of radii is neither
            one nor that of the points.

    Example:
        >>> name_place(at=["-2.33,34.83"], radius_km=[50], country=["Kenya"]).describe()
        'within 50 km of -2.3300, 34.8300 and Kenya (KEN)'
    """
    points = list(at)
    radii = list(radius_km)
    if len(radii) not in (1, len(points)):
        raise PlaceError(
            f"{len(radii)} radii for {len(points)} points; expected one for all, or one for each"
        )
    radii = radii * len(points) if len(radii) == 1 else radii
    parts: list[Area | SpeciesList] = [
        *(parse_at(text, radius) for text, radius in zip(points, radii, strict=True)),
        *(Cell(parse_cell(text)) for text in s2),
        *(find_country(text) for text in country),
    ]
    for one in geojson:
        if isinstance(one, Mapping):
            parts += polygons_of(one, DRAWN)
        else:
            parts += read_geojson(one)
    parts += [read_species_list(Path(one)) for one in species]
    return combine(parts)
