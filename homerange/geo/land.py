"""Where there is land: coarse outlines, for maps and for shares of the land.

Source: Natural Earth 4.1, the layer "land" at 1:110 million, in the public domain, by way of the
npm package world-atlas 2.0.2. Rings that cross the dateline were cut there, Antarctica was closed
at the pole, and coordinates were rounded to 0.1 degrees (11 km). Small islands are missing; lakes
count as land, except the Caspian Sea. Good for the Earth as a whole, not for a coast.

Axes used in this file:
    V  corners of an outline      P  points on land      X  crossings of a parallel
    2  latitude, longitude (WGS 84, degrees)
"""

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homerange.errors import ConfigError

__all__ = ["land_points", "outlines"]

FILE = Path(__file__).with_name("land_110m.txt")
"""One outline a line: latitude, comma, longitude; the corners with spaces between."""


@functools.cache
def outlines() -> tuple[NDArray[np.float64], ...]:
    """Return the outlines of the land, the largest first: corners, shape (V, 2), not closed.

    What lies inside an even number of them is water: one is the shore of the Caspian Sea.
    """
    lines = FILE.read_text(encoding="ascii").splitlines()
    return tuple(
        np.array([pair.split(",") for pair in line.split()], dtype=np.float64) for line in lines
    )


def land_points(step_deg: float = 0.5) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cover the land with the points of a grid.

    Args:
        step_deg: Between neighbours, in latitude and in longitude; it divides 180.

    Returns:
        Latitude and longitude of each point on land, shape (P, 2), and the share of the land that
        it stands for, shape (P,): the cosine of its latitude, made to add up to 1.

    Raises:
        ConfigError: If the step does not divide 180.

    Example:
        >>> latlon_P2, share_P = land_points(5.0)
        >>> round(float(share_P[latlon_P2[:, 0] > 0].sum()), 2)  # of the land, north of the equator
        0.68
    """
    rows = round(180 / step_deg) if step_deg > 0 else 0
    if not rows or abs(rows * step_deg - 180) > 1e-9:
        raise ConfigError(f"step_deg is {step_deg}; expected one that divides 180, such as 0.5")
    middle = (np.arange(2 * rows) + 0.5) * step_deg
    longitude = middle - 180
    found = []
    for latitude in (middle[:rows] - 90).tolist():
        crossing_X = np.sort(_crossings(latitude))
        on_land = np.searchsorted(crossing_X, longitude) % 2 == 1
        here = longitude[on_land]
        found.append(np.stack([np.full(len(here), latitude), here], axis=1))
    latlon_P2 = np.concatenate(found)
    share_P = np.cos(np.radians(latlon_P2[:, 0]))
    return latlon_P2, share_P / share_P.sum()


def _crossings(latitude: float) -> NDArray[np.float64]:
    """Return the longitudes where outlines cross a parallel, shape (X,)."""
    (start_V, start_lon_V), (end_V, end_lon_V) = _edges()
    crosses_V = (start_V > latitude) != (end_V > latitude)
    along_V = (latitude - start_V[crosses_V]) / (end_V - start_V)[crosses_V]
    crossing_X: NDArray[np.float64] = (
        start_lon_V[crosses_V] + along_V * (end_lon_V - start_lon_V)[crosses_V]
    )
    return crossing_X


@functools.cache
def _edges() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return start and end of every edge of all outlines, each of shape (2, V)."""
    start = np.concatenate(outlines())
    end = np.concatenate([np.roll(corner_V2, -1, axis=0) for corner_V2 in outlines()])
    return start.T, end.T
