"""S2 cells, judged by Google's library; known cells, laws of the hierarchy, and messages."""

import numpy as np
import pytest
import s2geometry as s2
from hypothesis import given
from hypothesis import strategies as st

from homerange.errors import CoordinateError, PlaceError
from homerange.geo.cells import (
    cell_centre,
    cell_corners,
    cell_ids,
    cell_level,
    cell_parent,
    cell_reach_km,
    contains,
    level_for_km,
    mean_edge_km,
    parse_cell,
    to_path,
    to_token,
)
from homerange.geo.sphere import EARTH_RADIUS_KM, distance_km, great_circle_km, to_latlon

SEAMS_DEG = (0.0, 45.0, 90.0, 135.0, 180.0, 35.264389682754654, 1e-12, 89.9999999)
LATITUDE = st.floats(-90, 90) | st.sampled_from([x for x in SEAMS_DEG if x <= 90])
LONGITUDE = st.floats(-180, 180) | st.sampled_from([*SEAMS_DEG, *(-x for x in SEAMS_DEG)])
LEVEL = st.integers(0, 30)
JUDGE_CELL = st.builds(
    s2.S2CellId.FromFacePosLevel, st.integers(0, 5), st.integers(0, 2**61 - 1), LEVEL
)


def ids(*cells):
    return np.array(cells, np.uint64)


def all_cells(level):
    last = 1 << (60 - 2 * level)
    return ids(*((2 * k + 1) * last for k in range(6 * 4**level)))


def judge_id(lat, lon):
    return s2.S2CellId(s2.S2LatLng.FromDegrees(lat, lon))


def random_places(count, seed=0):
    return to_latlon(np.random.default_rng(seed).normal(size=(count, 3)))


def test_random_places_have_the_cells_of_the_judge_at_every_level():
    latlon = random_places(2000)
    leaves = [judge_id(lat, lon) for lat, lon in latlon.tolist()]
    assert {leaf.face() for leaf in leaves} == set(range(6))
    for level in range(31):
        want = ids(*(leaf.parent(level).id() for leaf in leaves))
        np.testing.assert_array_equal(cell_ids(latlon, level), want)


@given(LATITUDE, LONGITUDE, LEVEL)
def test_any_place_has_the_cell_of_the_judge_or_lies_on_its_border(lat, lon, level):
    # Where a place lies on a border, the last bit of a sine decides, and processors may differ.
    got = int(cell_ids(np.array([[lat, lon]]), level)[0])
    if got != judge_id(lat, lon).parent(level).id():
        place = s2.S2LatLng.FromDegrees(lat, lon).ToPoint()
        gap = s2.S2Cell(s2.S2CellId(got)).GetDistance(place).ToAngle().radians()
        assert gap < 1e-14


def test_places_on_the_edges_of_the_cube_stay_on_their_face():
    # On the meridians 45 W and 135 E rounding gives s = 1, one cell too far, for many latitudes.
    latlon = np.array([[lat, lon] for lat in np.linspace(-36, 36, 721) for lon in (-45, 135)])
    cells = cell_ids(latlon, 8)
    faces = {int(face) for face in cells >> np.uint64(61)}
    assert faces <= set(range(6))
    assert (great_circle_km(cell_centre(cells), latlon) <= cell_reach_km(cells) + 1e-9).all()


@given(JUDGE_CELL)
def test_level_face_and_notations_are_those_of_the_judge(judge):
    cell = judge.id()
    assert cell_level(ids(cell)).tolist() == [judge.level()]
    assert to_token(cell) == judge.ToToken()
    assert to_path(cell) == judge.ToString()
    assert parse_cell(judge.ToToken()) == parse_cell(judge.ToString()) == cell


@given(JUDGE_CELL)
def test_centre_corners_and_reach_are_those_of_the_judge(judge):
    cell = ids(judge.id())
    centre = judge.ToLatLng()
    want_centre = [centre.lat().degrees(), centre.lng().degrees()]
    assert distance_km(cell_centre(cell), np.array([want_centre]))[0, 0] < 1e-8
    judge_cell = s2.S2Cell(judge)
    corners = [s2.S2LatLng(judge_cell.GetVertex(k)) for k in range(4)]
    want_corners = np.array([[c.lat().degrees(), c.lng().degrees()] for c in corners])
    assert great_circle_km(cell_corners(cell)[0], want_corners).max() < 1e-8
    want_reach = max(centre.GetDistance(c).radians() for c in corners) * EARTH_RADIUS_KM
    assert cell_reach_km(cell)[0] == pytest.approx(want_reach, abs=1e-8)


