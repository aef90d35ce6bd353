"""The shapes that the map draws, and that are found by name: the countries of the Earth.

They are those of :mod:`homerange.geo.countries`, so that what is seen is what counts.
"""

from homerange.geo.countries import FILE
from homerange.map.tables import Chunk

__all__ = ["shapes_chunk"]


def shapes_chunk() -> Chunk:
    """Give the file of countries as it is; ``static/js/countries.js`` reads it."""
    return {"text": FILE.read_text(encoding="utf-8")}, {}
