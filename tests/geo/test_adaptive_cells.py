"""Cells by the number of photos: the laws of the splitting, a slow version of it, figure 2."""

from collections import Counter

import numpy as np
import pytest
import s2geometry as s2
from hypothesis import given
from hypothesis import strategies as st

from homerange.errors import ConfigError, CoordinateError
from homerange.geo.adaptive_cells import adaptive_cells
from homerange.geo.cells import to_path
from homerange.geo.sphere import to_latlon

BOSTON, LONDON, NAIROBI, LIMA = (42.36, -71.06), (51.5, -0.12), (-1.29, 36.8), (-12.0, -77.0)


def photos(seed, count, repeated):
    """Photos all over the Earth and in a crowd; some at the very same spot."""
    rng = np.random.default_rng(seed)
    everywhere_N3 = rng.normal(size=(count, 3))
    crowd_N3 = np.array([0.3, -0.7, 0.6]) + rng.normal(0, 10.0 ** -rng.integers(1, 7), (count, 3))
    latlon_N2 = to_latlon(np.where(rng.random((count, 1)) < 0.5, everywhere_N3, crowd_N3))
    latlon_N2[rng.random(count) < repeated] = latlon_N2[0]
    return latlon_N2


def judge_leaves(latlon_N2):
    """The finest cell of each photo, by the S2 library."""
    points = (s2.S2LatLng.FromDegrees(lat, lon) for lat, lon in latlon_N2.tolist())
    return [s2.S2CellId(point) for point in points]


def split(cell, leaves, n_max):
    """The slow version: the cell itself, or what its four children give."""
    inside = [i for i, leaf in enumerate(leaves) if cell.contains(leaf)]
    if len(inside) <= n_max or cell.is_leaf():
        return {i: cell.id() for i in inside}
    found = {}
    for child in range(4):
        found |= split(cell.child(child), leaves, n_max)
    return found


CASES = given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 60),
    repeated=st.sampled_from([0.0, 0.3]),
    n_max=st.integers(1, 12),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)


@CASES
def test_the_cells_are_those_of_the_slow_version(seed, count, repeated, n_max, share):
    latlon_N2 = photos(seed, count, repeated)
    leaves = judge_leaves(latlon_N2)
    want = {}
    for face in range(6):
        want |= split(s2.S2CellId.FromFacePosLevel(face, 0, 0), leaves, n_max)
    got = adaptive_cells(latlon_N2, n_max=n_max, n_min=share * n_max)
    assert got.cell_N.tolist() == [want[i] for i in range(count)]
    per_cell = Counter(want.values())
    assert got.kept_N.tolist() == [per_cell[want[i]] >= share * n_max for i in range(count)]


@CASES
def test_the_laws_of_the_splitting(seed, count, repeated, n_max, share):
    latlon_N2 = photos(seed, count, repeated)
    leaves = judge_leaves(latlon_N2)
    got = adaptive_cells(latlon_N2, n_max=n_max, n_min=share * n_max)
    cells = {int(cell): s2.S2CellId(int(cell)) for cell in got.cell_N}
    # Every photo lies in its cell, and the cells do not overlap.
    for leaf, cell in zip(leaves, got.cell_N.tolist(), strict=True):
        assert cells[cell].contains(leaf)
        assert sum(one.contains(leaf) for one in cells.values()) == 1
    for number, cell in cells.items():
        rows_N = got.cell_N == number
        # At most N_max photos a cell, unless it cannot be divided.
        assert rows_N.sum() <= n_max or cell.is_leaf()
        # It is as large as may be: the cell above it has too many.
        assert cell.is_face() or sum(map(cell.parent().contains, leaves)) > n_max
        # All of a cell is kept, or nothing; a kept cell has at least N_min.
        assert got.kept_N[rows_N].all() == (rows_N.sum() >= share * n_max)
        assert got.kept_N[rows_N].any() == got.kept_N[rows_N].all()


@CASES
def test_the_order_of_the_photos_does_not_matter(seed, count, repeated, n_max, share):
    latlon_N2 = photos(seed, count, repeated)
    order_N = np.random.default_rng(seed).permutation(count)
    got = adaptive_cells(latlon_N2, n_max=n_max, n_min=share * n_max)
    other = adaptive_cells(latlon_N2[order_N], n_max=n_max, n_min=share * n_max)
    assert np.array_equal(got.cell_N[order_N], other.cell_N)
    assert np.array_equal(got.kept_N[order_N], other.kept_N)