@given(JUDGE_CELL, LEVEL)
def test_parents_are_those_of_the_judge(judge, level):
    level = min(level, judge.level())
    assert cell_parent(ids(judge.id()), level).tolist() == [judge.parent(level).id()]


@given(JUDGE_CELL, JUDGE_CELL, LEVEL)
def test_a_cell_contains_what_the_judge_says(a, b, level):
    up, direct = (a.parent(min(k, a.level())) for k in (level, max(a.level() - 1, 0)))
    pairs = [(a, b), (b, a), (up, a), (a, up), (up, b), (a, a), (direct, a), (a, direct)]
    # The first and the last leaf of the cell, and its neighbours along the curve.
    pairs += [(a, x) for x in (a.range_min(), a.range_max(), a.next(), a.prev()) if x.is_valid()]
    for outer, inner in pairs:
        assert contains(outer.id(), ids(inner.id())).tolist() == [outer.contains(inner)]


def test_contains_broadcasts_either_side():
    faces, child = ids(*(parse_cell(f"{face}/") for face in range(6))), parse_cell("4/103")
    assert contains(faces, child).tolist() == [False] * 4 + [True, False]
    assert contains(parse_cell("4/"), ids(child, parse_cell("2/1"))).tolist() == [True, False]


def test_cells_of_mixed_levels_are_read_row_by_row():
    # The finest cell first: a loop that forgets to stop at the level of a row would show.
    paths = ["0/123012301230123012301230123012", "2/1", "5/", "3/112", "1/302"]
    cells = ids(*map(parse_cell, paths))
    assert cell_level(cells).tolist() == [30, 1, 0, 3, 3]
    alone = np.concatenate([cell_centre(cells[k : k + 1]) for k in range(len(cells))])
    np.testing.assert_array_equal(cell_centre(cells), alone)
    for k, path in enumerate(paths):
        point = s2.S2CellId.FromDebugString(path).ToLatLng()
        np.testing.assert_allclose(
            alone[k], [point.lat().degrees(), point.lng().degrees()], atol=1e-12
        )


@pytest.mark.parametrize(
    ("lat", "lon", "path"),
    [
        (42.36, -71.06, "4/103"),  # Boston
        (51.5, -0.12, "2/100"),  # London
        (-1.29, 36.8, "0/300"),  # Nairobi
        (28.6, 77.2, "1/302"),  # Delhi
        (-33.87, 151.2, "3/112"),  # Sydney
        (-23.5, -46.6, "4/221"),  # Sao Paulo
        (47.6, -122.3, "2/221"),  # Seattle
        (41.9, 12.5, "0/212"),  # Rome
        (-12.05, -77.04, "4/202"),  # Lima
    ],
)
def test_cities_lie_in_their_cells(lat, lon, path):
    cell = cell_ids(np.array([[lat, lon]]), 3)[0]
    assert to_path(cell) == path


@pytest.mark.parametrize(
    ("path", "token"),
    [("2/1", "4c"), ("2/2", "54"), ("2/0", "44"), ("0/", "1"), ("1/", "3"), ("4/2", "94")],
)
def test_both_notations_name_the_same_cell(path, token):
    assert parse_cell(path) == parse_cell(token) == parse_cell(f" {token.upper()}\n")
    assert (to_path(parse_cell(token)), to_token(parse_cell(path))) == (path, token)


def test_the_cells_of_a_level_share_out_the_earth():
    # 6 faces, each split into four three times.
    cells = np.unique(cell_ids(random_places(20000), 3))
    np.testing.assert_array_equal(cells, all_cells(3))
    np.testing.assert_array_equal(cell_ids(cell_centre(cells), 3), cells)
    assert contains(cell_parent(cells, 2), cells).all()
    np.testing.assert_array_equal(np.unique(cell_parent(cells, 2)), all_cells(2))


def test_the_disc_of_the_reach_covers_every_place_of_the_cell():
    latlon = random_places(3000)
    for level in (0, 3, 8, 15):
        cells = cell_ids(latlon, level)
        assert (great_circle_km(latlon, cell_centre(cells)) <= cell_reach_km(cells) + 1e-9).all()


