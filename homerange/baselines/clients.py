"""The clients of federated averaging: the adaptive S2 cells of iNaturalist-Geo.

Where we differ from it, and why: cells with few photos stay, because averaging weighs a client by
its photos; photos without coordinates are one client, so that nothing is left out in silence.

Axes used in this file:
    N  photos
"""

import numpy as np
from numpy.typing import NDArray

from homerange.geo.adaptive_cells import adaptive_cells
from homerange.geo.cells import to_path

__all__ = ["clients_of"]


def clients_of(latlon_N2: NDArray[np.float64], *, photos_max: int) -> dict[str, NDArray[np.int64]]:
    """Share photos among S2 cells of at most ``photos_max`` photos.

    Args:
        latlon_N2: Where the photos were taken, degrees, shape (N, 2); nan where unknown.
        photos_max: Above it a cell is split. Photos at one and the same point stay together.

    Returns:
        The rows of each cell, by its path (``2/1``); ``nowhere`` holds those without coordinates.

    Example:
        >>> boston, lima = [42.36, -71.06], [-12.05, -77.04]
        >>> list(clients_of(np.array([boston, boston, lima]), photos_max=2))
        ['4/1', '4/2']
    """
    known_N = np.isfinite(latlon_N2).all(axis=1)
    located = np.flatnonzero(known_N)
    clients = {} if known_N.all() else {"nowhere": np.flatnonzero(~known_N)}
    if len(located):
        cell_N = adaptive_cells(latlon_N2[located], n_max=photos_max, n_min=0).cell_N
        clients |= {to_path(int(cell)): located[cell_N == cell] for cell in np.unique(cell_N)}
    return dict(sorted(clients.items()))
