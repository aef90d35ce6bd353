"""How far from the package's place a photo says that it was taken.

A package that was copied to the wrong camera answers without hesitation. Its photos often know
better: their EXIF has coordinates. Only a coarse band of the distance leaves this file; no
coordinate gets into the journal, the results or a message.
"""

from collections.abc import Iterable

import numpy as np

from homerange.errors import PlaceError
from homerange.geo.cells import cell_centre
from homerange.geo.place import Cell, Circle, place_from_json
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
        self._centre_2 = None
        place = package.place.get("place")
        try:
            found = place_from_json(place) if isinstance(place, dict) else None
        except PlaceError:  # the package says more than this version knows: no reason to stop
            return
        if isinstance(found, Circle):
            self._centre_2 = np.array([found.latitude_deg, found.longitude_deg])
        elif isinstance(found, Cell):
            self._centre_2 = cell_centre(found.id_1)[0]
        if isinstance(found, Circle | Cell):
            self._radius_km = found.radius_km

    @property
    def middle(self) -> tuple[float, float, float] | None:
        """Latitude and longitude of the middle in degrees, radius in km; None for a list."""
        if self._centre_2 is None:
            return None
        latitude_deg, longitude_deg = self._centre_2.tolist()
        return latitude_deg, longitude_deg, self._radius_km

    def outside(self, latitude_deg: float | None, longitude_deg: float | None) -> int | None:
        """Return the band of `BANDS` in which a photo lies; None where nobody can say.

        Args:
            latitude_deg: As the photo says; None where it does not.
            longitude_deg: The same.
        """
        if self._centre_2 is None or latitude_deg is None or longitude_deg is None:
            return None
        point_2 = np.array([latitude_deg, longitude_deg])
        gap_km = float(great_circle_km(self._centre_2, point_2)) - self._radius_km
        return sum(gap_km >= start_km for start_km in _BAND_STARTS_KM)


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
