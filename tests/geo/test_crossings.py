"""Borders that cross themselves: found wherever they are, and nothing else is refused."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Polygon as Judge
from shapely import is_valid

from homerange.errors import PlaceError
from homerange.geo import crossings
from homerange.geo.countries import all_countries
from homerange.geo.land import outlines
from homerange.geo.polygon import Polygon

SQUARE = ((0.0, 0.0), (0.0, 4.0), (4.0, 4.0), (4.0, 0.0))
HOLE = ((1.0, 1.0), (1.0, 2.0), (2.0, 2.0), (2.0, 1.0))
BOW_TIE = ((0.0, 0.0), (2.0, 2.0), (2.0, 0.0), (0.0, 2.0))


def turned(ring):
    return tuple(map(tuple, np.asarray(ring).tolist()))


def refusal(*areas):
    """What is said against a polygon of these areas, each a list of rings; none if it is one."""
    try:
        Polygon("drawn", areas)
    except PlaceError as error:
        return str(error)
    return None


def test_a_bow_tie_is_refused_with_the_place_where_it_crosses():
    assert refusal((BOW_TIE,)) == (
        "the border of the polygon drawn crosses itself at latitude 1.0000 and longitude 1.0000, "
        "so nobody can say what lies inside. Expected rings that touch at most; draw it again, or "
        "repair it, for example with Fix geometries in QGIS"
    )


@pytest.mark.parametrize("scale", [1e-3, 1, 20])
@pytest.mark.parametrize("middle", [(0, 0), (-17, 180), (50, -179.9), (10, 359)])
def test_a_bow_tie_of_any_size_is_refused_wherever_it_lies(scale, middle):
    ring = turned((np.array(BOW_TIE) - 1) * scale + middle)
    wide = max(abs(lon) for _, lon in ring) > 360
    assert ("not a place on the Earth" if wide else "crosses itself") in refusal((ring,))


def test_across_the_dateline_the_shorter_way_crosses_too():
    crossed = ((-19.0, 176.0), (-15.0, -176.0), (-15.0, 176.0), (-19.0, -176.0))
    assert "latitude -17.0000 and longitude -180.0000" in refusal((crossed,))
    assert refusal(((*crossed[:1], crossed[3], crossed[1], crossed[2]),)) is None


def test_a_hole_across_the_dateline_is_compared_with_its_border_a_turn_away():
    border = ((-19.0, 176.0), (-19.0, 184.0), (-15.0, 184.0), (-15.0, 176.0))
    inside = ((-18.0, -178.0), (-18.0, -177.0), (-17.0, -177.0), (-17.0, -178.0))
    beyond = ((-18.0, -178.0), (-18.0, -174.0), (-17.0, -174.0), (-17.0, -178.0))
    assert refusal((border, inside)) is None
    assert "longitude -176.0000" in refusal((border, beyond))


@pytest.mark.parametrize(
    ("what", "rings"),
    [
        ("a border that runs twice round the same", [SQUARE + SQUARE]),
        ("the same hole twice", [SQUARE, HOLE, HOLE]),
        ("a hole that overlaps another", [SQUARE, HOLE, turned(np.array(HOLE) + 0.5)]),
        ("a hole across the border", [SQUARE, turned(np.array(HOLE) * (1, 4))]),
        ("a hole outside the border that touches it", [SQUARE, ((1, 4), (1, 5), (2, 5), (2, 4))]),
        ("a crossing in a common corner", [((0, 0), (1, 1), (2, 2), (2, 0), (1, 1), (0, 2))]),
        ("a loop inside, the same way round", [((0, 0), (4, 0), (4, 4), (1, 1), (3, 1), (0, 4))]),
    ],
)
def test_what_winds_wrong_is_refused(what, rings):
    assert "crosses itself" in refusal(rings), what


@pytest.mark.parametrize(
    ("what", "areas"),
    [
        ("a hole", [[SQUARE, HOLE]]),
        ("a hole that touches the border in a point", [[SQUARE, ((0, 2), (1, 2.5), (1, 1.5))]]),
        ("a hole along the border", [[SQUARE, ((0, 1), (1, 1), (1, 2), (0, 2))]]),
        ("two parts that touch in a corner", [[SQUARE], [turned(np.array(SQUARE) + 4)]]),
        ("two parts that overlap", [[SQUARE], [turned(np.array(SQUARE) + 1)]]),
        ("a spur that runs forth and back", [[((0, 0), (0, 4), (4, 4), (6, 6), (4, 4), (4, 0))]]),
        ("two lobes that touch", [[((0, 0), (2, 2), (4, 0), (4, 4), (2, 2), (0, 4))]]),
        ("a corner twice in a row", [[(*SQUARE, SQUARE[-1])]]),
        ("a polar cap", [[((-60, -120), (-60, 0), (-60, 120))]]),
        ("a belt around the Earth", [[((-9, -180), (-9, 180), (9, 180), (9, -180))]]),
    ],
)
def test_what_only_touches_is_a_place(what, areas):
    floats = [[tuple((float(a), float(b)) for a, b in ring) for ring in area] for area in areas]
    assert refusal(*floats) is None, what


def test_a_crossing_smaller_than_what_places_are_told_from_is_forgiven():
    notched = ((0, 0), (0, 4), (4, 4), (4, 2), (3.99, 2.01), (3.99, 1.99), (4, 2.01), (4, 0))
    assert not is_valid(Judge(notched))
    assert refusal((tuple((float(a), float(b)) for a, b in notched),)) is None


def test_the_land_of_natural_earth_is_a_place():
    for ring_V2 in outlines():
        assert refusal((turned(ring_V2),)) is None


def test_a_country_is_a_place_though_its_simplified_border_may_cross_itself():
    assert all(country.outline.area_km2 > 0 for country in all_countries())


@settings(max_examples=150)
@given(st.lists(st.tuples(st.floats(0, 8), st.floats(0, 8)), min_size=3, max_size=8))
def test_what_shapely_finds_valid_is_never_refused_for_crossing_itself(corners):
    said = refusal((tuple(corners),))
    if is_valid(Judge(corners)):
        assert said is None or "crosses itself" not in said


def test_random_borders_that_cross_are_refused():
    rng = np.random.default_rng(0)
    for _ in range(100):
        ring = turned(rng.uniform(0, 8, (12, 2)))
        assert is_valid(Judge(ring)) or "crosses itself" in refusal((ring,))


def test_a_coast_of_100_000_corners_takes_a_second_or_two():
    rng = np.random.default_rng(0)
    turn_V = np.linspace(0, 2 * np.pi, 99_999, endpoint=False)
    far_V = 20 + np.cumsum(rng.normal(0, 0.003, len(turn_V)))
    far_V += np.linspace(0, far_V[0] - far_V[-1], len(turn_V))
    ring = turned(far_V[:, None] * np.stack([np.sin(turn_V), np.cos(turn_V)], axis=1))
    start = time.process_time()
    assert refusal((ring,)) is None
    assert time.process_time() - start < 10


def test_who_tangles_a_border_to_keep_us_busy_is_told_to_make_it_simpler(monkeypatch):
    monkeypatch.setattr(crossings, "MOST_PAIRS", 400)
    comb = [(float(k % 2) * 10 + k / 50, k / 50) for k in range(500)]
    said = refusal(((*turned(comb), (-1.0, 10.0), (-1.0, 0.0)),))
    assert "pairs of its edges lie side by side; expected at most 400. Make the border" in said


def test_a_border_that_touches_itself_everywhere_is_told_to_be_simpler(monkeypatch):
    monkeypatch.setattr(crossings, "MOST_TOUCHES", 1)
    spiky = ((0.0, 0.0), (4.0, 0.0), (4.0, 1.0), (5.0, 1.0), (4.0, 1.0), (4.0, 3.0), (5.0, 3.0))
    assert "cross or touch in more than 1 places. Make the border simpler" in refusal(
        ((*spiky, (4.0, 3.0), (4.0, 4.0), (0.0, 4.0)),)
    )


def test_a_chequerboard_of_holes_that_touch_everywhere_is_not_followed_to_its_end():
    cell = np.array(((0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)))
    corners = [(i, j) for i in range(1, 49) for j in range(1, 49) if (i + j) % 2]
    holes = [turned(np.add(cell, corner)) for corner in corners]
    said = refusal((turned(cell * 50), *holes))
    assert said is not None
    assert "its edges cross or touch in more than 1,000 places" in said
