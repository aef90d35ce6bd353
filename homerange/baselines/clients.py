"""The clients of federated averaging: S2 cells, split in four until none holds too many photos.

Source: iNaturalist-Geo, Hsu et al. 2020, arXiv:2003.08082, whose N_max is our ``photos_max``.

Where we differ, and why: cells with few photos stay, because averaging weighs a client by its
photos; photos without coordinates are one client, so that nothing is left out in silence.

Axes used in this file:
    N  photos
"""

import numpy as np
from numpy.typing import NDArray

from homerange.geo.cells import FINEST_LEVEL, cell_ids, cell_parent, to_path

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
    clients = {} if known_N.all() else {"nowhere": np.flatnonzero(~known_N)}
    cell_N = np.zeros(len(latlon_N2), np.uint64)
    if known_N.any():
        cell_N[known_N] = cell_ids(latlon_N2[known_N], FINEST_LEVEL)
    undecided = [(np.flatnonzero(known_N), 0)]
    while undecided:
        rows, level = undecided.pop()
        parents = cell_parent(cell_N[rows], level)
        for cell in np.unique(parents):
            own = rows[parents == cell]
            if len(own) > photos_max and level < FINEST_LEVEL:
                undecided.append((own, level + 1))
            else:
                clients[to_path(cell)] = own
    return dict(sorted(clients.items()))
