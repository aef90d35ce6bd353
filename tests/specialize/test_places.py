"""Lists of polygons, countries and several places: reasons, months, what is missing, and files."""

import csv
import io
import json

import numpy as np
import pytest
from fakes import CHICAGO, EMPTY_OCEAN, SERENGETI, build_world, records_of

from homerange.errors import ConfigError, PlaceError
from homerange.geo.name_place import name_place
from homerange.geo.place import Country, SpeciesList, Union, combine
from homerange.specialize.specialize import specialize
from homerange.specialize.species import species_at
from homerange.specialize.species_file import (
    COLUMNS,
    MONTHS,
    format_of,
    species_text,
    write_species,
)
from homerange.world.place_package import read_package
from homerange.world.world import open_world

MARA = {"type": "Polygon", "coordinates": [[[34, -3], [36, -3], [36, -1.2], [34, -1.2]]]}


@pytest.fixture
def world(tmp_path):
    return open_world(build_world(tmp_path / "planet", records=8))


def names(table):
    return {row.species for row in table.species}


def world_with(tmp_path, *rows):
    return open_world(build_world(tmp_path / "planet", occurrence=records_of(*rows)))


def bands(table):
    return {row.species: (row.records_band, row.months) for row in table.species}


def reasons(table):
    return {row.species: row.reason for row in table.species}


def test_a_country_has_the_species_recorded_in_it(world):
    table = species_at(world, Country("TZA"))
    assert names(table) == {"Panthera leo", "Loxodonta africana", "Acinonyx jubatus"}
    assert reasons(table)["Acinonyx jubatus"] == "recorded in Tanzania (TZA) (6-20 records)"
    assert {row.distance_band for row in table.species} == {""}
    assert {row.strength for row in table.species} == {3}


def test_several_places_have_the_species_of_each_and_say_where(world):
    place = combine(
        [Country("TZA"), *name_place(geojson=[MARA, MARA | {"x": 1}], at=["0,0"]).areas]
    )
    table = species_at(world, place)
    assert reasons(table)["Panthera leo"] == (
        "recorded in Tanzania (TZA) and in the polygon drawn here (6-20 records)"
    )
    both = species_at(world, combine([Country("TZA"), CHICAGO]))
    assert bands(both) == bands(species_at(world, Country("TZA"))) | bands(
        species_at(world, CHICAGO)
    )
    assert reasons(both)["Procyon lotor"] == (
        "recorded within 100 km of 41.8800, -87.6300 (6-20 records)"
    )


def test_a_record_in_two_places_counts_once(world):
    twice = species_at(
        world, Union((SERENGETI, Country("TZA"), *name_place(geojson=[MARA], at=["0,0"]).areas))
    )
    once = species_at(world, SERENGETI)
    assert bands(twice) == bands(once)


def test_many_places_in_a_reason_are_counted(world):
    rings = [
        {"type": "Feature", "properties": {"name": f"block {i}"}, "geometry": MARA}
        for i in range(5)
    ]
    place = name_place(geojson=[{"type": "FeatureCollection", "features": rings}])
    assert reasons(species_at(world, place))["Panthera leo"] == (
        "recorded in the polygon drawn here: block 0 and in the polygon drawn here: block 1 and in "
        "the polygon drawn here: block 2 and 2 more places (6-20 records)"
    )


def test_a_list_adds_to_an_area_and_needs_no_records_there(world):
    mine = SpeciesList(("Ursus maritimus", "Panthera leo"))
    table = species_at(world, combine([SERENGETI, mine]))
    assert reasons(table)["Ursus maritimus"] == "on your list"
    assert reasons(table)["Panthera leo"].startswith("recorded within 100 km of -2.3300, 34.8300")
    empty = species_at(world, combine([EMPTY_OCEAN, mine]))
    assert names(empty) == set(mine.species)
    assert empty.warnings[0].startswith("few records: 0 species with no records in all")
    with pytest.raises(PlaceError, match="Take a larger place, or name the species yourself"):
        species_at(world, Country("NZL"))


def test_a_polygon_of_1_km_takes_no_record_27_km_uncertain(tmp_path):
    world = world_with(
        tmp_path,
        ("Panthera leo", -2.33, 34.83, 3, 0.5),
        ("Acinonyx jubatus", -2.33, 34.83, 5, 27.0),
    )
    corners = [[34.83, -2.33], [34.845, -2.33], [34.845, -2.315], [34.83, -2.315]]
    small = name_place(geojson=[{"type": "Polygon", "coordinates": [corners]}])
    assert 0.9 < small.radius_km < 1.0
    assert names(species_at(world, small)) == {"Panthera leo"}
    assert names(species_at(world, Country("TZA"))) == {"Panthera leo", "Acinonyx jubatus"}