def test_the_cells_of_figure_2_come_out_of_photos_as_many_as_in_table_1():
    # Table 1 in hundreds: 8766, 6617, 4550, 1852, 695 and 272 photos are at most N_max = 10,000.
    # The east and the west of the USA have more, so their cells 4/1 and 4/0 are divided further.
    table_1 = [
        ("2/1", 88, (60.0, -60.0)),  # Labrador
        ("2/2", 66, (47.6, -122.3)),
        ("2/0", 46, (52.5, 13.4)),  # Berlin; London, at 0.1 W, lies in 2/1
        ("0/", 19, (41.9, 12.5)),
        ("1/", 7, (28.6, 77.2)),
        ("4/2", 3, LIMA),
    ]
    usa = [("4/1", 150, (40.0, -75.0)), ("4/0", 120, (34.0, -118.2))]
    rng = np.random.default_rng(0)
    rows = [(name, place) for name, count, place in table_1 + usa for _ in range(count)]
    latlon_N2 = np.array([place for _, place in rows]) + rng.uniform(-1, 1, (len(rows), 2))
    found = adaptive_cells(latlon_N2, n_max=100)
    cells = [to_path(cell) for cell in found.cell_N]
    assert found.kept_N[:229].all()
    assert cells[:229] == [name for name, _ in rows[:229]]
    assert {cell[:3] for cell in cells[229:]} == {"4/1", "4/0"}
    assert {"4/1", "4/0"}.isdisjoint(cells)


def test_full_cells_are_divided_and_small_ones_left_out_by_hand():
    # Five photos on face 4 are more than 3: Boston lies in 4/1, Lima in 4/2. London is alone on
    # face 2, and one photo is fewer than two.
    latlon_N2 = np.array([BOSTON, BOSTON, LIMA, LONDON, LIMA, BOSTON])
    found = adaptive_cells(latlon_N2, n_max=3, n_min=2)
    assert [to_path(cell) for cell in found.cell_N] == ["4/1", "4/1", "4/2", "2/", "4/2", "4/1"]
    assert found.kept_N.tolist() == [True, True, True, False, True, True]


def test_one_more_than_n_max_divides_and_exactly_n_max_does_not():
    three = np.array([BOSTON, BOSTON, LIMA])
    assert {to_path(cell) for cell in adaptive_cells(three, n_max=3).cell_N} == {"4/"}
    assert {to_path(cell) for cell in adaptive_cells(three, n_max=2).cell_N} == {"4/1", "4/2"}


def test_more_photos_at_one_spot_than_n_max_stay_in_one_cell_of_the_finest_level():
    found = adaptive_cells(np.array([NAIROBI] * 3 + [LONDON]), n_max=2)
    assert len(set(found.cell_N[:3].tolist())) == 1
    assert len(to_path(found.cell_N[0])) == len("0/") + 30
    assert to_path(found.cell_N[3]) == "2/"


@pytest.mark.parametrize(("photos_there", "kept"), [(4, False), (5, True)])
def test_without_n_min_a_cell_needs_a_hundredth_of_n_max(photos_there, kept):
    found = adaptive_cells(np.array([LONDON] * photos_there), n_max=500)
    assert found.kept_N.all() == kept


def test_no_photos_have_no_cells():
    found = adaptive_cells(np.empty((0, 2)), n_max=10)
    assert (found.cell_N.tolist(), found.kept_N.tolist()) == ([], [])


@pytest.mark.parametrize(
    ("n_max", "n_min", "message"),
    [
        (0, None, "n_max is 0; expected at least 1 photo in a cell"),
        (10, -1, "n_min is -1; expected 0 to n_max, which is 10"),
        (1000, 1001, "n_min is 1001; expected 0 to n_max, which is 1,000"),
    ],
)
def test_numbers_that_cannot_work_are_refused(n_max, n_min, message):
    with pytest.raises(ConfigError) as caught:
        adaptive_cells(np.array([LONDON]), n_max=n_max, n_min=n_min)
    assert str(caught.value) == message


def test_photos_without_coordinates_are_refused():
    with pytest.raises(CoordinateError, match=r"row 0: latitude nan and longitude 0.0 are not"):
        adaptive_cells(np.array([[np.nan, 0.0]]), n_max=1)
