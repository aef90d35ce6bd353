"""Where a record may be said to be: in an S2 cell as large as its uncertainty, never at a point.

Axes used in this file:
    N  records
"""

import numpy as np
from numpy.typing import NDArray

from homerange.geo.cells import cell_ids, level_for_km

__all__ = ["PUBLISHED_LEVEL", "UNCERTAINTY_BANDS_KM", "coarse_cells"]

PUBLISHED_LEVEL = 8
"""Finest S2 level (mean edge 36 km) of anything that a world says about places."""

UNCERTAINTY_BANDS_KM = (1, 10, 36)
"""Upper ends of the bands of uncertainty whose records are counted apart; a last one is open."""


def coarse_cells(
    latlon_N2: NDArray[np.float64],
    uncertainty_km_N: NDArray[np.floating],
    *,
    finest: int = PUBLISHED_LEVEL,
) -> NDArray[np.uint64]:
    """Return the S2 cell that stands for the place of each record.

    It is of level ``finest``, or of the finest coarser one whose mean edge reaches the uncertainty.

    Args:
        latlon_N2: Latitude and longitude, WGS 84 degrees, shape (N, 2); nan where unknown.
        uncertainty_km_N: How far the coordinates may be off, shape (N,); 0 where nobody said.
        finest: The finest level.

    Returns:
        64-bit cell ids, shape (N,); 0 without coordinates.

    Raises:
        CoordinateError: If a coordinate is out of range.

    Example:
        >>> from homerange.geo.cells import to_path
        >>> cells = coarse_cells(np.array([[42.36, -71.06]] * 2), np.array([0.1, 1000.0]))
        >>> [to_path(cell) for cell in cells]  # Boston
        ['4/10330123', '4/103']
    """
    km_U, which_N = np.unique(np.maximum(uncertainty_km_N, 0), return_inverse=True)
    level_U = np.array([level_for_km(km, finest=finest) for km in km_U.tolist()], dtype=np.int64)
    level_N = level_U[which_N]
    cell_N = np.zeros(len(latlon_N2), dtype=np.uint64)
    known_N = ~np.isnan(latlon_N2).any(axis=1)
    for level in np.unique(level_N[known_N]).tolist():
        chosen_N = known_N & (level_N == level)
        cell_N[chosen_N] = cell_ids(latlon_N2[chosen_N], level)
    return cell_N
