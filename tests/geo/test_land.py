"""The outlines of the land: known places, known areas, a slow version, and the message."""

import numpy as np
import pytest

from homerange.errors import ConfigError
from homerange.geo.land import land_points, outlines

LAND = {
    "Nairobi": (-1.29, 36.8), "Denver": (39.7, -105.0), "Alice Springs": (-23.7, 133.9),
    "Chukotka, beyond the dateline": (66.5, -173.5), "South Pole": (-89.0, 0.0),
    "Brasilia": (-15.8, -47.9), "the middle of Greenland": (72.0, -40.0),
}  # fmt: skip
WATER = {
    "Caspian Sea": (41.5, 50.5), "Black Sea": (43.0, 34.0), "Hudson Bay": (60.0, -85.0),
    "North Pole": (89.0, 0.0), "Gulf of Guinea": (0.0, 0.0), "Mediterranean": (34.0, 18.0),
    "the Pacific at the dateline": (10.0, 179.9),
}  # fmt: skip


def inside(latitude, longitude):
    """Count, edge by edge, how often a line to the east leaves an outline."""
    crossings = 0
    for corner_V2 in outlines():
        for (lat0, lon0), (lat1, lon1) in zip(corner_V2, np.roll(corner_V2, -1, 0), strict=True):
            if (lat0 > latitude) != (lat1 > latitude):
                at = lon0 + (latitude - lat0) / (lat1 - lat0) * (lon1 - lon0)
                crossings += longitude < at
    return crossings % 2 == 1


@pytest.mark.parametrize(("name", "there"), [*LAND.items(), *WATER.items()])
def test_known_places_are_on_the_side_where_they_are(name, there):
    assert inside(*there) == (name in LAND)


def test_points_are_those_of_the_grid_that_a_slow_version_finds_on_land():
    latlon_P2, _ = land_points(20.0)
    grid = [
        (latitude, longitude)
        for latitude in np.arange(-80.0, 90, 20) for longitude in np.arange(-170.0, 180, 20)
    ]  # fmt: skip
    assert sorted(map(tuple, latlon_P2)) == sorted(one for one in grid if inside(*one))


def test_land_is_as_large_as_it_is():
    # 148.9 million of 510.1 million square kilometres; of it Africa has 20 %, Antarctica 9 %.
    latlon_P2, share_P = land_points(1.0)
    everywhere = np.cos(np.radians(np.arange(-89.5, 90))).sum() * 360
    whole = np.cos(np.radians(latlon_P2[:, 0])).sum() / everywhere
    assert whole == pytest.approx(148.9 / 510.1, abs=0.01)
    assert share_P.sum() == pytest.approx(1)
    assert share_P[latlon_P2[:, 0] < -60].sum() == pytest.approx(0.09, abs=0.01)
    # Of two points the one at 60 degrees stands for half as much as that on the equator.
    near_0, near_60 = (np.abs(latlon_P2[:, 0] - at).argmin() for at in (0.5, 60.5))
    cosines = np.cos(np.radians([0.5, 60.5]))
    assert share_P[near_60] / share_P[near_0] == pytest.approx(cosines[1] / cosines[0])


def test_outlines_stay_on_the_map():
    corners = np.concatenate(outlines())
    assert (np.abs(corners) <= [90, 180]).all()
    assert len(outlines()) > 100


@pytest.mark.parametrize("step_deg", [0.0, -1.0, 0.7])
def test_a_step_that_does_not_divide_the_half_circle_is_refused(step_deg):
    with pytest.raises(ConfigError, match=f"step_deg is {step_deg}; expected one that divides 180"):
        land_points(step_deg)
