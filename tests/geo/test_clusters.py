"""Clusters of cameras: judged by scipy and scikit-learn, and the six of the real iWildCam file."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster import DBSCAN

from homerange.errors import CoordinateError, PlaceError
from homerange.geo.clusters import cluster_by_distance, name_clusters
from homerange.geo.sphere import EARTH_RADIUS_KM, distance_km, to_latlon

GPS = Path(__file__).parents[3] / "shared/geo/gps_locations.json"
DEGREE_KM = EARTH_RADIUS_KM * np.pi / 180  # of a great circle


def places(seed, count, spread):
    """Cameras in loose groups, some of them on the dateline and near the poles."""
    rng = np.random.default_rng(seed)
    centre_C3 = rng.normal(size=(4, 3))
    centre_C3[0] = [-1, 0, 0.1]
    centre_C3[1] = [0, 0, 1]
    near_N3 = centre_C3[rng.integers(0, 4, count)] + rng.normal(0, spread, (count, 3))
    return to_latlon(near_N3)


def same(a_N, b_N):
    """Whether two numberings divide the places alike."""
    pairs = set(zip(a_N.tolist(), b_N.tolist(), strict=True))
    return len(pairs) == len(set(a_N.tolist())) == len(set(b_N.tolist()))


@given(st.integers(0, 10**6), st.integers(2, 60), st.sampled_from([0.03, 0.2, 1.0]))
def test_clusters_are_those_of_single_linkage_and_of_dbscan(seed, count, spread):
    latlon_N2 = places(seed, count, spread)
    got_N = cluster_by_distance(latlon_N2, km=500)
    apart_km_NN = distance_km(latlon_N2, latlon_N2)
    tree = linkage(apart_km_NN[np.triu_indices(count, 1)], "single")
    assert same(got_N, fcluster(tree, 500, "distance"))
    judge = DBSCAN(eps=500 / EARTH_RADIUS_KM, min_samples=1, metric="haversine")
    assert same(got_N, judge.fit(np.radians(latlon_N2)).labels_)


@given(st.integers(0, 10**6), st.integers(1, 40))
def test_numbers_go_by_size_and_then_by_the_first_row(seed, count):
    got_N = cluster_by_distance(places(seed, count, 0.3))
    size_C = np.bincount(got_N)
    first_C = [got_N.tolist().index(cluster) for cluster in range(len(size_C))]
    order = list(zip((-size_C).tolist(), first_C, strict=True))
    assert order == sorted(order)


def test_a_chain_of_short_steps_is_one_cluster_and_a_longer_step_ends_it():
    # On the equator: steps of 4 degrees = 444.8 km; the last of 4.6 degrees = 511.5 km.
    east_deg = [0, 4, 8, 12, 16.6]
    latlon_N2 = np.array([[0, east] for east in east_deg], np.float64)
    assert DEGREE_KM * 4 < 500 < DEGREE_KM * 4.6
    assert cluster_by_distance(latlon_N2, km=500).tolist() == [0, 0, 0, 0, 1]


def test_a_step_of_exactly_the_length_counts():
    latlon_N2 = np.array([[0.0, 0.0], [0.0, 90.0]])
    quarter_km = float(distance_km(latlon_N2[:1], latlon_N2[1:])[0, 0])
    assert cluster_by_distance(latlon_N2, km=quarter_km).tolist() == [0, 0]
    assert cluster_by_distance(latlon_N2, km=np.nextafter(quarter_km, 0)).tolist() == [0, 1]


def test_the_dateline_and_the_poles_are_places_like_any_other():
    # 179.9 E and 179.9 W are 0.2 degrees apart; 89.9 N is 0.2 degrees from itself across the pole.
    latlon_N2 = np.array([[0, 179.9], [89.9, 10], [0, -179.9], [89.9, -170]])
    assert cluster_by_distance(latlon_N2, km=30).tolist() == [0, 1, 0, 1]


def test_no_places_have_no_clusters():
    assert cluster_by_distance(np.empty((0, 2))).tolist() == []
    assert name_clusters(np.empty((0, 2)), np.empty(0, int), {"Kenya": (0.0, 37.0)}) == []


@pytest.mark.skipif(not GPS.is_file(), reason="the real GPS file of iWildCam is not here")
@pytest.mark.parametrize("km", [200, 500, 800])
def test_the_real_cameras_of_iwildcam_are_six_clusters(km):
    content = json.loads(GPS.read_text())
    latlon_N2 = np.array([[place["latitude"], place["longitude"]] for place in content.values()])
    cluster_N = cluster_by_distance(latlon_N2, km=km)
    assert np.bincount(cluster_N).tolist() == [128, 51, 35, 20, 11, 1]
    centre_C2 = [latlon_N2[cluster_N == cluster].mean(axis=0) for cluster in range(6)]
    want_C2 = [[0.39, 36.87], [17.44, -89.33], [-2.56, 29.39]]
    want_C2 += [[-1.88, -76.76], [-19.82, -58.62], [20.12, 103.17]]
    np.testing.assert_allclose(centre_C2, want_C2, atol=0.005)


def test_a_name_counts_where_its_place_would_join_the_cluster():
    # The equator: cameras at 0 and 4 E; 8.4 E is 4.4 degrees = 489 km from the second.
    latlon_N2 = np.array([[0, 0], [0, 4], [50, 50]], np.float64)
    cluster_N = np.array([0, 0, 1])
    assert name_clusters(latlon_N2, cluster_N, {"east": (0, 8.4)}) == ["east", "cluster 1"]
    assert name_clusters(latlon_N2, cluster_N, {"east": (0, 8.6)}) == ["cluster 0", "cluster 1"]
    both = {"far": (0, 8.4), "near": (0, -1)}
    assert name_clusters(latlon_N2, cluster_N, both)[0] == "near"
    assert name_clusters(latlon_N2, cluster_N, {}) == ["cluster 0", "cluster 1"]


@pytest.mark.parametrize("km", [-1.0, np.nan])
def test_a_step_that_is_no_length_is_refused(km):
    with pytest.raises(PlaceError) as caught:
        cluster_by_distance(np.zeros((1, 2)), km=km)
    assert str(caught.value) == f"a step between places cannot be {km} km; expected 0 km or more."


def test_coordinates_that_are_missing_are_refused():
    with pytest.raises(CoordinateError, match=r"row 1: latitude nan and longitude nan are not a"):
        cluster_by_distance(np.array([[0, 0], [np.nan, np.nan]]))
