"""Write homerange/geo/countries_10m.txt: the countries of the Earth, small enough to ship.

    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    pip install --target /tmp/iso --no-deps pycountry
    PYTHONPATH=/tmp/iso python tools/make_countries.py package/countries-10m.json

Source: Natural Earth 4.1, the layer "countries" at 1:10 million, in the public domain, by way of
the npm package world-atlas 2.0.2 (ISC). Codes and more names: ISO 3166-1, by way of pycountry
(LGPL-2.1; only facts are taken, and only here).

Borders are made simpler arc by arc, so that two neighbours keep the same border between them: no
corner that is left out lay more than ``TOLERANCE_DEG`` away. An island keeps three corners.
What ``homerange.geo.countries`` reads: a line ``CODE|A2|NAME|OTHER NAME...`` for each country, then
a line for each of its rings: latitude and longitude in hundredths of a degree, the first corner
as it is, each next one as the difference to the one before.

Axes used in this file:
    V  corners of an arc or a ring      2  longitude, latitude (degrees), as TopoJSON has them
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import pycountry
from numpy.typing import NDArray

FILE = Path(__file__).parents[1] / "homerange" / "geo" / "countries_10m.txt"
TOLERANCE_DEG = 0.06
LARGEST_SHARE = 0.15
"""Of the extent of an arc, that may be left out: so a small island keeps its shape."""
WITHOUT_ISO = {
    "Kosovo": ("XKX", "XK", "Kosovo"),  # the user-assigned codes that the European Union takes
    # The next three have only three letters of Natural Earth's own.
    "N. Cyprus": ("CYN", "", "Northern Cyprus"),
    "Somaliland": ("SOL", "", "Somaliland"),
    "Indian Ocean Ter.": ("IOA", "", "Indian Ocean Territories"),
    "Baikonur": ("KAZ", "KZ"),
    "USNB Guantanamo Bay": ("CUB", "CU"),
    "Cyprus U.N. Buffer Zone": ("CYP", "CY"),
    "Coral Sea Is.": ("AUS", "AU"),
    "Clipperton I.": ("FRA", "FR"),
}
"""Other parts without a code, military bases, reefs and a glacier, are left out."""
SMALLEST_32 = np.array([[-1, -1], [0, 1], [1, -1]])
"""A rock that rounding would flatten becomes a triangle of about 2 km."""
SHOWN = {
    "BRN": "Brunei",
    "COD": "Democratic Republic of the Congo",
    "FLK": "Falkland Islands",
    "FSM": "Micronesia",
    "MAF": "Saint Martin",
    "PSE": "Palestine",
    "RUS": "Russia",
    "SHN": "Saint Helena",
    "SXM": "Sint Maarten",
    "VAT": "Vatican City",
    "VGB": "British Virgin Islands",
    "VIR": "United States Virgin Islands",
}
"""Names to show where those of ISO are turned round or long."""
ALSO_CALLED = {
    "CIV": ["Ivory Coast"], "COD": ["DR Congo", "DRC"], "CPV": ["Cape Verde"],
    "CZE": ["Czech Republic"], "FLK": ["Malvinas"], "GBR": ["Great Britain", "UK", "Britain"],
    "MKD": ["Macedonia"], "MMR": ["Burma"], "SWZ": ["Swaziland"], "TLS": ["East Timor"],
    "USA": ["United States of America", "America"],
}  # fmt: skip


def main() -> None:
    """Read the TopoJSON file and write the lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topojson", type=Path)
    topology = json.loads(parser.parse_args().topojson.read_text())
    scale_2, shift_2 = (np.array(topology["transform"][key]) for key in ("scale", "translate"))
    arcs = [simpler(np.cumsum(arc, axis=0) * scale_2 + shift_2) for arc in topology["arcs"]]
    names: dict[str, list[str]] = {}
    rings: dict[str, list[str]] = {}
    for geometry in topology["objects"]["countries"]["geometries"]:
        code, *others = names_of(geometry) or [""]
        # Some are drawn in parts; the part with the code has the name to show.
        both = (
            [*others, *names.get(code, [])] if "id" in geometry else [*names.get(code, []), *others]
        )
        names[code] = [*dict.fromkeys(both)]
        rings.setdefault(code, []).extend(map(line_of, rings_of(geometry, arcs)))
    del names[""]
    blocks = ("\n".join(["|".join([code, *names[code]]), *rings[code]]) for code in sorted(names))
    data = ("\n".join(blocks) + "\n").encode()
    FILE.write_bytes(data)
    print(f"{len(names)} countries, {sum(map(len, rings.values())):,} rings, {len(data):,} bytes")


