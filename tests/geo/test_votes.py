"""Votes for polygons, countries and several places: the disc around a cell touches the place."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from homerange.errors import PlaceError
from homerange.geo.cells import cell_centre, cell_ids, cell_reach_km, parse_cell
from homerange.geo.countries import find_country
from homerange.geo.place import Cell, Circle, Country, Polygon, SpeciesList, Union
from homerange.geo.sphere import EARTH_RADIUS_KM
from homerange.geo.votes import distance_to_cells_km, overlaps, votes, votes_by_area

DEGREE_KM = np.pi * EARTH_RADIUS_KM / 180


def square(lat, lon, half_deg, name="square"):
    corners = ((-1, -1), (-1, 1), (1, 1), (1, -1))
    return Polygon(name, (((*((lat + a * half_deg, lon + b * half_deg) for a, b in corners),),),))


def cells_at(*latlon, level=8):
    return cell_ids(np.array(latlon, float), level)


@settings(max_examples=15, deadline=None)
@given(
    lat=st.floats(-60, 60),
    lon=st.floats(-180, 180),
    half_deg=st.floats(0.05, 5),
    seed=st.integers(),
)
def test_a_cell_overlaps_a_polygon_if_its_disc_touches_it(lat, lon, half_deg, seed):
    # Judged by shapely, on a map around the place whose scale is that of the sphere at each cell:
    # a disc is drawn as its 64 corners. Doubtful are those within 1 % of the border.
    rng = np.random.default_rng(abs(seed))
    latlon = np.array([lat, lon]) + rng.uniform(-1, 1, (60, 2)) * (half_deg + 1)
    latlon[:, 1] = (latlon[:, 1] + 180) % 360 - 180
    cells = cell_ids(latlon, 8)
    got = overlaps(square(lat, lon, half_deg), cells)
    for cell, hit in zip(cells, got, strict=True):
        (centre,), (reach,) = (
            cell_centre(cells[cells == cell][:1]),
            cell_reach_km(cells[:1] * 0 + cell),
        )
        assert hit == touches(centre, reach, lat, lon, half_deg) or near_border(
            centre, reach, lat, lon, half_deg
        )


def touches(centre, reach_km, lat, lon, half_deg):
    angle = np.linspace(0, 2 * np.pi, 256)
    scale = np.cos(np.radians(centre[0]))
    away = (centre[1] - lon + 180) % 360 - 180
    x = lon + away + reach_km / DEGREE_KM / scale * np.cos(angle)
    y = centre[0] + reach_km / DEGREE_KM * np.sin(angle)
    disc = shapely.Polygon(np.stack([x, y], axis=1))
    return disc.intersects(
        shapely.box(lon - half_deg, lat - half_deg, lon + half_deg, lat + half_deg)
    )


def near_border(centre, reach_km, *place):
    return touches(centre, reach_km * 0.98, *place) != touches(centre, reach_km * 1.02, *place)


@pytest.mark.parametrize("half_deg", [0.05, 1.0, 4.0])
def test_a_polygon_and_a_circle_agree_where_they_nearly_are_the_same(half_deg):
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    around = np.stack([half_deg * np.sin(angle), half_deg * np.cos(angle)], axis=1)  # at 0 N 0 E
    round_ = Polygon("round", ((tuple(map(tuple, around.tolist())),),))
    circle = Circle(0.0, 0.0, half_deg * DEGREE_KM)
    assert round_.radius_km == pytest.approx(circle.radius_km, rel=2e-3)
    latlon = np.random.default_rng(1).uniform(-2 - half_deg, 2 + half_deg, (3000, 2))
    cells = np.unique(cell_ids(latlon, 8))
    one, other = distance_to_cells_km(round_, cells), distance_to_cells_km(circle, cells)
    np.testing.assert_allclose(one, other, atol=0.3 + half_deg * 0.5)
    assert 0 < (one == 0).sum() < len(cells)


@given(lat=st.floats(-85, 85), lon=st.floats(-180, 180), level=st.integers(0, 12))
@settings(max_examples=25, deadline=None)
def test_what_overlaps_is_what_lies_at_no_distance(lat, lon, level):
    latlon = np.array([lat, lon]) + np.random.default_rng(0).uniform(-3, 3, (40, 2))
    latlon = np.stack([latlon[:, 0].clip(-90, 90), (latlon[:, 1] + 180) % 360 - 180], axis=1)
    cells = np.concatenate([cell_ids(latlon, level), cell_ids(latlon[:, ::1] * 0.5, level)])
    for place in (square(lat, lon, 1.0), Union((square(lat, lon, 1.0), Circle(0.0, 0.0)))):
        np.testing.assert_array_equal(
            overlaps(place, cells), distance_to_cells_km(place, cells) == 0
        )


def test_a_hole_has_no_votes_but_its_rim_has():
    border = ((-5.0, -5.0), (-5.0, 5.0), (5.0, 5.0), (5.0, -5.0))
    hole = ((-3.0, -3.0), (-3.0, 3.0), (3.0, 3.0), (3.0, -3.0))
    place = Polygon("ring", ((border, hole),))
    cells = cells_at((0.0, 0.0), (0.0, 4.0), (0.0, 2.9), (0.0, 7.0))
    assert votes(place, cells, np.zeros(4)).tolist() == [False, True, True, False]


def test_a_record_27_km_uncertain_does_not_vote_for_a_polygon_of_1_km():
    small, large = square(-2.33, 34.83, 0.008), square(-2.33, 34.83, 0.25)
    cell = cells_at((-2.33, 34.83)).repeat(3)
    uncertainty_km = np.array([0.0, 1.01, 27.0])
    # Half a side of 0.008 degrees is 0.89 km; the circle of the same area has 2 / sqrt(pi) of it.
    assert small.radius_km == pytest.approx(0.008 * DEGREE_KM * 2 / np.sqrt(np.pi), rel=2e-3)
    assert votes(small, cell, uncertainty_km).tolist() == [True, False, False]
    assert votes(large, cell, uncertainty_km).tolist() == [True, True, True]


def test_a_record_votes_for_several_places_if_it_does_for_one():
    # 27 km are too vague for the small circle, which is all that the first cell touches.
    small, kenya = Circle(41.88, -87.63, 5.0), find_country("KEN")
    cells = cells_at((41.88, -87.63), (0.0, 37.9), (51.5, 0.0))
    vague = np.full(3, 27.0)
    place = Union((small, kenya))
    assert votes(place, cells, np.zeros(3)).tolist() == [True, True, False]
    assert votes(place, cells, vague).tolist() == [False, True, False]
    by_area = {area.describe(): v.tolist() for area, v in votes_by_area(place, cells, vague)}
    assert by_area["Kenya (KEN)"] == [False, True, False]
    assert len(by_area) == 2


def test_a_list_of_species_has_no_cells():
    cells = cells_at((0.0, 0.0))
    assert not overlaps(SpeciesList(("Panthera leo",)), cells).any()
    assert np.isinf(distance_to_cells_km(SpeciesList(("Panthera leo",)), cells)).all()


@pytest.mark.parametrize(
    ("code", "inside", "outside"),
    [
        ("FJI", [(-17.8, 178.0), (-16.8, -179.95), (-16.8, 179.95)], [(-14.3, -170.7), (0, 0)]),
        ("RUS", [(66.0, -172.0), (55.7, 37.6), (68.0, 179.9)], [(64.5, -165.4), (60.2, 24.9)]),
        ("ATA", [(-90.0, 0.0), (-87.0, 180.0), (-87.0, -180.0), (-80.0, 33.0)], [(-54.8, -68.3)]),
        ("USA", [(52.9, 173.0), (21.3, -157.8), (38.9, -77.0)], [(45.5, -73.6)]),
        ("ZAF", [(-25.7, 28.2)], [(-29.5, 28.4)]),  # Lesotho lies in a hole of it
        ("TUV", [(-8.5, 179.2)], [(-13.3, -176.2)]),
    ],
)
def test_countries_have_votes_across_the_dateline_at_the_pole_and_around_enclaves(
    code, inside, outside
):
    place = Country(code)
    assert votes(place, cells_at(*inside), np.zeros(len(inside))).all()
    assert not votes(place, cells_at(*outside), np.zeros(len(outside))).any()


def test_cell_0_is_no_cell_and_may_not_vote():
    for place in (
        square(0.0, 0.0, 1.0),
        Country("KEN"),
        Union((Cell(parse_cell("2/1")), Country("KEN"))),
    ):
        with pytest.raises(PlaceError, match="0 is not the id of an S2 cell"):
            votes(place, np.array([0], np.uint64), np.zeros(1))
