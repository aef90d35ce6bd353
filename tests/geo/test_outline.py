"""Outlines: inside, distance and area, by hand, against shapely and against s2geometry."""

from itertools import pairwise

import numpy as np
import pytest
import s2geometry as s2
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from homerange.geo.outline import LONGEST_PIECE_DEG, Outline, is_clockwise, unwrapped
from homerange.geo.sphere import EARTH_RADIUS_KM, to_latlon, to_xyz

DEGREE_KM = np.pi * EARTH_RADIUS_KM / 180


def ring(*corners):
    return np.array(corners, np.float64)


def box(south, west, north, east):
    return ring((south, west), (south, east), (north, east), (north, west))


def star(seed, corners=40, middle=(48.0, 10.0), reach_deg=12.0):
    """A ring without self-crossings whose corners lie at random distances around a middle."""
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    away = rng.uniform(0.2, 1.0, corners) * reach_deg
    return np.stack([middle[0] + away * np.sin(angle), middle[1] + away * np.cos(angle)], axis=1)


def points(seed, count, middle=(48.0, 10.0), spread=0.3):
    xyz = to_xyz(np.array(middle)) + np.random.default_rng(seed).normal(0, spread, (count, 3))
    return to_latlon(xyz)


# Inside


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_lies_inside_is_what_shapely_finds(seed):
    border, hole = star(seed), star(seed + 1, reach_deg=1.0)
    latlon = points(seed, 500, spread=0.1)
    judge = shapely.Polygon(border[:, ::-1], [hole[:, ::-1]])
    want = shapely.contains_xy(
        shapely.Polygon(border[:, ::-1]), latlon[:, 1], latlon[:, 0]
    ) ^ shapely.contains_xy(shapely.Polygon(hole[:, ::-1]), latlon[:, 1], latlon[:, 0])
    np.testing.assert_array_equal(Outline([[border, hole]]).holds(latlon), want)
    if judge.is_valid:
        np.testing.assert_array_equal(want, shapely.contains_xy(judge, latlon[:, 1], latlon[:, 0]))


def test_areas_that_overlap_are_taken_together_and_rings_of_one_area_are_holes():
    outer, inner = box(0, 0, 10, 10), box(4, 4, 6, 6)
    middle = ring((5.0, 5.0))
    assert not Outline([[outer, inner]]).holds(middle)[0]
    assert Outline([[outer], [inner]]).holds(middle)[0]


def test_an_edge_is_straight_on_the_map_and_no_great_circle():
    # Along 49 N from 95 W to 125 W a great circle would reach up to 50.2 N.
    canada = Outline([[box(49.0, -125.0, 60.0, -95.0)]])
    assert canada.holds(ring((49.1, -110.0), (48.9, -110.0))).tolist() == [True, False]
    assert canada.distance_km(ring((48.0, -110.0)))[0] == pytest.approx(DEGREE_KM, abs=0.2)


FIJI = {
    "an edge across the dateline": [[ring((-21, 177), (-21, -178), (-12, -178), (-12, 177))]],
    "cut in two, as RFC 7946 asks": [[box(-21, 177, -12, 180)], [box(-21, -180, -12, -178)]],
    "longitudes beyond 180": [[box(-21, 177, -12, 182)]],
    "longitudes below -180": [[box(-21, -183, -12, -178)]],
}


@pytest.mark.parametrize("how", FIJI)
def test_a_place_across_the_dateline_is_the_same_however_it_is_drawn(how):
    fiji = Outline(FIJI[how])
    inside = ring((-17, 179.9), (-17, -179.9), (-17, 180.0), (-17, -180.0), (-17, 177.1))
    outside = ring((-17, 176.9), (-17, -177.9), (-22, 180.0), (-17, 0.0), (17, 180.0))
    assert fiji.holds(inside).all()
    assert not fiji.holds(outside).any()
    # 10 - 9 degrees of latitude; the nearest point of the others lies on a parallel.
    assert fiji.distance_km(ring((-22, 179.0)))[0] == pytest.approx(DEGREE_KM, abs=0.2)
    assert fiji.area_km2 == pytest.approx(Outline(FIJI["longitudes beyond 180"]).area_km2)
    assert fiji.cap[1] < 700


POLE = {
    "three corners around it": [[ring((80, 0), (80, 120), (80, -120))]],
    "round the Earth": [[ring(*((80, lon) for lon in range(-180, 180, 10)))]],
    "the other way round": [[ring(*((80, lon) for lon in range(180, -180, -10)))]],
    "closed along the pole": [[box(80, -180, 90, 180)]],
}


@pytest.mark.parametrize("how", POLE)
def test_a_cap_around_the_pole_holds_every_longitude(how):
    cap = Outline(POLE[how])
    lons = np.arange(-180.0, 181.0, 7.5)
    assert cap.holds(np.stack([np.full(len(lons), 85.0), lons], axis=1)).all()
    assert not cap.holds(np.stack([np.full(len(lons), 75.0), lons], axis=1)).any()
    # A cap of 10 degrees: 2 pi R^2 (1 - cos 10 deg), and its radius is 10 degrees again.
    want = 2 * np.pi * EARTH_RADIUS_KM**2 * (1 - np.cos(np.radians(10)))
    assert cap.area_km2 == pytest.approx(want)
    assert cap.radius_km == pytest.approx(10 * DEGREE_KM)
    assert cap.distance_km(ring((90.0, 0.0), (90.0, 77.0), (85.0, 3.0))).max() < 1e-3
    assert cap.distance_km(ring((70.0, 33.0)))[0] == pytest.approx(10 * DEGREE_KM, abs=0.2)


