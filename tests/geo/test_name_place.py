"""Places from the words of the command line, alone and together."""

import json

import pytest

from homerange.errors import PlaceError
from homerange.geo.cells import parse_cell
from homerange.geo.name_place import name_place
from homerange.geo.place import (
    Cell,
    Circle,
    Country,
    SpeciesList,
    Union,
    areas_of,
    combine,
    place_from_json,
)

SQUARE = {"type": "Polygon", "coordinates": [[[34, -3], [36, -3], [36, -1], [34, -1]]]}


def test_one_name_is_that_place():
    assert name_place(at=["-2.33,34.83"]) == Circle(-2.33, 34.83, 100.0)
    assert name_place(s2=["4c"]) == Cell(parse_cell("2/1"))
    assert name_place(country=["kenya"]) == Country("KEN")
    assert name_place(geojson=[SQUARE]).describe() == "the polygon drawn here"


def test_all_that_is_named_is_taken_together(tmp_path):
    (tmp_path / "names.txt").write_text("Panthera leo\n")
    (tmp_path / "a.geojson").write_text(json.dumps(SQUARE))
    place = name_place(
        at=["0,10"],
        s2=["4c"],
        country=["KEN"],
        geojson=[tmp_path / "a.geojson"],
        species=[tmp_path / "names.txt"],
    )
    assert place.describe() == (
        "within 100 km of 0.0000, 10.0000 and S2 cell 2/1 (4c) and Kenya (KEN) and 2 more"
    )
    assert [type(one).__name__ for one in place.parts] == [
        "Circle", "Cell", "Country", "Polygon", "SpeciesList",
    ]  # fmt: skip
    assert areas_of(place) == place.areas
    data = place.to_json()
    assert data["kind"] == "union"
    assert place_from_json(json.loads(json.dumps(data))) == place


def test_one_radius_is_for_all_points_and_several_are_in_their_order():
    both = name_place(at=["0,10", "0,20"], radius_km=[50])
    assert [one.radius_km for one in both.areas] == [50, 50]
    both = name_place(at=["0,10", "0,20"], radius_km=[50, 7])
    assert [one.radius_km for one in both.areas] == [50, 7]
    with pytest.raises(PlaceError, match="2 radii for 3 points; expected one for all, or one for"):
        name_place(at=["0,10", "0,20", "0,30"], radius_km=[1, 2])


def test_what_is_named_twice_counts_once_and_lists_become_one():
    assert name_place(country=["KEN", "Kenya", "ke"]) == Country("KEN")
    lists = SpeciesList(("Panthera leo", "Gazella")), SpeciesList(("PANTHERA LEO", "Lycaon pictus"))
    assert combine(lists) == SpeciesList(("Panthera leo", "Gazella", "Lycaon pictus"))
    assert areas_of(combine(lists)) == ()


def test_nothing_is_no_place():
    with pytest.raises(PlaceError, match="no place is named; expected at least one"):
        combine([])
    with pytest.raises(PlaceError, match="a union of 1 areas and 0 lists of species is none"):
        Union((Country("KEN"),))
    with pytest.raises(PlaceError, match="a union of 0 areas and 1 lists of species is none"):
        Union((), SpeciesList(("Gazella",)))


@pytest.mark.parametrize("kind", [Country("KEN"), name_place(geojson=[SQUARE])])
def test_new_kinds_of_place_are_written_and_read_again(kind):
    assert place_from_json(json.loads(json.dumps(kind.to_json()))) == kind


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "union", "places": [Union((Country("KEN"), Country("TZA"))).to_json()] * 2},
        {"kind": "union", "places": ["KEN", "TZA"]},
        {"kind": "union", "places": [Country("KEN").to_json()], "x": 1},
        {"kind": "union", "places": [SpeciesList(("a b",)).to_json()] * 2},
        {"kind": "country", "country": "KEN"},
        {"kind": "polygon", "name": "x"},
    ],
)
def test_a_place_that_is_not_as_written_is_refused(data):
    with pytest.raises(PlaceError, match=r"is not a place\. Expected kind circle"):
        place_from_json(data)
