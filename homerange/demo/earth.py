"""The countries of the Earth as a drawing (SVG), each filled by the number of its species.

Plate carree: x is longitude, y latitude. Corners are rounded to a tenth of a degree and those that
fall together are left out, so that the whole Earth takes about 150 kB.

Axes used in this file:
    V  corners of a ring      2  latitude, longitude (degrees)
"""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from homerange.demo.tour import CountryModel

__all__ = ["BANDS", "draw_earth"]

BANDS: Mapping[str, tuple[int, str]] = {
    "none": (0, "#e4e2da"),
    "1 to 4": (4, "#d7e3f4"),
    "5 to 9": (9, "#9dbfe6"),
    "10 to 19": (19, "#5b93d0"),
    "20 to 39": (39, "#2f6db3"),
    "40 and more": (10**9, "#173f74"),
}
"""Most species of each band, and its colour: one hue, told apart by lightness by everyone."""
SMALLEST_DEG = 0.25
"""Of the larger side of a ring that is drawn; smaller islands would be less than a pixel."""


def draw_earth(models: Sequence[CountryModel]) -> str:
    """Draw the countries; each has its name and number of species as a title.

    Args:
        models: What came of each country.

    Returns:
        An ``svg`` element.
    """
    shapes = "".join(map(_country, models))
    return (
        '<svg class="earth" viewBox="-180 -84 360 142" role="img" '
        'aria-label="Countries of the Earth by number of species">'
        f'<g transform="scale(1,-1)">{shapes}</g></svg>'
    )


def _country(one: CountryModel) -> str:
    path = "".join(map(_ring, one.country.outline.rings))
    if not path:
        return ""
    said = f"{one.species} species" if one.made else "no records in this world"
    title = f"{one.country.name}: {said}"
    return f'<path d="{path}" fill="{_colour(one.species)}"><title>{escape(title)}</title></path>'


def _colour(species: int) -> str:
    return next(colour for most, colour in BANDS.values() if species <= most)


def _ring(corner_V2: NDArray[np.float64]) -> str:
    if np.ptp(corner_V2, axis=0).max() < SMALLEST_DEG:
        return ""
    tenth_V2 = np.round(corner_V2 * 10).astype(int)
    moved_V = np.any(np.diff(tenth_V2, axis=0, prepend=tenth_V2[-1:]) != 0, axis=1)
    points = (f"{lon / 10:g} {lat / 10:g}" for lat, lon in tenth_V2[moved_V].tolist())
    return f"M{'L'.join(points)}Z" if moved_V.sum() >= 3 else ""
