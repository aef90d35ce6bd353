"""How far from the package's place a photo says that it was taken.

A package that was copied to the wrong camera answers without hesitation. Its photos often know
better: their EXIF has coordinates. Only a coarse band of the distance leaves this file; no
coordinate gets into the journal, the results or a message.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from homerange.errors import PlaceError
from homerange.geo.cells import cell_centre
from homerange.geo.place import Area, Cell, Circle, areas_of, place_from_json
from homerange.geo.sphere import great_circle_km
from homerange.world.place_package import PlacePackage

__all__ = ["BANDS", "Whereabouts", "warnings_of"]

BANDS = (
    "less than 50 km",
    "50 to 200 km",
    "200 to 1,000 km",
    "more than 1,000 km",
)
"""How far outside the place; the first is no reason to warn."""

_BAND_STARTS_KM = (50.0, 200.0, 1000.0)
_MOST_WARNINGS = 20


class Whereabouts:
    """Where a package belongs, to ask how far away a photo was taken."""

    def __init__(self, package: PlacePackage) -> None:
        """Read the place; one without coordinates, such as a list of species, knows no distance."""
        place = package.place.get("place")
        try:
            found = place_from_json(place) if isinstance(place, dict) else None
        except PlaceError:  # the package says more than this version knows: no reason to stop
            found = None
        self._areas = () if found is None else areas_of(found)

    @property
    def middle(self) -> tuple[float, float, float] | None:
        """Latitude and longitude of the middle in degrees, and the radius in km that holds it all.

        None for a list of species, and for several places: they have no middle to speak of.
        """
        if len(self._areas) != 1:
            return None
        centre_2, radius_km = _around(self._areas[0])
        latitude_deg, longitude_deg = centre_2.tolist()
        return latitude_deg, longitude_deg, radius_km

    def outside(self, latitude_deg: float | None, longitude_deg: float | None) -> int | None:
        """Return the band of `BANDS` in which a photo lies; None where nobody can say.

        Args:
            latitude_deg: As the photo says; None where it does not.
            longitude_deg: The same.
        """
        if not self._areas or latitude_deg is None or longitude_deg is None:
            return None
        point_2 = np.array([latitude_deg, longitude_deg])
        gap_km = min(_gap_km(area, point_2) for area in self._areas)
        return sum(gap_km >= start_km for start_km in _BAND_STARTS_KM)


def _around(area: Area) -> tuple[NDArray[np.float64], float]:
    """Return the middle of an area, shape (2,), and the radius in km of a circle that holds it."""
    if isinstance(area, Circle):
        return np.array([area.latitude_deg, area.longitude_deg]), area.radius_km
    if isinstance(area, Cell):
        return cell_centre(area.id_1)[0], area.radius_km
    return area.outline.cap


def _gap_km(area: Area, point_2: NDArray[np.float64]) -> float:
    if isinstance(area, Circle | Cell):
        centre_2, radius_km = _around(area)
        return float(great_circle_km(centre_2, point_2)) - radius_km
    return float(area.outline.distance_km(point_2[None])[0])


def warnings_of(far: Iterable[tuple[str, int, int]], name: str) -> tuple[str, ...]:
    """Say once for each folder that its photos were taken far from the place.

    Args:
        far: Folder, largest band and number of photos, as `Journal.far` gives them.
        name: Name of the package.

    Example:
        >>> print(*warnings_of([("oak", 2, 7)], "serengeti"))  # doctest: +ELLIPSIS
        oak: 7 photos say that they were taken 200 to 1,000 km outside the place of serengeti. ...
    """
    lines: list[str] = []
    more = 0
    for folder, band, photos in far:
        if len(lines) == _MOST_WARNINGS:
            more += 1
            continue
        says = "photo says that it was" if photos == 1 else "photos say that they were"
        lines.append(
            f"{folder or 'the folder itself'}: {photos:,} {says} taken {BANDS[band]} outside the "
            f"place of {name}. Is it the right package for this camera?"
        )
    if more:
        lines.append(f"{more:,} more folders have photos taken far from the place of {name}")
    return tuple(lines)
