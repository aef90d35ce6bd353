"""Places: who votes for them, how they are read and written, and every message."""

import json
from itertools import permutations, product

import numpy as np
import pytest
import s2geometry as s2
from hypothesis import given
from hypothesis import strategies as st

from homerange.errors import PlaceError
from homerange.geo.cells import (
    cell_centre,
    cell_ids,
    cell_reach_km,
    longest_diagonal_km,
    mean_edge_km,
    parse_cell,
)
from homerange.geo.place import (
    DEFAULT_RADIUS_KM,
    Cell,
    Circle,
    SpeciesList,
    parse_at,
    place_from_json,
)
from homerange.geo.species_list import read_species_list
from homerange.geo.sphere import EARTH_RADIUS_KM, distance_km, to_latlon, to_xyz
from homerange.geo.votes import distance_to_cells_km, overlaps, votes

CUBE_ROTATIONS = [
    turn
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3))
    if np.linalg.det(turn := np.eye(3)[list(order)] * signs) > 0
]


def ids(*cells):
    return np.array(cells, np.uint64)


def cells_at(*latlon, level=8):
    return cell_ids(np.array(latlon, float), level)


def around(lat, lon, spread, count, seed=0):
    """Places around a point, denser than the cells under test."""
    xyz = to_xyz(np.array([lat, lon])) + np.random.default_rng(seed).normal(0, spread, (count, 3))
    return to_latlon(xyz)


def judge_distance_km(cell, lat, lon):
    point = s2.S2LatLng.FromDegrees(lat, lon).ToPoint()
    return (
        s2.S2Cell(s2.S2CellId(int(cell))).GetDistance(point).ToAngle().radians() * EARTH_RADIUS_KM
    )


# Distance from a place to the cells of records


def test_the_gap_of_a_circle_worked_out_by_hand():
    # The face 1/ has its centre at 0 N 90 E and its corners 54.7356 degrees away. A circle of 5
    # degrees around 0 N 10 E leaves 90 - 10 - 54.7356 - 5 = 20.2644 degrees.
    degree_km = np.pi * EARTH_RADIUS_KM / 180
    got = distance_to_cells_km(Circle(0.0, 10.0, 5 * degree_km), ids(parse_cell("1/")))
    np.testing.assert_allclose(got / degree_km, [80 - 54.735610317 - 5], atol=1e-6)


def test_the_gap_of_a_circle_is_never_more_than_the_true_gap_nor_short_by_more_than_a_reach():
    latlon = around(40, 100, 0.1, 400)
    for level in (3, 8):
        cells = cell_ids(latlon, level)
        got = distance_to_cells_km(Circle(40.0, 100.0, 300.0), cells)
        true = np.array([judge_distance_km(cell, 40.0, 100.0) for cell in cells]) - 300.0
        assert (got <= np.maximum(true, 0.0) + 1e-3).all()
        assert (got >= true - cell_reach_km(cells)).all()
    assert 20 < (got == 0).sum() < 380


@given(st.floats(-90, 90), st.floats(-180, 180), st.integers(0, 8))
def test_a_record_at_the_point_itself_is_at_distance_0(lat, lon, level):
    cell = cells_at((lat, lon), level=level)
    assert distance_to_cells_km(Circle(lat, lon, 0.001), cell).tolist() == [0.0]


def test_a_larger_circle_is_never_farther():
    cells = cell_ids(around(-2.33, 34.83, 0.1, 300), 8)
    gaps = [distance_to_cells_km(Circle(-2.33, 34.83, r), cells) for r in (1.0, 100.0, 20038.0)]
    assert (gaps[0] >= gaps[1]).all()
    assert (gaps[1] >= gaps[2]).all()
    assert gaps[0].max() > 0
    assert gaps[2].max() == 0


def test_a_cell_holds_the_cells_inside_it_and_is_held_by_those_above_it():
    place = Cell(parse_cell("2/1"))
    inside_above_beside = ids(*map(parse_cell, ["2/1", "2/12", "2/1003", "2/", "2/2", "0/"]))
    got = distance_to_cells_km(place, inside_above_beside)
    assert got[:4].tolist() == [0.0] * 4
    assert (got[4:] > 500).all()


