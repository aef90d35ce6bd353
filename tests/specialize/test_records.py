"""Records that count for a place: by hand, and against one-by-one counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homerange.geo.cells import cell_ids, parse_cell
from homerange.geo.place import Cell, Circle
from homerange.geo.votes import votes
from homerange.specialize.records import count_here, count_records, counts_for, distance_band

SERENGETI = Circle(-2.33, 34.83, 100.0)


def cells(*latlon, level=8):
    return cell_ids(np.array(latlon, np.float64), level)


def test_the_low_ends_of_the_bands_are_added():
    # Class 0: bands 1 and 1 -> 1 + 1; class 2: bands 4 and 5 -> 21 + 101; class 1: nothing.
    found = count_records(
        np.array([0, 2, 0, 2]), np.array([1, 4, 1, 5]), np.array([60.0, 5.0, 40.0, 9.0]), 3
    )
    assert found.count_C.tolist() == [2, 0, 122]
    assert found.nearest_km_C.tolist() == [40.0, np.inf, 5.0]


@pytest.mark.parametrize(
    ("km", "band"),
    [
        (0, "< 50 km"),
        (49.999, "< 50 km"),
        (50, "< 200 km"),
        (200, "< 1,000 km"),
        (999.9, "< 1,000 km"),
        (1000, "1,000 km or more"),
        (np.inf, "1,000 km or more"),
    ],
)
def test_a_distance_is_told_in_bands_only(km, band):
    assert distance_band(km) == band


def test_distances_are_from_the_middle_to_the_centres_of_cells():
    # One degree of latitude is 111.2 km; level 8 cells reach about 30 km from their centre.
    here = cells((-2.33, 34.83), (-3.0, 34.83))
    near, far = count_here(
        SERENGETI, np.array([0, 1]), here, np.array([1, 1]), 2
    ).nearest_km_C.tolist()
    assert near < 30
    assert abs(far - 0.67 * 111.2) < 30


def test_a_cell_is_measured_from_its_own_middle():
    place = Cell(int(cells((10.0, 20.0), level=4)[0]))
    middle = np.array([place.cell], np.uint64)
    found = count_here(place, np.array([0]), middle, np.array([1]), 1)
    assert found.nearest_km_C[0] == pytest.approx(0, abs=1e-6)


def test_records_on_both_sides_of_the_dateline_count():
    west, east, far = cells((-16.8, 179.9), (-16.8, -179.9), (-16.8, 170.0))
    ids = np.array([west, east, far])
    for longitude in (180.0, -180.0, 179.99, -179.99):
        got = counts_for(Circle(-16.8, longitude, 60.0), ids, np.zeros(3))
        assert got.tolist() == [True, True, False]


def test_a_pole_is_a_place_like_any_other():
    ids = cells((89.9, 0.0), (89.9, 180.0), (89.9, -90.0), (-89.9, 0.0))
    assert counts_for(Circle(90.0, 77.0, 50.0), ids, np.zeros(4)).tolist() == [True] * 3 + [False]


def test_a_record_less_certain_than_the_place_is_small_does_not_count():
    ids = cells((-2.33, 34.83), (-2.33, 34.83))
    got = counts_for(SERENGETI, ids, np.array([90.0, 110.0]))
    assert got.tolist() == [True, False]


def test_records_without_coordinates_never_count():
    assert counts_for(SERENGETI, np.array([0], np.uint64), np.zeros(1)).tolist() == [False]
    assert counts_for(SERENGETI, np.array([], np.uint64), np.zeros(0)).tolist() == []


@given(
    latitude=st.floats(-90, 90),
    longitude=st.floats(-180, 180),
    radius_km=st.floats(1, 3000),
    records=st.lists(
        st.tuples(st.floats(-90, 90), st.floats(-180, 180), st.integers(2, 8), st.floats(0, 4000)),
        max_size=30,
    ),
)
def test_what_counts_is_what_counts_one_by_one(latitude, longitude, radius_km, records):
    place = Circle(latitude, longitude, radius_km)
    ids = [cells((lat, lon), level=level)[0] for lat, lon, level, _ in records]
    unsure = [np.array([record[3]]) for record in records]
    slow = [
        bool(votes(place, np.array([cell]), km)[0]) for cell, km in zip(ids, unsure, strict=True)
    ]
    every_km = np.array([record[3] for record in records])
    assert counts_for(place, np.array(ids, np.uint64), every_km).tolist() == slow


def test_a_child_of_the_place_counts():
    place = Cell(parse_cell("2/1"))
    assert counts_for(place, np.array([parse_cell("2/1033")], np.uint64), np.zeros(1)).all()
