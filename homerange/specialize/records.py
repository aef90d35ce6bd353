"""The records that count for a place, summed by class.

Answers are coarse on purpose: no list may lead to an animal or a camera. Distances are bands and
are measured between the middle of the place and the centres of cells; counts of records are bands.
Bands cannot be added up exactly, so the low ends are: a number is never overstated.

Axes used in this file:
    N  rows of the table of occurrence     C  classes of the world     M  months, January first
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from homerange.geo.cells import cell_centre
from homerange.geo.place import Cell, Circle, Place
from homerange.geo.sphere import distance_km
from homerange.geo.votes import votes
from homerange.world.tables import COUNT_BAND_FROM, count_band

__all__ = [
    "Records",
    "count_here",
    "count_months",
    "count_records",
    "counts_for",
    "distance_band",
]

_BANDS_KM = (50, 200, 1000)


@dataclass(frozen=True)
class Records:
    """What counts for a place, by class."""

    count_C: NDArray[np.int64]
    """At least so many records."""
    nearest_km_C: NDArray[np.float64]
    """From the middle of a circle or a cell; infinite without a record, and elsewhere."""


def distance_band(km: float) -> str:
    """Say how far something is, as coarsely as a list may.

    Example:
        >>> distance_band(49.9), distance_band(50.0), distance_band(1e4)
        ('< 50 km', '< 200 km', '1,000 km or more')
    """
    return next((f"< {bound:,} km" for bound in _BANDS_KM if km < bound), "1,000 km or more")


def counts_for(
    place: Place, cell_N: NDArray[np.uint64], uncertainty_km_N: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Tell which records count for a place, by the rule of :func:`homerange.geo.votes.votes`.

    Args:
        place: Where.
        cell_N: S2 ids, level 8 or coarser, shape (N,); 0 for a record without coordinates.
        uncertainty_km_N: Of the coordinates, shape (N,).
    """
    counts_N: NDArray[np.bool_] = cell_N != 0
    counts_N[counts_N] = votes(place, cell_N[counts_N], uncertainty_km_N[counts_N])
    return counts_N


def count_here(
    place: Place,
    class_N: NDArray[np.integer],
    cell_N: NDArray[np.uint64],
    count_band_N: NDArray[np.integer],
    classes: int,
) -> Records:
    """Sum up records that count for a place.

    Args:
        place: Where; distances are taken from its middle, if it is a circle or a cell.
        class_N: Class of each row, in [0, C).
        cell_N: S2 ids, level 8 or coarser.
        count_band_N: Band of each row's number of records, 1 to 5.
        classes: C.
    """
    distance_km_N = np.full(len(cell_N), np.inf)
    if isinstance(place, Circle | Cell):
        distance_km_N = distance_km(_middle(place), cell_centre(cell_N))[0]
    return count_records(class_N, count_band_N, distance_km_N, classes)


def count_records(
    class_N: NDArray[np.integer],
    count_band_N: NDArray[np.integer],
    distance_km_N: NDArray[np.floating],
    classes: int,
) -> Records:
    """Sum up records, class by class.

    Args:
        class_N: Class of each row, in [0, C).
        count_band_N: Band of each row's number of records, 1 to 5.
        distance_km_N: From the middle of the place to the centre of the row's cell.
        classes: C.

    Example:
        >>> found = count_records(np.array([1, 1]), np.array([2, 3]), np.array([9.0, 7.0]), 2)
        >>> found.count_C.tolist(), found.nearest_km_C.tolist()  # 2 to 5 and 6 to 20: at least 8
        ([0, 8], [inf, 7.0])
    """
    low_N = np.array(COUNT_BAND_FROM)[count_band_N - 1]
    count_C = np.zeros(classes, np.int64)
    np.add.at(count_C, class_N, low_N)
    nearest_km_C = np.full(classes, np.inf)
    np.minimum.at(nearest_km_C, class_N, distance_km_N)
    return Records(count_C, nearest_km_C)


def count_months(
    class_N: NDArray[np.integer],
    month_N: NDArray[np.integer],
    count_band_N: NDArray[np.integer],
    classes: int,
) -> NDArray[np.int8]:
    """Put the numbers of records of each month into bands, shape (C, 12); 0 without a record.

    Args:
        class_N: Class of each row, in [0, C).
        month_N: 1 to 12; 0 where unknown, and such a row counts for no month.
        count_band_N: Band of each row's number of records, 1 to 5.
        classes: C.

    Example:
        >>> bands = count_months(np.array([0, 0]), np.array([1, 1]), np.array([2, 3]), 1)
        >>> bands[0].tolist()  # at least 2 + 6 in January: 6 to 20
        [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    """
    count_CM = np.zeros((classes, 13), np.int64)
    np.add.at(count_CM, (class_N, month_N), np.array(COUNT_BAND_FROM)[count_band_N - 1])
    return count_band(count_CM[:, 1:])


def _middle(place: Circle | Cell) -> NDArray[np.float64]:
    if isinstance(place, Circle):
        return np.array([[place.latitude_deg, place.longitude_deg]])
    return cell_centre(place.id_1)