@pytest.mark.parametrize("path", ["2/1", "0/", "3/112", "2/00000000", "5/2221"])
def test_outside_a_cell_the_distance_is_that_of_the_judge_from_the_centre_of_the_record(path):
    place, judge = Cell(parse_cell(path)), s2.S2CellId.FromDebugString(path)
    cells = cell_ids(around(*cell_centre(place.id_1)[0], 1.0, 300), 8)
    neighbours = ids(*(cell.id() for cell in judge.GetAllNeighbors(judge.level())))
    above = ids(*(judge.parent(level).id() for level in range(judge.level())))
    cells = np.concatenate([cells, above, neighbours])
    got = distance_to_cells_km(place, cells)
    overlaps = [judge.intersects(s2.S2CellId(cell)) for cell in cells.tolist()]
    np.testing.assert_array_equal(got == 0, overlaps)
    want = [judge_distance_km(judge.id(), *centre) for centre in cell_centre(cells).tolist()]
    np.testing.assert_allclose(got, np.where(overlaps, 0, want), atol=1e-3)
    assert (got[-len(neighbours) :] > 0).all()


@given(
    lat=st.floats(-90, 90),
    lon=st.floats(-180, 180),
    radius_km=st.floats(0.001, 20_000),
    level=st.integers(0, 12),
)
def test_what_overlaps_is_what_lies_at_no_distance(lat, lon, radius_km, level):
    near = around(lat, lon, radius_km / EARTH_RADIUS_KM, 30)
    cells = np.concatenate(
        [cell_ids(near, level), ids(*(face << 61 | 1 << 60 for face in range(6)))]
    )
    for place in (Circle(lat, lon, radius_km), Cell(int(cells[0]))):
        at_once = overlaps(place, cells)
        np.testing.assert_array_equal(at_once, distance_to_cells_km(place, cells) == 0)
        assert at_once[0] or isinstance(place, Circle)


@pytest.mark.parametrize("level", [0, 1, 4, 8, 13])
def test_the_longest_diagonal_is_that_of_the_judge(level):
    cells = np.unique(cell_ids(around(0.0, 0.0, 10.0, 5000), level))
    corners = [s2.S2Cell(s2.S2CellId(int(cell))) for cell in cells]
    diagonal_km = [
        max(
            s2.S1Angle(cell.GetVertex(k), cell.GetVertex(k + 2)).radians() * EARTH_RADIUS_KM
            for k in (0, 1)
        )
        for cell in corners
    ]
    longest_km = longest_diagonal_km(cells)
    if level > 3:  # the metric is that of small cells; larger ones bend, so theirs are shorter
        assert max(diagonal_km) == pytest.approx(longest_km[0], rel=0.03)
    assert (np.array(diagonal_km) <= longest_km * (1 + 1e-9)).all()
    assert (cell_reach_km(cells) <= longest_km).all()


# Law: the dateline and the poles are places like any other


@pytest.mark.parametrize("turn", CUBE_ROTATIONS)
def test_turning_the_earth_like_a_die_changes_no_distance_and_no_vote(turn):
    # S2 cells fall on S2 cells. The place near 0 N 0 E goes to the poles and onto the dateline.
    assert len(CUBE_ROTATIONS) == 24
    latlon, uncertainty_km = around(0.7, 0.3, 0.05, 300), np.linspace(0, 120, 300)
    turned = to_latlon(to_xyz(latlon) @ turn.T)
    lat, lon = to_latlon(to_xyz(np.array([0.7, 0.3])) @ turn.T).tolist()
    here, there = cell_ids(latlon, 8), cell_ids(turned, 8)
    old, new = Circle(0.7, 0.3, 70.0), Circle(lat, lon, 70.0)
    gap = distance_to_cells_km(old, here)
    assert (gap > 0).any()
    np.testing.assert_allclose(distance_to_cells_km(new, there), gap, atol=1e-6)
    np.testing.assert_array_equal(
        votes(new, there, uncertainty_km), votes(old, here, uncertainty_km)
    )
    old_cell = Cell(int(cells_at((0.7, 0.3), level=5)[0]))
    new_cell = Cell(int(cells_at((lat, lon), level=5)[0]))
    np.testing.assert_allclose(
        distance_to_cells_km(new_cell, there), distance_to_cells_km(old_cell, here), atol=1e-6
    )


def test_fiji_reaches_over_the_dateline():
    # 0.4 degrees of longitude at 17 south are 43 km; 4 degrees are 425 km.
    place = Circle(-17.0, 179.8, 100.0)
    records = cells_at((-17.0, -179.8), (-17.0, -176.0), level=8)
    assert votes(place, records, np.zeros(2)).tolist() == [True, False]


