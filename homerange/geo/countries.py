"""Countries by code or by English name, with their land.

Source: Natural Earth 4.1, the layer "countries" at 1:10 million, in the public domain, by way of
the npm package world-atlas 2.0.2; codes and names of ISO 3166-1. ``tools/make_countries.py`` wrote
the file: borders made simpler by at most 0.06 degrees (7 km), rounded to 0.01.

Borders are those that Natural Earth draws: who holds a territory, not who has a right to it. They
are good for cells of 36 km and say nothing else. Overseas parts count where ISO gives them no
country of their own on that map: French Guiana is France.
"""

import difflib
import functools
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homerange.errors import PlaceError
from homerange.geo.outline import Outline

__all__ = ["Country", "all_countries", "find_country"]

FILE = Path(__file__).with_name("countries_10m.txt")
"""For each country a line ``CODE|A2|NAME|OTHER NAME...``, then a line for each ring: latitude and
longitude in hundredths of a degree, from the second corner on as the difference to the one before.
"""


@dataclass(frozen=True)
class _Entry:
    """The lines of one country."""

    short_code: str
    """Of two letters; may be empty."""
    names: tuple[str, ...]
    """The first is the one to show."""
    rings: list[str]


@dataclass(frozen=True)
class Country:
    """The land of a country.

    Raises:
        PlaceError: If no country has that code of three letters.
    """

    code: str
    """ISO 3166-1 alpha-3; XKX for Kosovo, CYN, IOA and SOL for three that ISO does not list."""

    def __post_init__(self) -> None:
        """Refuse a code that no country has."""
        if self.code not in _entries():
            raise PlaceError(
                f"{self.code!r} is the code of no country; expected one of {len(_entries())}, "
                "ISO 3166-1 with three capital letters, for example KEN"
            )

    @property
    def name(self) -> str:
        """The English name."""
        return _entries()[self.code].names[0]

    @property
    def outline(self) -> Outline:
        """The borders, ready to measure with."""
        return _outline(self.code)

    @property
    def radius_km(self) -> float:
        """The radius of the circle that has the same area."""
        return self.outline.radius_km

    def describe(self) -> str:
        """Say for people where this is."""
        return f"{self.name} ({self.code})"

    def to_json(self) -> dict[str, object]:
        """Give the plain values for ``place.json``."""
        return {"kind": "country", "country": self.code, "name": self.name}


def find_country(text: str) -> Country:
    """Find a country by its code or its English name; capitals and accents do not count.

    Args:
        text: ISO 3166-1 alpha-3 or alpha-2, or a name.

    Raises:
        PlaceError: If there is none; the message offers the nearest names.

    Example:
        >>> find_country("ke") == find_country("KEN") == find_country("Kenya")
        True
        >>> find_country("Cote d'Ivoire").describe()
        "Côte d'Ivoire (CIV)"
    """
    code_of = _codes()
    if code := code_of.get(_plain(text)):
        return Country(code)
    near = difflib.get_close_matches(_plain(text), code_of, n=3, cutoff=0.6)
    offered = dict.fromkeys(Country(code_of[key]).describe() for key in near)
    raise PlaceError(
        f"{text!r} is no country that is known"
        + (f"; did you mean {' or '.join(offered)}?" if offered else ".")
        + " Expected a code of ISO 3166-1 (KEN, KE) or an English name; for another area give "
        "--geojson FILE"
    )


def all_countries() -> tuple[Country, ...]:
    """Return every country, by code."""
    return tuple(Country(code) for code in _entries())


@functools.cache
def _entries() -> dict[str, _Entry]:
    found: dict[str, _Entry] = {}
    rings: list[str] = []
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if "|" in line:
            code, short_code, *names = line.split("|")
            rings = []
            found[code] = _Entry(short_code, tuple(names), rings)
        else:
            rings.append(line)
    return found


@functools.cache
def _codes() -> dict[str, str]:
    """Map every code and name, plainly written, to the code of three letters."""
    return {
        _plain(word): code
        for code, entry in _entries().items()
        for word in (*entry.names, entry.short_code, code)
        if word
    }


@functools.cache
def _outline(code: str) -> Outline:
    return Outline([[_corners(line) for line in _entries()[code].rings]])


def _corners(line: str) -> NDArray[np.float64]:
    """Read a ring: latitude and longitude in degrees, shape (corners, 2)."""
    step = np.array([pair.split(",") for pair in line.split()], dtype=np.float64)
    corner: NDArray[np.float64] = np.cumsum(step, axis=0) / 100
    return corner


def _plain(text: str) -> str:
    """Write a name without capitals, accents, points and double spaces."""
    letters = unicodedata.normalize(
        "NFKD", text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    )
    kept = "".join(one for one in letters if not unicodedata.combining(one) and one != ".")
    return " ".join(kept.split())
