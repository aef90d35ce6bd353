"""Areas between borders: what lies inside, how far outside the rest lies, and how large they are.

Source: GeoJSON (RFC 7946): a border is straight in latitude and longitude, as on a map, and not
along a great circle. So a border on the 49th parallel stays on it.

Longitudes may reach beyond 180 degrees, and an edge that spans more than 180 (but not 360) goes the
shorter way: both say that an area lies across the dateline. A ring that goes round the Earth holds
the pole that its corners are nearer to.

Distances are measured on the sphere. For them each edge is cut into pieces of at most half a
degree, which are taken as arcs of great circles: at most 0.2 km off. Pieces lie in bundles, so that
most of them are ruled out together.

Axes used in this file:
    N  places       V  corners of a ring      E  edges      P  pieces of edges
    B  bundles of pieces
    2  latitude, longitude (WGS 84, degrees)  3  a unit vector
"""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from homerange.geo.crossings import find_crossing
from homerange.geo.sphere import (
    EARTH_RADIUS_KM,
    distance_to_arcs_km,
    distance_to_points_km,
    great_circle_km,
    to_latlon,
    to_xyz,
)

__all__ = ["Outline", "is_clockwise", "unwrapped"]

LONGEST_PIECE_DEG = 0.5
PIECES_OF_A_BUNDLE = 32
PLACES_AT_A_TIME = 512
HALF_ROUND_KM = math.pi * EARTH_RADIUS_KM
KM_OF_A_DEGREE = HALF_ROUND_KM / 180
FORGIVEN_SHARE, FORGIVEN_KM, LEAST_FORGIVEN_KM = 0.05, 18.0, 1e-5

Ring = NDArray[np.float64]
"""Corners in order, latitude and longitude, shape (V, 2), not closed."""


