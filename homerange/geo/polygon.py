"""A place inside a border that the user drew.

Axes used in this file:
    V  corners of a ring      2  latitude, longitude (WGS 84, degrees)
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from homerange.errors import PlaceError
from homerange.geo.outline import Outline, is_clockwise, unwrapped

__all__ = ["MOST_CORNERS", "Corners", "Polygon"]

MOST_CORNERS = 100_000
"""Of a polygon, so that no file makes a place that takes minutes."""

SMALLEST_AREA_KM2 = 1e-6
"""A square metre: what holds less is a line."""

Corners: TypeAlias = tuple[tuple[float, float], ...]
"""Latitude and longitude of the corners of a ring, the last one joined to the first."""


@dataclass(frozen=True)
class Polygon:
    """What lies inside a border, without the holes in it; it may have several parts.

    Edges are straight in latitude and longitude, as on a map. Longitudes may reach from -360 to
    360; an edge that spans more than 180 degrees, but not 360, goes the shorter way, and a ring
    that goes round the Earth holds the nearer pole (:mod:`homerange.geo.outline`).

    Raises:
        PlaceError: If a ring has fewer than three corners or spans more than a turn, a corner is
            not on the Earth, there are too many, nothing lies inside, or the border of a part
            crosses itself. Parts may overlap.
    """

    name: str
    """What to call it; a file's name, for example."""
    areas: tuple[tuple[Corners, ...], ...] = field(repr=False)
    """The rings of each part: its border, then its holes."""

    def __post_init__(self) -> None:
        """Refuse what is no border."""
        rings = [ring for area in self.areas for ring in area]
        corners = sum(map(len, rings))
        if corners > MOST_CORNERS:
            raise PlaceError(
                f"the polygon {self.name} has {corners:,} corners; expected at most "
                f"{MOST_CORNERS:,}. Make its border simpler: places are told from cells of 36 km"
            )
        for number, ring in enumerate(rings, start=1):
            self._check(ring, number)
        self._check_crossings()
        if not self.outline.area_km2 > SMALLEST_AREA_KM2:
            raise PlaceError(f"nothing lies inside the border of the polygon {self.name}")

    @cached_property
    def outline(self) -> Outline:
        """The borders, ready to measure with; holes run the other way."""
        return Outline(
            [
                [_turned(ring, clockwise=number == 0) for number, ring in enumerate(area)]
                for area in self.areas
            ]
        )

    @property
    def radius_km(self) -> float:
        """The radius of the circle that has the same area."""
        return self.outline.radius_km

    def describe(self) -> str:
        """Say for people where this is."""
        return f"the polygon {self.name}"

    def to_json(self) -> dict[str, object]:
        """Give the plain values for ``place.json``; the geometry is GeoJSON, longitude first."""
        coordinates = [
            [[[lon, lat] for lat, lon in (*ring, ring[0])] for ring in area] for area in self.areas
        ]
        geometry = {"type": "MultiPolygon", "coordinates": coordinates}
        return {"kind": "polygon", "name": self.name, "geometry": geometry}

    def _check_crossings(self) -> None:
        try:
            crossing_2 = self.outline.crossing
        except PlaceError as error:
            raise PlaceError(f"the polygon {self.name}: {error}") from error
        if crossing_2 is not None:
            lat, lon = crossing_2.tolist()
            raise PlaceError(
                f"the border of the polygon {self.name} crosses itself at latitude {lat:.4f} and "
                f"longitude {(lon + 180) % 360 - 180:.4f}, so nobody can say what lies inside. "
                "Expected rings that touch at most; draw it again, or repair it, for example with "
                "Fix geometries in QGIS"
            )

    def _check(self, ring: Corners, number: int) -> None:
        which = f"ring {number} of the polygon {self.name}"
        if len(set(ring)) < 3:
            raise PlaceError(f"{which} has {len(set(ring))} different corners; expected at least 3")
        for lat, lon in ring:
            if not (abs(lat) <= 90 and abs(lon) <= 360):
                swapped = abs(lon) <= 90 and abs(lat) <= 360
                raise PlaceError(
                    f"{which}: latitude {lat} and longitude {lon} are not a place on the Earth; "
                    "expected degrees (WGS 84), in GeoJSON the longitude first"
                    + (". They look swapped" if swapped else ", not metres")
                )
        width_deg = float(np.ptp(unwrapped(np.array(ring))[:, 1]))
        if width_deg > 360:
            raise PlaceError(
                f"{which} spans {width_deg:g} degrees of longitude; expected at most one turn, 360"
            )


def _turned(corners: Corners, *, clockwise: bool) -> NDArray[np.float64]:
    """Give corners, shape (V, 2), in one direction, whatever that of the file is."""
    ring_V2 = np.array(corners, np.float64)
    return ring_V2 if is_clockwise(ring_V2) == clockwise else ring_V2[::-1]
