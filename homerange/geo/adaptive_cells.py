"""S2 cells that are small where there are many photos and large where there are few.

Source: the splits iNaturalist-Geo of Hsu, Qi and Brown, "Federated Visual Classification with
Real-World Data Distribution", ECCV 2020 (after Weyand et al. 2016), which the paper uses with
N_max = 10,000 (section 3.1, figure 2): from the six faces on, a cell with more than N_max photos is
replaced by its four children; cells with fewer than N_min photos are left out.

Where we differ, and why: our paper says that N_max bounds the photos of any *species* and that
N_min is 0.1 * N_max. Its own table 1 has cells of 695 and 272 photos at N_max = 10,000. So here
N_max counts all photos of a cell, and N_min is 0.01 * N_max, which agrees with the table.

Axes used in this file:
    N  photos
    2  latitude, longitude (WGS 84, degrees)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from homerange.errors import ConfigError
from homerange.geo.cells import FINEST_LEVEL, cell_ids, cell_parent

__all__ = ["AdaptiveCells", "adaptive_cells"]

SMALLEST_SHARE = 0.01
"""N_min as a share of N_max, where nobody states N_min."""


@dataclass(frozen=True)
class AdaptiveCells:
    """The cell of each photo, and whether that cell has enough of them."""

    cell_N: NDArray[np.uint64]
    """S2 ids. No cell lies inside another."""

    kept_N: NDArray[np.bool_]
    """False for the photos of cells with fewer than N_min: these are left out."""


def adaptive_cells(
    latlon_N2: NDArray[np.float64], *, n_max: int, n_min: float | None = None
) -> AdaptiveCells:
    """Divide photos among S2 cells of at most ``n_max`` photos.

    Args:
        latlon_N2: Latitude and longitude of each photo, degrees, shape (N, 2).
        n_max: Most photos of a cell, at least 1. Only a cell of level 30 (about 1 cm) may have
            more: it has no children.
        n_min: Fewest photos of a cell that is kept, from 0 to ``n_max``; 0.01 * ``n_max`` if None.

    Raises:
        CoordinateError: If a coordinate is NaN or out of range.
        ConfigError: If ``n_max`` or ``n_min`` is out of range.

    Example:
        >>> from homerange.geo.cells import to_path
        >>> boston, london, nairobi = [42.36, -71.06], [51.5, -0.12], [-1.29, 36.8]
        >>> latlon_N2 = np.array([boston, [43.0, -71.5], london, nairobi])
        >>> [to_path(cell) for cell in adaptive_cells(latlon_N2, n_max=2).cell_N]
        ['4/', '4/', '2/', '0/']
    """
    fewest = SMALLEST_SHARE * n_max if n_min is None else n_min
    if n_max < 1:
        raise ConfigError(f"n_max is {n_max}; expected at least 1 photo in a cell")
    if not 0 <= fewest <= n_max:
        raise ConfigError(f"n_min is {fewest:g}; expected 0 to n_max, which is {n_max:,}")
    finest_N = cell_ids(latlon_N2, FINEST_LEVEL)
    cell_N = np.zeros_like(finest_N)
    kept_N = np.zeros(len(finest_N), dtype=bool)
    open_N = np.arange(len(finest_N))  # photos whose cell is still too full
    for level in range(FINEST_LEVEL + 1):
        here_N = cell_parent(finest_N[open_N], level)
        _, index_N, count = np.unique(here_N, return_inverse=True, return_counts=True)
        photos_N = count[index_N]
        fits_N = (photos_N <= n_max) | (level == FINEST_LEVEL)
        cell_N[open_N[fits_N]] = here_N[fits_N]
        kept_N[open_N[fits_N]] = photos_N[fits_N] >= fewest
        open_N = open_N[~fits_N]
    return AdaptiveCells(cell_N, kept_N)