class Outline:
    """The borders of one or more areas.

    Example:
        >>> fiji = Outline([[np.array([[-21, 177], [-21, -178], [-12, -178], [-12, 177]])]])
        >>> fiji.holds(np.array([[-17.0, 179.9], [-17.0, -179.9], [-17.0, 0.0]])).tolist()
        [True, True, False]
    """

    def __init__(self, areas: Sequence[Sequence[Ring]]) -> None:
        """Take areas that may touch or overlap.

        Args:
            areas: The rings of each area. Within an area, what lies inside an even number of
                rings is outside: a hole, or an enclave. For ``area_km2`` these run the other way.
        """
        self._areas = [[unwrapped(ring_V2) for ring_V2 in area] for area in areas]

    @property
    def rings(self) -> tuple[Ring, ...]:
        """The rings of all areas, each laid out on the map without a jump at the dateline."""
        return tuple(ring_V2 for area in self._areas for ring_V2 in area)

    def holds(self, latlon_N2: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which places lie inside, shape (N,), for places of shape (N, 2)."""
        inside_N = np.zeros(len(latlon_N2), bool)
        for edge_E22 in self._edges:
            inside_N |= _inside(latlon_N2, edge_E22)
        return inside_N

    def distance_km(self, latlon_N2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Measure how far places, shape (N, 2), lie outside; 0 inside, shape (N,)."""
        away_km_N = np.zeros(len(latlon_N2))
        outside_N = np.flatnonzero(~self.holds(latlon_N2))
        for start in range(0, len(outside_N), 8 * PLACES_AT_A_TIME):
            part = outside_N[start : start + 8 * PLACES_AT_A_TIME]
            away_km_N[part] = self._to_border_km(to_xyz(latlon_N2[part]))
        return away_km_N

    @cached_property
    def area_km2(self) -> float:
        """All areas together; one that lies in two of them counts twice."""
        signed = [sum(_signed_area_sr(ring_V2) for ring_V2 in rings) for rings in self._areas]
        return sum(map(abs, signed)) * EARTH_RADIUS_KM**2

    @property
    def radius_km(self) -> float:
        """The radius of the circle that has the same area."""
        share = min(self.area_km2 / (4 * math.pi * EARTH_RADIUS_KM**2), 1.0)
        return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(share))

    @cached_property
    def crossing(self) -> NDArray[np.float64] | None:
        """A place where the rings of an area cross, latitude and longitude; None without one.

        Two areas may overlap. Holes must run the other way than borders. Forgiven is what goes
        wrong within a twentieth of the radius, at most 18 km (:mod:`homerange.geo.crossings`).

        Raises:
            PlaceError: If so many edges lie side by side that nobody can tell.
        """
        reach_km = max(min(FORGIVEN_SHARE * self.radius_km, FORGIVEN_KM), LEAST_FORGIVEN_KM)
        found = (find_crossing(edge_E22, reach_km / KM_OF_A_DEGREE) for edge_E22 in self._edges)
        return next((place_2 for place_2 in found if place_2 is not None), None)

    @cached_property
    def cap(self) -> tuple[NDArray[np.float64], float]:
        """A circle that holds everything: its middle, shape (2,), and its radius in km."""
        piece_P23 = np.concatenate(list(self._pieces()))
        middle_2 = to_latlon(piece_P23[:, 0].mean(axis=0))
        radius_km = float(great_circle_km(middle_2, to_latlon(piece_P23)).max())
        # A wider circle is not convex: what lies between two of its places may lie outside it.
        return middle_2, radius_km if radius_km < HALF_ROUND_KM / 2 else HALF_ROUND_KM

    @cached_property
    def _edges(self) -> list[NDArray[np.float64]]:
        """The edges of each area on the map from -180 to 180, start and end, shape (E, 2, 2)."""
        return [np.concatenate([_on_the_map(ring_V2) for ring_V2 in area]) for area in self._areas]

    def _pieces(self) -> Iterator[NDArray[np.float64]]:
        """Cut the edges of each ring: start and end, shape (P, 2, 3)."""
        for ring_V2 in (ring_V2 for area in self._areas for ring_V2 in area):
            corner_V2 = _with_corners_between(ring_V2)
            point_V3 = to_xyz(corner_V2)
            piece_P23 = np.stack([point_V3, np.roll(point_V3, -1, axis=0)], axis=1)
            # All longitudes are the same place at a pole.
            long_P = np.linalg.norm(piece_P23[:, 1] - piece_P23[:, 0], axis=1) > 1e-9
            yield piece_P23[long_P]

    @cached_property
    def _bundles(self) -> list[NDArray[np.float64]]:
        """Pieces that lie near one another, each shape (P, 2, 3)."""
        return [
            piece_P23[start : start + PIECES_OF_A_BUNDLE]
            for piece_P23 in self._pieces()
            for start in range(0, len(piece_P23), PIECES_OF_A_BUNDLE)
        ]

    def _to_border_km(self, place_N3: NDArray[np.float64]) -> NDArray[np.float64]:
        middle_B3 = np.stack([piece_P23.mean(axis=(0, 1)) for piece_P23 in self._bundles])
        middle_B3 /= np.linalg.norm(middle_B3, axis=1, keepdims=True)
        reach_km_B = np.array(
            [
                distance_to_points_km(piece_P23.reshape(-1, 3), middle_13).max()
                for piece_P23, middle_13 in zip(self._bundles, middle_B3[:, None], strict=True)
            ]
        )
        to_middle_NB = distance_to_points_km(place_N3, middle_B3)
        at_most_N1 = (to_middle_NB + reach_km_B).min(axis=1, keepdims=True)
        maybe_NB = to_middle_NB - reach_km_B <= at_most_N1
        border_km_N = np.full(len(place_N3), np.inf)
        for maybe_N, piece_P23 in zip(maybe_NB.T, self._bundles, strict=True):
            if maybe_N.any():
                km_NP = distance_to_arcs_km(place_N3[maybe_N], piece_P23[:, 0], piece_P23[:, 1])
                border_km_N[maybe_N] = np.minimum(border_km_N[maybe_N], km_NP.min(axis=1))
        return border_km_N


