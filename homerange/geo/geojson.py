"""Places from GeoJSON, the format in which maps and protected areas are shared.

Source: RFC 7946. Read are Polygon, MultiPolygon, Feature and FeatureCollection; each feature is a
place of its own.

Where we differ, and why: a ring that is not closed is closed, since there is one way to do it; an
edge that spans more than 180 degrees goes the shorter way, as people draw across the dateline; and
longitudes may go on beyond 180 degrees (:mod:`homerange.geo.outline`). A file in other coordinates
than WGS 84 is refused.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from homerange.errors import PlaceError
from homerange.geo.polygon import Corners, Polygon

__all__ = [
    "LARGEST_FILE_BYTES",
    "MOST_FEATURES",
    "is_number",
    "polygon_of",
    "polygons_of",
    "read_geojson",
]

LARGEST_FILE_BYTES = 32 * 10**6
"""Refused before it is parsed; 100,000 corners need about 4 MB."""

MOST_FEATURES = 1000
"""Of a collection: each is a place of its own."""

LONGEST_NAME = 80
"""Of a feature; what is longer is cut."""

LARGEST_NUMBER = 1e15
"""JSON has numbers of any size; these are all larger than the Earth in any unit."""

_WGS_84 = ("CRS84", "EPSG::4326", "EPSG:4326")
_TYPES = "Polygon, MultiPolygon, Feature or FeatureCollection"
_NAMES = ("name", "NAME", "Name", "title", "id")


def read_geojson(path: str | Path) -> tuple[Polygon, ...]:
    """Read the polygons of a file, one for each feature.

    Raises:
        PlaceError: If the file cannot be read, is too large, is no GeoJSON of polygons, or a
            polygon of it is none (:class:`homerange.geo.polygon.Polygon`).
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise PlaceError(
                f"{path}: {path.stat().st_size:,} bytes; expected at most "
                f"{LARGEST_FILE_BYTES:,}. Make its borders simpler, or keep only your place"
            )
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise PlaceError(
            f"{path}: cannot be read ({error.strerror}); expected a GeoJSON file"
        ) from error
    except (ValueError, RecursionError) as error:
        raise PlaceError(f"{path}: is not JSON ({error}); expected a GeoJSON file") from error
    return polygons_of(data, path.name)


def polygons_of(data: object, name: str) -> tuple[Polygon, ...]:
    """Read the polygons of a GeoJSON object, one for each feature.

    Args:
        data: What ``json.load`` gave.
        name: What to call it; a feature of several is called by its own name besides.

    Raises:
        PlaceError: If it is no GeoJSON of polygons.

    Example:
        >>> corners = [[34, -3], [36, -3], [36, -1], [34, -1], [34, -3]]
        >>> (block,) = polygons_of({"type": "Polygon", "coordinates": [corners]}, "block A")
        >>> block.describe(), round(block.radius_km)
        ('the polygon block A', 125)
    """
    _check_crs(data, name)
    if not isinstance(data, dict) or data.get("type") != "FeatureCollection":
        return (_of_feature(data, name),)
    features = data.get("features")
    if not isinstance(features, list) or not 0 < len(features) <= MOST_FEATURES:
        count = f"{len(features):,} features" if isinstance(features, list) else "no features"
        raise PlaceError(f"{name} has {count}; expected 1 to {MOST_FEATURES:,}")
    if len(features) == 1:
        return (_of_feature(features[0], name),)
    names = (f"{name}: {_name_of(one, number)}" for number, one in enumerate(features, start=1))
    return tuple(_of_feature(one, called) for one, called in zip(features, names, strict=True))


def polygon_of(geometry: object, name: str) -> Polygon:
    """Read a geometry of type Polygon or MultiPolygon.

    Raises:
        PlaceError: If it is none.
    """
    found = geometry if isinstance(geometry, dict) else {}
    match found.get("type"), found.get("coordinates"):
        case "Polygon", [*rings] if rings:
            areas = [rings]
        case "MultiPolygon", [*several] if several and all(isinstance(x, list) for x in several):
            areas = several
        case "Point" | "MultiPoint", _:
            raise PlaceError(
                f"{name} is a {found['type']}; expected {_TYPES}. A point is a place with "
                "--at LAT,LON and --radius-km"
            )
        case _:
            kind = found.get("type") or "nothing that GeoJSON knows"
            raise PlaceError(f"{name} is {kind}, or lacks coordinates; expected {_TYPES}")
    return Polygon(name, tuple(tuple(_corners(ring, name) for ring in area) for area in areas))


def _of_feature(data: object, name: str) -> Polygon:
    if isinstance(data, dict) and data.get("type") == "Feature":
        return polygon_of(data.get("geometry"), name)
    return polygon_of(data, name)


def _corners(ring: object, name: str) -> Corners:
    """Turn positions, longitude first, into corners, latitude first; heights are left out."""
    positions = ring if isinstance(ring, list) else []
    corners = [
        (float(lat), float(lon))
        for lon, lat in (one[:2] for one in positions if isinstance(one, list) and len(one) > 1)
        if is_number(lon) and is_number(lat)
    ]
    if not positions or len(corners) < len(positions):
        raise PlaceError(
            f"{name} has a ring with {len(positions) - len(corners)} corners that are no pairs of "
            "numbers, or without corners; expected [longitude, latitude] for each"
        )
    closed = len(corners) > 1 and corners[0] == corners[-1]
    return tuple(corners[:-1] if closed else corners)


def is_number(value: object) -> bool:
    """Tell numbers that can be degrees or km from truths, infinities and what no float holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < LARGEST_NUMBER  # false for NaN


def _name_of(feature: object, number: int) -> str:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    found: Mapping[str, object] = properties if isinstance(properties, dict) else {}
    named = (" ".join(str(found[key]).split())[:LONGEST_NAME] for key in _NAMES if key in found)
    return next(filter(None, named), f"feature {number}")


def _check_crs(data: object, name: str) -> None:
    """Refuse other coordinates, which GeoJSON of before 2016 could have."""
    crs = data.get("crs") if isinstance(data, dict) else None
    if crs is None:
        return
    properties = crs.get("properties") if isinstance(crs, dict) else None
    named = str(properties.get("name")) if isinstance(properties, dict) else str(crs)
    if not named.endswith(_WGS_84):
        raise PlaceError(
            f"{name} is in the coordinates {named}; expected WGS 84. Save it again as GeoJSON in "
            "EPSG:4326"
        )
