"""Distances on the Earth, taken as a sphere.

Source: the haversine formula on a sphere of the IUGG mean radius R1 = (2a + b) / 3. Against the
WGS 84 ellipsoid a distance is wrong by at most about 0.6 %.

Where we differ from the usual haversine, and why: the complement 1 - h is computed as a sum of
squares of its own and not by subtraction, so that antipodes are as exact as neighbours.

Axes used in this file:
    N, A, B  places
    K        corners of a polygon
    2        latitude, longitude (WGS 84, degrees)
    3        x, y, z of a unit vector: x to 0 N 0 E, y to 0 N 90 E, z to the north pole
    ...      any leading axes; they broadcast
"""

import numpy as np
from numpy.typing import NDArray

from homerange.errors import CoordinateError

__all__ = [
    "EARTH_RADIUS_KM",
    "check_latlon",
    "distance_km",
    "distance_to_arcs_km",
    "distance_to_outline_km",
    "distance_to_points_km",
    "great_circle_km",
    "to_latlon",
    "to_xyz",
]

EARTH_RADIUS_KM = 6371.0088


def check_latlon(latlon_N2: NDArray[np.float64], *, where: str = "row") -> None:
    """Refuse coordinates that are not a place on the Earth.

    Args:
        latlon_N2: Latitude in [-90, 90] then longitude in [-180, 180], degrees, shape (N, 2).
        where: What one row is called in the message.

    Raises:
        CoordinateError: If a coordinate is NaN or out of range; the message names the first bad
            row and counts them.
    """
    bad_N = ~_on_earth(latlon_N2)
    if not bad_N.any():
        return
    row = int(bad_N.argmax())
    lat, lon = latlon_N2[row].tolist()
    swapped = (bad_N & _on_earth(latlon_N2[:, ::-1])).any()
    hint = (
        "latitude and longitude may be swapped"
        if swapped
        else "give decimal degrees (WGS 84), not metres, and no missing values"
    )
    raise CoordinateError(
        f"{where} {row}: latitude {lat} and longitude {lon} are not a place on the Earth. "
        "Expected latitude in [-90, 90] and longitude in [-180, 180], in degrees. "
        f"{bad_N.sum()} of {len(bad_N)} {where}s have this problem; {hint}."
    )


def _on_earth(latlon_N2: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (np.abs(latlon_N2[:, 0]) <= 90) & (np.abs(latlon_N2[:, 1]) <= 180)


def distance_km(
    latlon_A2: NDArray[np.float64], latlon_B2: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Measure the great-circle distance from each place of one list to each of another.

    Args:
        latlon_A2: Latitude and longitude, degrees, shape (A, 2).
        latlon_B2: Latitude and longitude, degrees, shape (B, 2).

    Returns:
        Distances in km, from 0 to half the circumference (20,015 km), shape (A, B).

    Raises:
        CoordinateError: If a coordinate is NaN or out of range.

    Example:
        >>> serengeti, chicago = np.array([[-2.33, 34.83]]), np.array([[41.88, -87.63]])
        >>> distance_km(serengeti, chicago).round()
        array([[12814.]])
    """
    check_latlon(latlon_A2)
    check_latlon(latlon_B2)
    return great_circle_km(latlon_A2[:, None], latlon_B2[None, :])


def great_circle_km(
    start_2: NDArray[np.float64], end_2: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Measure great-circle distances pair by pair; leading axes broadcast.

    Args:
        start_2: Latitude and longitude, degrees, shape (..., 2). Not checked.
        end_2: Latitude and longitude, degrees, shape (..., 2). Not checked.

    Returns:
        Distances in km, shape (...).
    """
    half_start_2, half_end_2 = np.radians(start_2) / 2, np.radians(end_2) / 2
    d_lat, d_lon = np.moveaxis(half_end_2 - half_start_2, -1, 0)
    mean_lat = half_end_2[..., 0] + half_start_2[..., 0]
    near = np.hypot(np.sin(d_lat) * np.cos(d_lon), np.cos(mean_lat) * np.sin(d_lon))
    far = np.hypot(np.cos(d_lat) * np.cos(d_lon), np.sin(mean_lat) * np.sin(d_lon))
    km: NDArray[np.float64] = 2 * EARTH_RADIUS_KM * np.arctan2(near, far)
    return km


def distance_to_outline_km(
    latlon_N2: NDArray[np.float64], corner_K2: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Measure how far places lie from the outline of a polygon with great-circle edges.

    Args:
        latlon_N2: Places, degrees, shape (N, 2).
        corner_K2: Corners in order around the polygon, degrees, shape (K, 2); each edge is
            shorter than half the circumference.

    Returns:
        Distance to the nearest point of the outline in km, shape (N,).

    Raises:
        CoordinateError: If a coordinate is NaN or out of range.
    """
    check_latlon(latlon_N2)
    check_latlon(corner_K2)
    start_K3 = to_xyz(corner_K2)
    to_edge_NK = distance_to_arcs_km(to_xyz(latlon_N2), start_K3, np.roll(start_K3, -1, axis=0))
    outline_km_N: NDArray[np.float64] = to_edge_NK.min(axis=1)
    return outline_km_N


def distance_to_arcs_km(
    place_N3: NDArray[np.float64], start_K3: NDArray[np.float64], end_K3: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Measure how far places lie from arcs of great circles that hang together.

    Args:
        place_N3: Unit vectors, shape (N, 3).
        start_K3: Where each arc begins, shape (K, 3).
        end_K3: Where it ends; neither at the same point nor at its antipode. Its distance is left
            to the arc that begins there.

    Returns:
        Distance to the nearest point of each arc in km, shape (N, K).
    """
    normal_K3 = np.cross(start_K3, end_K3)
    normal_K3 /= np.linalg.norm(normal_K3, axis=1, keepdims=True)
    # An arc is nearest between its ends only for places between the planes through its ends.
    after_start_NK = place_N3 @ np.cross(normal_K3, start_K3).T > 0
    before_end_NK = place_N3 @ np.cross(normal_K3, end_K3).T < 0
    to_arc_NK = np.arcsin(np.minimum(np.abs(place_N3 @ normal_K3.T), 1.0))
    between_NK = after_start_NK & before_end_NK
    km_NK: NDArray[np.float64] = np.where(
        between_NK, EARTH_RADIUS_KM * to_arc_NK, distance_to_points_km(place_N3, start_K3)
    )
    return km_NK


def distance_to_points_km(
    place_N3: NDArray[np.float64], point_K3: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Measure from unit vectors (N, 3) to others (K, 3), in km, shape (N, K).

    Quicker than :func:`distance_km`, and right to 20 cm.
    """
    half_chord_NK = np.sqrt(np.clip((1 - place_N3 @ point_K3.T) / 2, 0, 1))
    km_NK: NDArray[np.float64] = 2 * EARTH_RADIUS_KM * np.arcsin(half_chord_NK)
    return km_NK


def to_xyz(latlon_2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn latitude and longitude, degrees, shape (..., 2), into unit vectors, shape (..., 3)."""
    lat, lon = np.moveaxis(np.radians(latlon_2), -1, 0)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def to_latlon(xyz_3: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn vectors of any length, shape (..., 3), into latitude and longitude, shape (..., 2)."""
    x, y, z = np.moveaxis(xyz_3, -1, 0)
    latlon_2 = np.stack([np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)], axis=-1)
    return latlon_2 * (180 / np.pi)
