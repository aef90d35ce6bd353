"""Space2Vec: numbers worked out by hand and by TorchSpatial, laws, and messages."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homerange.errors import ConfigError, CoordinateError
from homerange.geo.space2vec import Space2Vec

MPALA = np.array([[0.39, 36.87]])  # Kenya; latitude, longitude


def test_the_grid_gives_the_numbers_of_torchspatial():
    # lon 36.87, lat 0.39, four scales: what their code gives, longitude first, sin before cos.
    found = Space2Vec(scales=4, min_radius_deg=0.005, max_radius_deg=360).encode(MPALA)
    expected = [-0.63038, -0.776287, 0.969525, 0.244993, -0.899713, -0.436481, 0.102238, 0.99476]
    expected += [0.513978, -0.857803, 0.954108, -0.299461, 0.045053, 0.998985, 0.001083, 0.999999]
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


def test_128_scales_sum_to_the_number_of_torchspatial():
    assert Space2Vec().encode(MPALA).sum(dtype=np.float64) == pytest.approx(122.609925, abs=1e-4)


def test_radii_form_a_geometric_series_from_the_smallest_to_the_largest():
    found = 1 / Space2Vec(scales=4, min_radius_deg=0.005, max_radius_deg=360).frequency_S
    np.testing.assert_allclose(found, [0.005, 0.208008382, 8.65349742, 360], rtol=1e-8)


def test_theory_looks_along_three_directions_scale_by_scale():
    # lon 2, lat 1; radii 1 and 4. Along (1, 0): 2. Along (-1/2, +-sqrt(3)/2), as (lon, lat):
    # -1 +- 0.8660254. The second scale is a quarter of each.
    found = Space2Vec(encoding="theory", scales=2, min_radius_deg=1, max_radius_deg=4)
    along = [2.0, -1 + 0.8660254, -1 - 0.8660254]
    angles = [*along, *(angle / 4 for angle in along)]
    expected = [f(angle) for angle in angles for f in (math.sin, math.cos)]
    np.testing.assert_allclose(found.encode(np.array([[1.0, 2.0]]))[0], expected, atol=1e-6)


def test_raw_is_longitude_and_latitude_as_shares_of_their_range():
    found = Space2Vec(encoding="raw")
    assert found.encode(np.array([[45.0, -90.0], [-90.0, 180.0]])).tolist() == [
        [-0.5, 0.5],
        [1, -1],
    ]
    assert found.size == 2


def test_nerf_frequencies_are_pi_times_powers_of_two():
    found = Space2Vec(frequencies="nerf", scales=3).frequency_S
    np.testing.assert_allclose(found, [3.14159265, 6.28318531, 12.56637061])


def test_random_frequencies_are_even_below_the_largest_radius_and_follow_the_seed():
    found = Space2Vec(frequencies="random", scales=2000, max_radius_deg=10, seed=3)
    assert 0 <= found.frequency_S.min() < 0.1
    assert 9.9 < found.frequency_S.max() < 10
    assert found.frequency_S.mean() == pytest.approx(5, abs=0.2)  # standard error 0.065
    again = Space2Vec(frequencies="random", scales=2000, max_radius_deg=10, seed=3)
    np.testing.assert_array_equal(found.frequency_S, again.frequency_S)
    other = Space2Vec(frequencies="random", scales=2000, max_radius_deg=10, seed=4)
    assert (found.frequency_S != other.frequency_S).all()


@given(
    st.floats(-90, 90), st.floats(-180, 180), st.integers(2, 8), st.sampled_from(["grid", "theory"])
)
def test_sin_and_cos_of_one_angle_have_unit_length(latitude, longitude, scales, encoding):
    space2vec = Space2Vec(encoding=encoding, scales=scales)
    found = space2vec.encode(np.array([[latitude, longitude]]))
    assert found.shape == (1, space2vec.size) == (1, {"grid": 4, "theory": 6}[encoding] * scales)
    np.testing.assert_allclose((found.reshape(-1, 2) ** 2).sum(axis=1), 1, atol=1e-6)


def test_a_place_that_is_none_is_refused():
    with pytest.raises(CoordinateError, match=r"row 1: latitude 151.2 and longitude -33.9"):
        Space2Vec().encode(np.array([[10.0, 20.0], [151.2, -33.9]]))
    with pytest.raises(CoordinateError, match="latitude nan"):
        Space2Vec().encode(np.array([[np.nan, 0.0]]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scales": 1}, "scales is 1; expected 2 or more"),
        (
            {"min_radius_deg": 0.0},
            "min_radius_deg is 0.0 and max_radius_deg is 360.0; ",
        ),
        ({"max_radius_deg": 0.001}, "the smaller first"),
    ],
)
def test_an_encoding_that_cannot_be_computed_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Space2Vec(**wrong)
