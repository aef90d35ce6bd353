"""How far outside the place of a package a photo was taken, for every kind of place."""

import pytest

from homerange.geo.place import Circle, Country, Union
from homerange.run.whereabouts import BANDS, Whereabouts
from homerange.world.place_package import read_package

NAIROBI, ARUSHA, LONDON = (-1.29, 36.82), (-3.37, 36.68), (51.5, -0.12)
KENYA = Country("KEN")


@pytest.fixture
def whereabouts(tmp_path, make_package):
    def of(place):
        path = make_package(tmp_path / "here.homerange", place=place.to_json())
        return Whereabouts(read_package(path))

    return of


def test_a_photo_in_the_country_of_the_package_is_not_outside(whereabouts):
    kenya = whereabouts(KENYA)
    assert BANDS[kenya.outside(*NAIROBI)] == "less than 50 km"
    assert BANDS[kenya.outside(*ARUSHA)] == "50 to 200 km"
    assert BANDS[kenya.outside(*LONDON)] == "more than 1,000 km"


def test_of_several_places_the_nearest_counts(whereabouts):
    both = whereabouts(Union((KENYA, Circle(*LONDON, 50.0))))
    assert both.outside(*LONDON) == both.outside(*NAIROBI) == 0
    assert both.middle is None


def test_the_middle_of_a_country_lies_in_it_and_its_radius_reaches_the_border(whereabouts):
    latitude_deg, longitude_deg, radius_km = whereabouts(KENYA).middle
    assert -4.7 < latitude_deg < 5.1
    assert 33.9 < longitude_deg < 42.0
    assert 500 < radius_km < 800


def test_a_photo_without_coordinates_is_nowhere(whereabouts):
    assert whereabouts(KENYA).outside(None, 36.8) is None
