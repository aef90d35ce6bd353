"""Distances on the sphere: hand arithmetic, laws, a slow reference, seams and messages."""

import math

import numpy as np
import pytest
import s2geometry as s2
from hypothesis import given
from hypothesis import strategies as st

from homerange.errors import CoordinateError
from homerange.geo.sphere import (
    EARTH_RADIUS_KM,
    check_latlon,
    distance_km,
    distance_to_outline_km,
    great_circle_km,
    to_latlon,
    to_xyz,
)

HALF_ROUND_KM = math.pi * EARTH_RADIUS_KM
LATLON = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


def one_distance(start, end):
    return distance_km(np.array([start], float), np.array([end], float))[0, 0]


def random_places(count, seed=0):
    return to_latlon(np.random.default_rng(seed).normal(size=(count, 3)))


def test_the_radius_is_the_mean_radius_of_the_wgs_84_ellipsoid():
    # R1 = (2a + b) / 3 with a = 6378.137 km and b = 6356.752314 km
    assert pytest.approx((2 * 6378.137 + 6356.752314) / 3, abs=5e-5) == EARTH_RADIUS_KM


@pytest.mark.parametrize(
    ("start", "end", "angle_deg"),
    [
        ((0, 0), (1, 0), 1),  # along a meridian
        ((0, 10), (0, 40), 30),  # along the equator
        ((60, 0), (60, 180), 60),  # over the pole, not along the parallel
        ((0, 179.5), (0, -179.5), 1),  # over the dateline
        ((10, 180), (10, -180), 0),  # one place, two names
        ((90, 0), (90, 123), 0),  # the pole has every longitude
        ((90, 7), (-90, -50), 180),  # pole to pole
        ((33, 20), (-33, -160), 180),  # antipodes
        ((0, 0), (45, 90), 90),  # the pole of the meridian of Greenwich
    ],
)
def test_arcs_known_by_hand(start, end, angle_deg):
    want_km = angle_deg / 180 * HALF_ROUND_KM
    assert one_distance(start, end) == pytest.approx(want_km, abs=1e-9)


def test_an_eighth_of_the_globe_by_the_cosine_rule():
    # cos d = sin 30 sin 60 + cos 30 cos 60 cos 90 = 0.5 * 0.8660254 = 0.4330127
    want_km = math.acos(0.5 * math.sqrt(3) / 2) * EARTH_RADIUS_KM
    assert one_distance((30, 0), (60, 90)) == pytest.approx(want_km, abs=1e-6)


def test_near_the_antipodes_one_metre_is_still_one_metre():
    # 1e-5 degrees are 1.11 m; the plain haversine is wrong by up to 10 cm here.
    missing_km = 1e-5 / 180 * HALF_ROUND_KM
    got_km = HALF_ROUND_KM - one_distance((20, 30), (-20 + 1e-5, -150))
    assert got_km == pytest.approx(missing_km, rel=1e-4)


def test_neighbours_a_millimetre_apart_are_not_lost():
    # 1e-8 degrees of latitude
    assert one_distance((45, 9), (45 + 1e-8, 9)) == pytest.approx(1.112e-6, rel=1e-3)


def test_all_pairs_come_back_with_rows_from_the_first_list():
    a, b = random_places(3), random_places(5, seed=1)
    got = distance_km(a, b)
    assert got.shape == (3, 5)
    for i in range(3):
        for j in range(5):
            start, end = (s2.S2LatLng.FromDegrees(*place.tolist()) for place in (a[i], b[j]))
            want_km = start.GetDistance(end).radians() * EARTH_RADIUS_KM
            assert got[i, j] == pytest.approx(want_km, abs=1e-6)


def test_pairs_broadcast_over_leading_axes():
    a, b = random_places(4), random_places(4, seed=1)
    np.testing.assert_allclose(great_circle_km(a, b), np.diag(distance_km(a, b)))