def test_the_pole_has_every_longitude():
    around_the_pole = [(89.5, lon) for lon in range(-180, 180, 30)]
    records = cells_at(*around_the_pole, (80.0, 0.0))
    for lon in (-180.0, 0.0, 77.0, 180.0):
        got = votes(Circle(90.0, lon, 60.0), records, np.zeros(13))
        assert got.tolist() == [True] * 12 + [False]


# Votes


def test_an_uncertain_record_votes_only_for_a_place_as_large_as_its_uncertainty():
    cell = cells_at((-2.33, 34.83)).repeat(4)
    uncertainty_km = np.array([0.0, 1.0, 27.0, np.nan])
    small, large = Circle(-2.33, 34.83, 1.0), Circle(-2.33, 34.83, 27.0)
    assert votes(small, cell, uncertainty_km).tolist() == [True, True, False, False]
    assert votes(large, cell, uncertainty_km).tolist() == [True, True, True, False]


def test_a_sure_record_elsewhere_does_not_vote():
    cell = cells_at((41.88, -87.63))
    assert not votes(Circle(-2.33, 34.83), cell, np.zeros(1)).any()
    assert not votes(Cell(parse_cell("0/")), cell, np.zeros(1)).any()


def test_the_radius_of_a_cell_is_half_its_mean_edge():
    # Level 6: 9296.7 km / 2**6 / 2 = 72.6 km.
    place = Cell(parse_cell("0/300123"))
    assert place.radius_km == mean_edge_km(6) / 2
    uncertainty_km = np.array([72.6, 72.7])
    assert votes(place, place.id_1.repeat(2), uncertainty_km).tolist() == [True, False]


def test_cell_0_is_no_cell_and_may_not_vote():
    for place in (Circle(0.0, 0.0), Cell(parse_cell("2/1"))):
        with pytest.raises(PlaceError, match="0 is not the id of an S2 cell"):
            votes(place, ids(0), np.zeros(1))


# Reading and writing


@pytest.mark.parametrize(
    ("place", "text", "data"),
    [
        (
            Circle(-2.33, 34.83),
            "within 100 km of -2.3300, 34.8300",
            {"kind": "circle", "latitude_deg": -2.33, "longitude_deg": 34.83, "radius_km": 100.0},
        ),
        (Cell(0x4C << 56), "S2 cell 2/1 (4c)", {"kind": "cell", "cell": "2/1", "token": "4c"}),
        (
            SpeciesList(("Panthera leo", "Panthera pardus")),
            "a list of 2 species",
            {"kind": "list", "species": ["Panthera leo", "Panthera pardus"]},
        ),
    ],
)
def test_a_place_is_described_written_and_read_again(place, text, data):
    assert place.describe() == text
    assert place.to_json() == data
    assert place_from_json(json.loads(json.dumps(data))) == place


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "polygon", "points": []},
        {},
        {"kind": "circle", "latitude_deg": 1.0, "longitude_deg": 2.0},
        {"kind": "circle", "latitude_deg": "1", "longitude_deg": 2.0, "radius_km": 3.0},
        {"kind": "circle", "latitude_deg": True, "longitude_deg": 2.0, "radius_km": 3.0},
        {"kind": "circle", "latitude_deg": 1.0, "longitude_deg": 2.0, "radius_km": 10**400},
        {"kind": "circle", "latitude_deg": 1.0, "longitude_deg": 2.0, "radius_km": 3.0, "x": 4},
        {"kind": "cell", "cell": "2/1"},
        {"kind": "cell", "cell": "2/1", "token": "4c", "level": 1},
        {"kind": "list", "species": "Panthera leo"},
        {"kind": "list", "species": ["Panthera leo", 7]},
        {"kind": "list", "species": ["Panthera leo"], "source": "me"},
    ],
)
def test_an_unknown_place_is_refused_with_what_is_known(data):
    with pytest.raises(PlaceError) as caught:
        place_from_json(data)
    message = str(caught.value)
    assert message.startswith(f"kind {data.get('kind')!r} with ")
    assert all(key in message for key in data)
    assert "Expected kind circle (numbers latitude_deg, longitude_deg, radius_km)" in message
    assert "newer version" in message


