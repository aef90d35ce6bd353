"""Cells that stand for records: coarse by level and uncertainty, and places drawn inside them."""

import numpy as np
import pytest

from homerange.errors import CoordinateError
from homerange.geo.cells import cell_ids, cell_level, mean_edge_km, random_places
from homerange.geo.coarse import coarse_cells

BOSTON = [42.36, -71.06]


def test_a_vague_record_becomes_a_larger_cell_and_none_is_finer_than_asked():
    km = np.array([0.0, 36.0, 37.0, 73.0, 30_000.0])
    found = coarse_cells(np.array([BOSTON] * 5), km)
    assert cell_level(found).tolist() == [8, 8, 7, 6, 0]
    finer = coarse_cells(np.array([BOSTON] * 5), km, finest=10)
    assert cell_level(finer).tolist() == [10, 8, 7, 6, 0]
    assert mean_edge_km(10) < 36 < mean_edge_km(8)
    assert found[0] == cell_ids(np.array([BOSTON]), 8)[0]


def test_no_coordinates_give_cell_0_and_wrong_ones_are_refused():
    places = np.array([[np.nan, np.nan], BOSTON, [42.36, np.nan]])
    assert (coarse_cells(places, np.zeros(3)) != 0).tolist() == [False, True, False]
    assert coarse_cells(np.empty((0, 2)), np.empty(0)).tolist() == []
    with pytest.raises(CoordinateError, match="latitude 142"):
        coarse_cells(np.array([[142.36, -71.06]]), np.zeros(1))


@pytest.mark.parametrize("level", [0, 3, 8, 20])
def test_a_place_drawn_in_a_cell_lies_in_it_and_anywhere_in_it(level):
    cell = cell_ids(np.array([BOSTON]), level)
    latlon_N2 = random_places(np.repeat(cell, 500), np.random.default_rng(0))
    assert (cell_ids(latlon_N2, level) == cell).all()
    quarters, counts = np.unique(cell_ids(latlon_N2, level + 1), return_counts=True)
    assert len(quarters) == 4
    assert counts.min() > 90  # 125 each; five standard deviations are 48