@given(LATLON, LATLON, LATLON)
def test_distances_are_symmetric_bounded_and_obey_the_triangle(a, b, c):
    assert one_distance(a, b) == pytest.approx(one_distance(b, a), abs=1e-9)
    assert 0 <= one_distance(a, b) <= HALF_ROUND_KM + 1e-9
    assert one_distance(a, c) <= one_distance(a, b) + one_distance(b, c) + 1e-6


@given(LATLON)
def test_a_place_and_its_antipode_share_half_the_circumference(place):
    lat, lon = place
    antipode = (-lat, lon - 180 if lon > 0 else lon + 180)
    other = (12.0, 34.0)
    got = one_distance(other, place) + one_distance(other, antipode)
    assert got == pytest.approx(HALF_ROUND_KM, abs=1e-6)


@given(LATLON)
def test_unit_vectors_come_back_to_their_place(place):
    back = to_latlon(to_xyz(np.array([place])))
    assert distance_km(back, np.array([place]))[0, 0] < 1e-6


def test_unit_vectors_point_where_the_legend_says():
    got = to_xyz(np.array([[0.0, 0.0], [0.0, 90.0], [90.0, 0.0]]))
    np.testing.assert_allclose(got, np.eye(3), atol=1e-15)


def test_distance_to_an_outline_equals_the_nearest_of_many_points_on_it():
    corners = np.array([[10.0, 170.0], [12.0, -160.0], [55.0, -170.0], [40.0, 165.0]])
    ends = to_xyz(np.roll(corners, -1, axis=0))
    share = np.linspace(0, 1, 4001)[:, None, None]
    points = to_latlon((1 - share) * to_xyz(corners) + share * ends).reshape(-1, 2)
    places = random_places(300)
    got, want = distance_to_outline_km(places, corners), distance_km(places, points).min(axis=1)
    np.testing.assert_allclose(got, want, atol=0.1)


def test_an_outline_is_reached_over_the_dateline_and_at_a_corner():
    # A square of 10 degrees whose eastern edge is the meridian 175 W.
    corners = np.array([[-5.0, 175.0], [-5.0, -175.0], [5.0, -175.0], [5.0, 175.0]])
    places = np.array([[0.0, -174.0], [0.0, 180.0], [6.0, -174.0]])
    got = distance_to_outline_km(places, corners)
    # 1 degree along the equator; 5 degrees from within, the meridians being nearer than the arcs;
    # and off the north-east the corner itself.
    np.testing.assert_allclose(got[:2] / HALF_ROUND_KM * 180, [1, 5], rtol=1e-9)
    assert got[2] == pytest.approx(one_distance((6, -174), (5, -175)), rel=1e-9)


def test_swapped_columns_give_a_message_that_says_so():
    with pytest.raises(CoordinateError) as caught:
        check_latlon(np.array([[10.0, 20.0], [151.2, -33.9], [-120.0, 40.0]]))
    assert str(caught.value) == (
        "row 1: latitude 151.2 and longitude -33.9 are not a place on the Earth. Expected "
        "latitude in [-90, 90] and longitude in [-180, 180], in degrees. 2 of 3 rows have this "
        "problem; latitude and longitude may be swapped."
    )


@pytest.mark.parametrize("bad", [(np.nan, 0.0), (0.0, np.inf), (745000.0, 9742000.0), (0, 180.1)])
def test_what_no_swap_can_mend_is_not_called_swapped(bad):
    with pytest.raises(
        CoordinateError, match=r"photo 0: latitude .* give decimal degrees"
    ) as caught:
        check_latlon(np.array([bad, (10.0, 20.0)]), where="photo")
    assert "1 of 2 photos" in str(caught.value)
    assert "swapped" not in str(caught.value)


def test_the_edges_of_the_range_are_places():
    check_latlon(np.array([[90.0, 180.0], [-90.0, -180.0]]))
    check_latlon(np.zeros((0, 2)))


@pytest.mark.parametrize("order", [1, -1])
def test_distance_refuses_nan_on_either_side(order):
    good, bad = np.zeros((1, 2)), np.array([[np.nan, 0.0]])
    with pytest.raises(CoordinateError, match="row 0: latitude nan"):
        distance_km(*(good, bad)[::order])