def with_months(tmp_path, *rows):
    """Rows as in ``records_of``, with the month last."""
    occurrence = records_of(*(row[:-1] for row in rows))
    occurrence.month[:] = np.array([row[-1] for row in rows], np.int8)
    return open_world(build_world(tmp_path / "planet", occurrence=occurrence))


def test_the_month_pattern_is_worked_out_by_hand(tmp_path):
    # January: 2-5 and 6-20, at least 2 + 6 = 8 records: band 3. July: one record. The record
    # without a month counts for the strength only: 8 + 1 + 21 = 30, band 4.
    lion = "Panthera leo"
    world = with_months(
        tmp_path,
        (lion, -2.33, 34.83, 2, 0.0, 1),
        (lion, -2.9, 34.83, 3, 0.0, 1),
        (lion, -2.33, 34.83, 1, 0.0, 7),
        (lion, -2.33, 34.83, 4, 0.0, 0),
        (lion, -7.33, 34.83, 5, 0.0, 9),  # not here
    )
    (row,) = species_at(world, SERENGETI).species
    assert row.months == (3, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0)
    assert row.strength == 4


def test_what_the_world_lacks_is_told_with_its_strength_the_strongest_first(tmp_path):
    world = world_with(
        tmp_path,
        ("Panthera leo", -2.33, 34.83, 1, 0.0),
        ("Aepyceros melampus", -2.33, 34.83, 1, 0.0),
        ("Bos taurus", -2.33, 34.83, 2, 0.0),
        ("Bos taurus", -2.9, 34.83, 3, 0.0),  # 2 + 6: 6-20
        ("Canis lupus", 52.0, 13.0, 5, 0.0),  # not here
    )
    found = [row.to_json() for row in species_at(world, SERENGETI).missing]
    assert found == [
        {"species": "Bos taurus", "strength": 3, "records_band": "6-20"},
        {"species": "Aepyceros melampus", "strength": 1, "records_band": "1"},
    ]


# Law: one path, so the same list for species, get and Python


@pytest.mark.parametrize(
    "place", [Country("TZA"), name_place(geojson=[MARA]), Union((Country("TZA"), CHICAGO))]
)
def test_the_package_of_a_place_has_the_list_of_the_place(world, tmp_path, place):
    made = specialize(world, place, tmp_path / "here.homerange")
    package = read_package(made.path)
    table = species_at(world, place)
    assert package.place["place"] == json.loads(json.dumps(place.to_json()))
    assert [row["species"] for row in package.place["species"]] == [
        r.species for r in table.species
    ]
    assert package.place["species"][0]["months"] == list(table.species[0].months)
    assert made.figures.rows[2].at_place is not None


# Files


def test_the_csv_has_a_row_for_each_species_and_for_what_is_missing(tmp_path):
    world = with_months(
        tmp_path,
        ("Panthera leo", -2.33, 34.83, 2, 0.0, 3),
        ("Bos taurus", -2.33, 34.83, 4, 0.0, 1),
    )
    table = species_at(world, SERENGETI)
    lion, cow = csv.DictReader(io.StringIO(species_text(world, table, "csv")))
    assert tuple(lion) == COLUMNS
    assert (lion["species"], lion["in_world"], lion["strength"]) == ("Panthera leo", "yes", "2")
    assert [lion[month] for month in MONTHS] == [*"002000000000"]
    assert (cow["species"], cow["in_world"], cow["records_band"]) == ("Bos taurus", "no", "21-100")
    assert cow["reason"] == "recorded here, but not in this world"
    assert cow["jan"] == ""


def test_the_json_says_which_world_and_place(world, tmp_path):
    table = species_at(world, Country("TZA"))
    write_species(world, table, tmp_path / "new" / "list.json", "json")
    data = json.loads((tmp_path / "new" / "list.json").read_text())
    assert data["format"] == "homerange-species"
    assert data["world"] == {"name": "planet", "sha256": world.sha256}
    assert data["place"] == {"kind": "country", "country": "TZA", "name": "Tanzania"}
    assert [row["species"] for row in data["species"]] == [row.species for row in table.species]
    assert set(data) == {
        "format", "version", "world", "place", "species", "outcomes", "missing", "warnings",
    }  # fmt: skip


def test_the_format_is_that_of_the_suffix_unless_it_is_said(tmp_path):
    assert format_of(None, tmp_path / "a.CSV") == "csv"
    assert format_of("json", tmp_path / "a.txt") == "json"
    assert format_of("json", None) == "json"
    assert format_of("table", None) is format_of(None, None) is None
    with pytest.raises(ConfigError, match=r"a list is a file of csv or json, not of txt\. Give a"):
        format_of(None, tmp_path / "a.txt")
    with pytest.raises(ConfigError, match="not of table"):
        format_of("table", tmp_path / "a.csv")
    with pytest.raises(ConfigError, match="is a folder; expected the name of a file"):
        format_of("csv", tmp_path)