def test_a_ring_round_the_south_holds_the_south_pole():
    antarctica = Outline([[ring(*((-60, lon) for lon in range(-180, 180, 30)))]])
    assert antarctica.holds(ring((-89.0, 50.0), (89.0, 50.0))).tolist() == [True, False]


def test_the_whole_earth_is_a_place():
    earth = Outline([[box(-90, -180, 90, 180)]])
    assert earth.holds(points(0, 200, spread=5.0)).all()
    assert earth.area_km2 == pytest.approx(4 * np.pi * EARTH_RADIUS_KM**2)
    assert earth.radius_km == pytest.approx(np.pi * EARTH_RADIUS_KM)


@given(shift=st.sampled_from([-360.0, 360.0]), first=st.integers(0, 3))
def test_a_turn_and_another_first_corner_change_nothing(shift, first):
    corners = ring((-21, 177), (-21, -178), (-12, -178), (-12, 177))
    moved = np.roll(corners, first, axis=0) + np.array([0, shift])
    latlon = ring((-17, 179), (-17, -179), (-17, -177), (-17, 176))
    assert Outline([[moved]]).holds(latlon).tolist() == [True, True, False, False]


# Distance


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_distances_are_those_of_s2geometry(seed):
    border = star(seed, corners=12)
    # The judge has great circles for edges: corners every 0.1 degrees hold them to the map.
    closed = np.vstack([border, border[:1]])
    fine = np.concatenate([np.linspace(a, b, 200, endpoint=False) for a, b in pairwise(closed)])
    line = s2.S2Polyline()
    line.InitFromS2LatLngs(
        [s2.S2LatLng.FromDegrees(*at) for at in [*fine.tolist(), *fine[:1].tolist()]]
    )
    latlon = points(seed, 40)
    outline = Outline([[border]])
    inside = outline.holds(latlon)
    for place, km, within in zip(latlon, outline.distance_km(latlon), inside, strict=True):
        point = s2.S2LatLng.FromDegrees(*place.tolist()).ToPoint()
        nearest, _ = line.Project(point)
        want = 0.0 if within else s2.S1Angle(point, nearest).radians() * EARTH_RADIUS_KM
        assert km == pytest.approx(want, abs=0.2)


def test_bundles_change_no_distance(monkeypatch):
    latlon, outline = points(5, 300, spread=0.5), [[star(5, corners=300)], [star(6, middle=(0, 0))]]
    want = Outline(outline).distance_km(latlon)
    monkeypatch.setattr("homerange.geo.outline.PIECES_OF_A_BUNDLE", 10**6)
    np.testing.assert_allclose(Outline(outline).distance_km(latlon), want, atol=1e-6)
    assert (want > 0).sum() > 100


def test_places_at_once_change_nothing(monkeypatch):
    latlon, outline = points(5, 300), [[star(5, corners=300)]]
    inside, away = Outline(outline).holds(latlon), Outline(outline).distance_km(latlon)
    monkeypatch.setattr("homerange.geo.outline.PLACES_AT_A_TIME", 7)
    np.testing.assert_array_equal(Outline(outline).holds(latlon), inside)
    np.testing.assert_array_equal(Outline(outline).distance_km(latlon), away)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), reach_deg=st.floats(0.01, 80))
def test_the_cap_holds_all_that_lies_inside(seed, reach_deg):
    outline = Outline([[star(seed, middle=(0.0, 170.0), reach_deg=reach_deg)]])
    middle, radius_km = outline.cap
    latlon = points(seed, 400, middle=(0.0, 170.0), spread=reach_deg / 60)
    xyz = to_xyz(latlon[outline.holds(latlon)])
    away_km = np.arccos(np.clip(xyz @ to_xyz(middle), -1, 1)) * EARTH_RADIUS_KM
    assert (away_km <= radius_km + 0.2).all()


# Area


def test_the_area_of_a_box_worked_out_by_hand():
    # R^2 * (sin 30 - sin 0) * 90 degrees in radians = R^2 * 0.5 * pi / 2.
    want = EARTH_RADIUS_KM**2 * 0.5 * np.pi / 2
    border, hole = box(0, 10, 30, 100), box(10, 20, 20, 30)
    assert Outline([[border]]).area_km2 == pytest.approx(want)
    less = EARTH_RADIUS_KM**2 * (np.sin(np.radians(20)) - np.sin(np.radians(10))) * np.pi / 18
    assert Outline([[border, hole[::-1]]]).area_km2 == pytest.approx(want - less)


def test_slanting_edges_are_integrated_exactly():
    # A right triangle with its legs on the equator and a meridian, 60 degrees each. The hypotenuse
    # has lat = 60 - lon: the integral of sin over it is 1 - cos 60 = 0.5.
    triangle = ring((0, 0), (60, 0), (0, 60))
    assert Outline([[triangle]]).area_km2 == pytest.approx(0.5 * EARTH_RADIUS_KM**2)


def test_direction_is_told_on_the_map():
    assert is_clockwise(box(0, 0, 1, 1)[::-1])
    assert not is_clockwise(box(0, 0, 1, 1))
    assert not is_clockwise(ring((0, 179), (0, -179), (1, -179), (1, 179)))


def test_no_piece_is_longer_than_half_a_degree():
    (pieces,) = Outline([[box(0, 0, 0.5, 90)]])._pieces()
    length_km = np.arccos(np.clip((pieces[:, 0] * pieces[:, 1]).sum(1), -1, 1)) * EARTH_RADIUS_KM
    assert length_km.max() <= LONGEST_PIECE_DEG * DEGREE_KM * 1.0001


def test_a_ring_is_laid_out_without_jumps_and_left_unchanged():
    corners = ring((-21, 177), (-21, -178), (-12, -178))
    laid = unwrapped(corners)
    assert laid[:, 1].tolist() == [177, 182, 182]
    assert corners[:, 1].tolist() == [177, -178, -178]