def unwrapped(ring_V2: Ring) -> Ring:
    """Lay a ring out on the map without a jump at the dateline.

    Args:
        ring_V2: Corners, shape (V, 2), not closed; longitudes of any turn.

    Returns:
        The same corners with longitudes that go on across the dateline. A ring that goes round the
        Earth is closed at the pole that its corners are nearer to on average.

    Example:
        >>> unwrapped(np.array([[-21.0, 177], [-21, -178], [-12, 179]]))[:, 1].tolist()
        [177.0, 182.0, 179.0]
    """
    lon_V = ring_V2[:, 1]
    step_V = np.roll(lon_V, -1) - lon_V
    jumps_V = (np.abs(step_V) > 180) & (np.abs(step_V) < 360)
    step_V = step_V - np.where(jumps_V, 360 * np.sign(step_V), 0)
    laid_V2 = np.stack([ring_V2[:, 0], lon_V[0] + np.cumsum(step_V) - step_V], axis=1)
    round_deg = float(step_V.sum())
    if abs(round_deg) < 180:
        return laid_V2
    pole = 90.0 if laid_V2[:, 0].mean() >= 0 else -90.0
    (lat, first), last = laid_V2[0], laid_V2[0, 1] + round_deg
    return np.concatenate([laid_V2, [[lat, last], [pole, last], [pole, first]]])


def is_clockwise(ring_V2: Ring) -> bool:
    """Tell how the corners of a ring, shape (V, 2), run around what it holds on the map."""
    return _signed_area_sr(unwrapped(ring_V2)) > 0


def _on_the_map(ring_V2: Ring) -> NDArray[np.float64]:
    """Return the edges of a ring, and of its copies a turn away that reach into -180 to 180."""
    edge_V22 = np.stack([ring_V2, np.roll(ring_V2, -1, axis=0)], axis=1)
    copies = [edge_V22 + np.array([0, turn_deg]) for turn_deg in (-720, -360, 0, 360, 720)]
    near = [one for one in copies if one[..., 1].min() <= 180 and one[..., 1].max() >= -180]
    return np.concatenate(near)


def _inside(latlon_N2: NDArray[np.float64], edge_E22: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Count the edges east of each place: inside, their number is odd."""
    inside_N = np.zeros(len(latlon_N2), bool)
    low_E, high_E = edge_E22[..., 0].min(axis=1), edge_E22[..., 0].max(axis=1)
    order_N = np.argsort(latlon_N2[:, 0])
    for start in range(0, len(order_N), PLACES_AT_A_TIME):
        row = order_N[start : start + PLACES_AT_A_TIME]
        lat_N1, lon_N1 = latlon_N2[row, :1], latlon_N2[row, 1:]
        # Places of neighbouring latitudes share the few edges that reach there.
        beside_E = (high_E > lat_N1.min()) & (low_E <= lat_N1.max())
        start_E2, end_E2 = edge_E22[beside_E, 0], edge_E22[beside_E, 1]
        crosses_NE = (start_E2[:, 0] > lat_N1) != (end_E2[:, 0] > lat_N1)
        rise_E = np.where(end_E2[:, 0] == start_E2[:, 0], 1.0, end_E2[:, 0] - start_E2[:, 0])
        slope_E = (end_E2[:, 1] - start_E2[:, 1]) / rise_E
        east_NE = lon_N1 < start_E2[:, 1] + (lat_N1 - start_E2[:, 0]) * slope_E
        inside_N[row] = (crosses_NE & east_NE).sum(axis=1) % 2 == 1
    return inside_N


def _with_corners_between(ring_V2: Ring) -> Ring:
    """Add corners on the edges, so that no piece is longer than half a degree."""
    step_V2 = np.roll(ring_V2, -1, axis=0) - ring_V2
    pieces_V = np.maximum(np.ceil(np.abs(step_V2).max(axis=1) / LONGEST_PIECE_DEG), 1).astype(int)
    edge_P = np.repeat(np.arange(len(ring_V2)), pieces_V)
    number_P = np.arange(len(edge_P)) - (np.cumsum(pieces_V) - pieces_V)[edge_P]
    share_P1 = (number_P / pieces_V[edge_P])[:, None]
    corner_P2: Ring = ring_V2[edge_P] + share_P1 * step_V2[edge_P]
    return corner_P2


def _signed_area_sr(ring_V2: Ring) -> float:
    """Integrate sin(latitude) over longitude along the edges: positive if clockwise."""
    lat_V, lon_V = np.radians(ring_V2).T
    half_rise_V = (np.roll(lat_V, -1) - lat_V) / 2
    # The mean of the sine over an edge, sin(middle) * sinc(half), needs no case for level edges.
    mean_sine_V = np.sin(lat_V + half_rise_V) * np.sinc(half_rise_V / np.pi)
    return float(mean_sine_V @ (np.roll(lon_V, -1) - lon_V))