def names_of(geometry: dict) -> list[str]:
    """Return the codes of three and two letters, the name to show, and the others."""
    drawn = geometry["properties"]["name"]
    if "id" not in geometry:
        return list(WITHOUT_ISO.get(drawn, []))
    iso = pycountry.countries.get(numeric=geometry["id"])
    official = getattr(iso, "official_name", iso.name)
    shown = SHOWN.get(iso.alpha_3, getattr(iso, "common_name", iso.name))
    names = [shown, drawn, iso.name, official, *ALSO_CALLED.get(iso.alpha_3, [])]
    return [iso.alpha_3, iso.alpha_2, *dict.fromkeys(names)]


def rings_of(geometry: dict, arcs: list[NDArray[np.float64]]) -> list[NDArray[np.int64]]:
    """Put the arcs of each ring together, shape (V, 2), hundredths of a degree, not closed.

    world-atlas has sewn them up at the dateline; there longitudes go on beyond 180 degrees.
    """
    polygons = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]
    rings = []
    for ring in (ring for polygon in polygons for ring in polygon):
        parts = [arcs[i] if i >= 0 else arcs[~i][::-1] for i in ring]
        corner_V2 = np.concatenate([part[:-1] for part in parts])
        corner_V2[:, 0] = np.unwrap(corner_V2[:, 0], period=360)
        corner_V2 = np.round(corner_V2 * 100).astype(np.int64)
        rings.append(corner_V2 if area(corner_V2) else corner_V2[:1] + SMALLEST_32)
    return rings


def area(corner_V2: NDArray[np.int64]) -> int:
    """Return twice the area on the map, in square hundredths of a degree."""
    x_V, y_V = corner_V2.T
    return abs(int((x_V * np.roll(y_V, -1) - y_V * np.roll(x_V, -1)).sum()))


def line_of(ring_V2: NDArray[np.int64]) -> str:
    """Write a ring: latitude before longitude, each corner as the difference to the one before."""
    step_V2 = np.diff(ring_V2[:, ::-1], axis=0, prepend=0)
    return " ".join(f"{lat},{lon}" for lat, lon in step_V2.tolist())


def simpler(arc_V2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out corners within the tolerance (Ramer, Douglas, Peucker); both ends stay."""
    tolerance_deg = min(TOLERANCE_DEG, LARGEST_SHARE * float(np.ptp(arc_V2, axis=0).max()))
    keep_V = np.zeros(len(arc_V2), bool)
    keep_V[[0, -1]] = True
    if (arc_V2[0] == arc_V2[-1]).all():  # an island: hold it open at its two farthest corners
        first = int(np.hypot(*(arc_V2 - arc_V2[0]).T).argmax())
        second = int(distance_deg(arc_V2, arc_V2[0], arc_V2[first]).argmax())
        keep_V[[first, second]] = True
    ends = np.flatnonzero(keep_V).tolist()
    waiting = list(itertools.pairwise(ends))
    while waiting:
        start, end = waiting.pop()
        off_V = distance_deg(arc_V2[start : end + 1], arc_V2[start], arc_V2[end])
        middle = start + int(off_V.argmax())
        if off_V.max() > tolerance_deg:
            keep_V[middle] = True
            waiting += [(start, middle), (middle, end)]
    return arc_V2[keep_V]


def distance_deg(
    corner_V2: NDArray[np.float64], start_2: NDArray[np.float64], end_2: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Measure from corners to the piece between two others, shape (V,)."""
    along_2 = end_2 - start_2
    length = float(along_2 @ along_2) or 1.0
    share_V = np.clip((corner_V2 - start_2) @ along_2 / length, 0, 1)
    return np.hypot(*(corner_V2 - start_2 - share_V[:, None] * along_2).T)


if __name__ == "__main__":
    main()
