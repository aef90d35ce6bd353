"""Which records count for a place.

A record knows only the S2 cell in which it lies, so it is taken as the smallest disc around the
centre of that cell which covers it; it lies in a circle, a polygon or a country if that disc
touches it. Everything is measured on the sphere: the dateline and the poles need no case of their
own.

Axes used in this file:
    N  records, each in one cell      U  cells, each once
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from homerange.geo.cells import (
    cell_centre,
    cell_corners,
    cell_level,
    cell_reach_km,
    contains,
    longest_diagonal_km,
)
from homerange.geo.place import Area, Cell, Circle, Country, Place, Polygon, areas_of
from homerange.geo.sphere import distance_to_outline_km, great_circle_km

__all__ = ["distance_to_cells_km", "overlaps", "votes", "votes_by_area"]


def distance_to_cells_km(place: Place, cells_N: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Measure how far cells lie outside a place.

    For a circle, a polygon or a country this is the gap between it and the disc that covers the
    cell: never more than the true gap. For a cell it is 0 where one cell holds the other, and else
    the way from the centre of the cell to the edge of the place, so that neighbours stay outside.
    For several places it is the smallest of these, and infinite for a list of species.

    Args:
        place: Where.
        cells_N: S2 ids of any levels, shape (N,).

    Returns:
        Distance in km, shape (N,); 0 where the cell overlaps the place.

    Raises:
        PlaceError: If an id is not that of an S2 cell.

    Example:
        >>> from homerange.geo.cells import parse_cell
        >>> cells = np.array([parse_cell("2/100"), parse_cell("4/103")], np.uint64)
        >>> distance_to_cells_km(Circle(51.5, -0.12), cells).round()  # London
        array([   0., 4672.])
    """
    gap_km_N = np.full(len(cells_N), np.inf)
    for area in areas_of(place):
        gap_km_N = np.minimum(gap_km_N, _gap_km(area, cells_N))
    return gap_km_N


def overlaps(place: Place, cells_N: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Tell which cells overlap a place: those at a distance of 0 km, found faster.

    Args:
        place: Where.
        cells_N: S2 ids of any levels, shape (N,).

    Returns:
        True where :func:`distance_to_cells_km` is 0, shape (N,).

    Raises:
        PlaceError: If an id is not that of an S2 cell.
    """
    overlaps_N = np.zeros(len(cells_N), bool)
    for area in areas_of(place):
        overlaps_N |= _area_overlaps(area, cells_N)
    return overlaps_N


def votes(
    place: Place,
    cells_N: NDArray[np.uint64],
    uncertainty_km_N: NDArray[np.floating],
) -> NDArray[np.bool_]:
    """Tell which records count for a place.

    A record counts if its cell overlaps the place and its uncertainty is at most the radius of
    the place: what may be 27 km away says nothing about a place of 1 km. The radius of a polygon or
    a country is that of the circle with the same area. For several places a record counts if it
    does for one of them.

    Args:
        place: Where.
        cells_N: S2 ids of any levels, shape (N,).
        uncertainty_km_N: How wrong the coordinates of each record may be, shape (N,); 0 where
            nobody said. NaN never counts.

    Returns:
        True for the records that count, shape (N,).

    Raises:
        PlaceError: If an id is not that of an S2 cell.
    """
    votes_N = np.zeros(len(cells_N), bool)
    for _, votes_here_N in votes_by_area(place, cells_N, uncertainty_km_N):
        votes_N |= votes_here_N
    return votes_N


def votes_by_area(
    place: Place,
    cells_N: NDArray[np.uint64],
    uncertainty_km_N: NDArray[np.floating],
) -> Iterator[tuple[Area, NDArray[np.bool_]]]:
    """Tell for each area of a place which records count, by the rule of :func:`votes`."""
    # A cell holds many records: whether it overlaps is asked once for all of them.
    cell_U, row_N = np.unique(cells_N, return_inverse=True)
    for area in areas_of(place):
        yield area, (uncertainty_km_N <= area.radius_km) & _area_overlaps(area, cell_U)[row_N]


def _area_overlaps(area: Area, cells_N: NDArray[np.uint64]) -> NDArray[np.bool_]:
    if isinstance(area, Cell):
        cell_level(cells_N)  # raises where one is no cell
        return contains(area.cell, cells_N) | contains(cells_N, area.cell)
    middle_2, radius_km = _around(area)
    # Corners are costly, and the cells of a whole world lie far away: they need none.
    near_N = great_circle_km(middle_2, cell_centre(cells_N)) <= radius_km + longest_diagonal_km(
        cells_N
    )
    near_N[near_N] = _gap_km(area, cells_N[near_N]) == 0
    return near_N


def _around(area: Circle | Polygon | Country) -> tuple[NDArray[np.float64], float]:
    """Return a circle that holds an area: its middle and its radius in km."""
    if isinstance(area, Circle):
        return np.array([area.latitude_deg, area.longitude_deg]), area.radius_km
    return area.outline.cap


def _gap_km(area: Area, cells_N: NDArray[np.uint64]) -> NDArray[np.float64]:
    centre_N2 = cell_centre(cells_N)
    if isinstance(area, Cell):
        outside_N = distance_to_outline_km(centre_N2, cell_corners(area.id_1)[0])
        return np.where(_area_overlaps(area, cells_N), 0.0, outside_N)
    if isinstance(area, Circle):
        point_2 = np.array([area.latitude_deg, area.longitude_deg])
        away_km_N = great_circle_km(point_2, centre_N2) - area.radius_km
    else:
        away_km_N = area.outline.distance_km(centre_N2)
    return np.clip(away_km_N - cell_reach_km(cells_N), 0.0, None)