def test_the_reach_of_a_face_is_the_half_diagonal_of_the_cube():
    # The corner (1, 1, 1) seen from the face (1, 0, 0): cos = 1 / sqrt(3), 54.7356 degrees.
    want_km = np.arccos(1 / np.sqrt(3)) * EARTH_RADIUS_KM
    np.testing.assert_allclose(
        cell_reach_km(ids(*(parse_cell(f"{f}/") for f in range(6)))), want_km
    )


def test_the_mean_edge_is_the_mean_over_all_cells_of_a_level():
    corners = cell_corners(all_cells(5))
    mean_km = great_circle_km(corners, np.roll(corners, -1, axis=1)).mean()
    assert mean_edge_km(5) == pytest.approx(mean_km, rel=1e-3)
    assert mean_edge_km(6) == mean_edge_km(5) / 2


@given(st.floats(0, 2e4), st.integers(0, 12), st.integers(0, 12))
def test_the_level_for_a_length_is_the_finest_whose_mean_edge_is_as_long(edge_km, one, other):
    coarsest, finest = sorted((one, other))
    fitting = [k for k in range(coarsest, finest + 1) if mean_edge_km(k) >= edge_km]
    assert level_for_km(edge_km, coarsest, finest) == max(fitting, default=coarsest)


def test_the_mean_edge_of_a_level_itself_gives_that_level():
    assert [level_for_km(mean_edge_km(level)) for level in range(31)] == list(range(31))
    assert [level_for_km(np.nextafter(mean_edge_km(k), 1e9)) for k in range(1, 31)] == list(
        range(30)
    )
    assert (level_for_km(0.0), level_for_km(5e-324), level_for_km(np.inf)) == (30, 30, 0)


@pytest.mark.parametrize(
    "text", ["", "2", "4b/1", "6/1", "2/4", "2/" + "0" * 31, "x", "0", "c", "4c" * 9, "2/1/", "-1"]
)
def test_what_is_no_cell_is_refused_with_both_notations(text):
    with pytest.raises(PlaceError) as caught:
        parse_cell(text)
    assert str(caught.value) == (
        f'"{text}" is not an S2 cell; expected a path such as 2/1 (a face 0 to 5, a slash, then '
        "at most 30 digits 0 to 3) or a token such as 4c (at most 16 hexadecimal digits)."
    )


def test_ids_that_are_no_cells_are_counted():
    # 0 has no last bit, 2 << 60 has it at an odd place, 13 << 60 is face 6.
    bad = ids(parse_cell("2/1"), 0, 2 << 60, 13 << 60)
    with pytest.raises(
        PlaceError, match=r"^0 is not the id of an S2 cell; .* 3 of 4 .* in row 1\.$"
    ):
        cell_level(bad)
    for read in (cell_centre, cell_corners, cell_reach_km):
        with pytest.raises(PlaceError, match="is not the id of an S2 cell"):
            read(bad)


def test_a_cell_has_no_finer_parent():
    with pytest.raises(PlaceError, match=r"S2 cell 2/1 is coarser than level 3.* from 0 to 1\."):
        cell_parent(ids(parse_cell("3/112"), parse_cell("2/1")), 3)


@pytest.mark.parametrize("level", [-1, 31])
def test_a_level_that_does_not_exist_is_refused(level):
    for use in (
        lambda: cell_ids(np.zeros((1, 2)), level),
        lambda: cell_parent(ids(parse_cell("2/1")), level),
        lambda: mean_edge_km(level),
    ):
        with pytest.raises(PlaceError, match=f"there is no S2 level {level}; expected 0 .* to 30"):
            use()


@pytest.mark.parametrize("edge_km", [-1.0, np.nan])
def test_a_length_that_is_no_length_is_refused(edge_km):
    with pytest.raises(PlaceError, match=f"cannot be {edge_km} km; expected 0 km or more"):
        level_for_km(edge_km)


def test_cells_refuse_coordinates_that_are_no_place():
    with pytest.raises(CoordinateError, match="row 1: latitude nan"):
        cell_ids(np.array([[0.0, 0.0], [np.nan, 0.0]]), 8)


def test_no_rows_are_no_problem():
    none = cell_ids(np.zeros((0, 2)), 8)
    assert none.dtype == np.uint64
    assert cell_centre(none).shape == (0, 2)
    assert (
        cell_reach_km(none).shape == cell_level(none).shape == contains(1 << 60, none).shape == (0,)
    )