def test_a_cell_whose_two_notations_differ_is_refused():
    with pytest.raises(PlaceError, match=r"S2 cell 2/1 and the token 54, which is 2/2; expected"):
        place_from_json({"kind": "cell", "cell": "2/1", "token": "54"})


@pytest.mark.parametrize("text", ["-2.33,34.83", " -2.33 , 34.83 ", "-2.33e0,+34.83"])
def test_a_point_is_read_as_latitude_then_longitude(text):
    assert parse_at(text, 50.0) == Circle(-2.33, 34.83, 50.0)
    assert parse_at(text).radius_km == DEFAULT_RADIUS_KM


def test_a_swapped_point_is_shown_the_right_way_round():
    with pytest.raises(PlaceError) as caught:
        parse_at("151.2,-33.9", 10.0)
    assert str(caught.value) == (
        "latitude 151.2 and longitude -33.9 are not a place on the Earth. Expected latitude in "
        "[-90, 90], then longitude in [-180, 180], in degrees. They look swapped: write "
        "-33.9,151.2."
    )


@pytest.mark.parametrize("text", ["nan,0", "0,inf", "200,200", "0,180.5", "95,95"])
def test_a_point_off_the_earth_that_no_swap_mends_is_not_called_swapped(text):
    assert "swapped" not in refusal(text)
    assert "are not a place on the Earth" in refusal(text)


def refusal(text):
    with pytest.raises(PlaceError) as caught:
        parse_at(text, 10.0)
    return str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "Serengeti", "1", "1,2,3", "-2,33,34,83", "1;2", "1 2", "a,b"]
)
def test_what_is_no_point_is_refused_with_an_example(text):
    assert refusal(text).startswith(f'"{text}" is not a point; expected LAT,LON')
    assert '"-2.33,34.83"' in refusal(text)


@pytest.mark.parametrize("radius_km", [0.0, -1.0, 20038.1, np.nan, np.inf])
def test_a_radius_that_is_no_size_is_refused(radius_km):
    with pytest.raises(PlaceError) as caught:
        Circle(0.0, 0.0, radius_km)
    assert str(caught.value) == (
        f"the radius of a place cannot be {radius_km} km; expected more than 0 and at most "
        "20,038 km, which reaches round the Earth."
    )


def test_the_largest_radius_reaches_the_antipodes():
    place, antipode = Circle(0.0, 0.0, 20038.0), np.array([[0.0, 180.0]])
    assert distance_km(np.zeros((1, 2)), antipode)[0, 0] < place.radius_km


@pytest.mark.parametrize("cell", [0, 7 << 61, 1 << 61])
def test_a_number_that_is_no_cell_is_no_place(cell):
    with pytest.raises(PlaceError, match=f"{cell} is not the id of an S2 cell"):
        Cell(cell)


def test_a_list_without_species_is_no_place():
    with pytest.raises(PlaceError, match="a list of species is empty; expected at least one"):
        SpeciesList(())


def test_a_list_names_a_species_once():
    with pytest.raises(PlaceError, match="names panthera leo twice; expected it once"):
        SpeciesList(("Panthera leo", "Gazella", "panthera leo"))


# Species lists on disk


def test_a_species_list_may_hold_comments_blank_lines_and_stray_spaces(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(
        b"\xef\xbb\xbf# Serengeti\r\n\r\n  Panthera   leo # lion\r\nLycaon pictus\r\n#end"
    )
    assert read_species_list(path) == SpeciesList(("Panthera leo", "Lycaon pictus"))


def test_a_species_that_stands_twice_is_refused_with_both_lines(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("# cats\nPanthera leo\n\nLycaon pictus\nPANTHERA LEO\n")
    with pytest.raises(PlaceError) as caught:
        read_species_list(path)
    assert str(caught.value) == (
        f"{path}, line 5: PANTHERA LEO stands on line 2 already; remove one."
    )


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_an_empty_species_list_is_refused_with_its_path(tmp_path, text):
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(PlaceError, match=r"list\.txt holds no name; expected one scientific name"):
        read_species_list(path)


def test_a_species_list_that_cannot_be_read_is_refused_with_the_reason(tmp_path):
    with pytest.raises(PlaceError, match=r"species list .*gone\.txt: .*No such file.* Expected a"):
        read_species_list(tmp_path / "gone.txt")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(PlaceError, match=r"photo\.jpg: .*utf-8.* Expected a UTF-8 text file"):
        read_species_list(tmp_path / "photo.jpg")
