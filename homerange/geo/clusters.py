"""Clusters of places: cameras belong together that a chain of short steps connects.

Source: single linkage (Sneath 1957), which is DBSCAN with ``min_samples=1``. The paper has six
clusters of the cameras of iWildCam (section 3.1, figure 1) and does not say how it made them.

Axes used in this file:
    N  places       C  clusters
    2  latitude, longitude (WGS 84, degrees)
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from homerange.errors import PlaceError
from homerange.geo.sphere import check_latlon, great_circle_km

__all__ = ["CLUSTER_KM", "cluster_by_distance", "name_clusters"]

CLUSTER_KM = 500.0
"""Longest step inside a cluster. For iWildCam any length from 200 to 800 km gives the same six."""


def cluster_by_distance(
    latlon_N2: NDArray[np.float64], *, km: float = CLUSTER_KM
) -> NDArray[np.int64]:
    """Number the clusters of places.

    Two places are in one cluster if one can walk from one to the other over places of the list, in
    steps of at most ``km`` along great circles.

    Args:
        latlon_N2: Latitude and longitude, degrees, shape (N, 2).
        km: Longest step, 0 or more.

    Returns:
        Number of the cluster of each place, shape (N,). 0 is the largest; of equal ones that which
        comes first.

    Raises:
        CoordinateError: If a coordinate is NaN or out of range.
        PlaceError: If the longest step is negative or NaN.

    Example:
        >>> laikipia, mara, chicago = [0.4, 36.9], [-1.5, 35.1], [41.9, -87.6]
        >>> cluster_by_distance(np.array([chicago, laikipia, mara])).tolist()
        [1, 0, 0]
    """
    check_latlon(latlon_N2)
    if not km >= 0:
        raise PlaceError(f"a step between places cannot be {km} km; expected 0 km or more.")
    cluster_N = np.full(len(latlon_N2), -1)
    clusters = 0
    for first in range(len(latlon_N2)):
        if cluster_N[first] >= 0:
            continue
        reached = [first]
        while reached:
            here_2 = latlon_N2[reached.pop()]
            new_N = (cluster_N < 0) & (great_circle_km(here_2, latlon_N2) <= km)
            cluster_N[new_N] = clusters
            reached += np.flatnonzero(new_N).tolist()
        clusters += 1
    return _largest_first(cluster_N)


def name_clusters(
    latlon_N2: NDArray[np.float64],
    cluster_N: NDArray[np.int64],
    names: Mapping[str, tuple[float, float]],
    *,
    km: float = CLUSTER_KM,
) -> list[str]:
    """Name each cluster by the named place that would join it.

    Args:
        latlon_N2: Latitude and longitude, degrees, shape (N, 2).
        cluster_N: What ``cluster_by_distance`` gave for them, shape (N,).
        names: Name -> latitude and longitude in degrees.
        km: A name counts if its place is at most this far from a place of the cluster; of several
            the nearest.

    Returns:
        Name of each cluster 0, 1, ...; ``cluster 3`` where no name is near enough.

    Example:
        >>> latlon_N2 = np.array([[0.4, 36.9], [-1.5, 35.1], [41.9, -87.6]])
        >>> name_clusters(latlon_N2, np.array([0, 0, 1]), {"Kenya": (0.0, 37.0)})
        ['Kenya', 'cluster 1']
    """
    found = []
    for cluster in range(int(cluster_N.max(initial=-1)) + 1):
        inside_N2 = latlon_N2[cluster_N == cluster]
        away_km = {
            name: float(great_circle_km(np.array(place), inside_N2).min())
            for name, place in names.items()
        }
        nearest = min(away_km, key=away_km.__getitem__, default=None)
        close = nearest is not None and away_km[nearest] <= km
        found.append(str(nearest) if close else f"cluster {cluster}")
    return found


def _largest_first(cluster_N: NDArray[np.int64]) -> NDArray[np.int64]:
    order_C = np.argsort(-np.bincount(cluster_N), kind="stable")
    rank_C = np.argsort(order_C)
    return rank_C[cluster_N]
