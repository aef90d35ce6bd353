"""The species of a place: who is on the list, why, and what is said when there is none."""

import numpy as np
import pytest
from fakes import (
    CHICAGO,
    EMPTY_OCEAN,
    NORTH_POLE,
    SERENGETI,
    TAVEUNI,
    build_world,
    draw_occurrence,
    records_of,
    species_rows,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from homerange.errors import PlaceError, SpeciesError
from homerange.geo.cells import cell_ids, parse_cell
from homerange.geo.place import Cell, Circle, SpeciesList
from homerange.specialize.species import species_at
from homerange.world.tables import COUNT_BAND_FROM, COUNT_BANDS, Occurrence
from homerange.world.world import open_world


@pytest.fixture
def world(tmp_path):
    return open_world(build_world(tmp_path / "planet", outcomes=("blank", "person"), records=8))


def names(table):
    return {row.species for row in table.species}


def world_with(tmp_path, *rows, **arguments):
    return open_world(build_world(tmp_path / "planet", occurrence=records_of(*rows), **arguments))


def test_each_place_has_its_own_species(world):
    assert names(species_at(world, SERENGETI)) == {
        "Panthera leo",
        "Loxodonta africana",
        "Acinonyx jubatus",
    }
    assert names(species_at(world, CHICAGO)) == {
        "Procyon lotor",
        "Odocoileus virginianus",
        "Sciurus carolinensis",
    }


def test_a_place_on_the_dateline_sees_both_of_its_sides(tmp_path):
    west, east = ("Panthera leo", -16.8, 179.9, 1, 0.0), ("Procyon lotor", -16.8, -179.9, 1, 0.0)
    world = world_with(tmp_path, west, east)
    assert names(species_at(world, TAVEUNI)) == {"Panthera leo", "Procyon lotor"}


def test_a_pole_has_species_from_all_longitudes(world):
    table = species_at(world, NORTH_POLE)
    assert names(table) == {"Ursus maritimus"}
    assert table.species[0].records_band == "6-20"  # 6 at each of two places at least: 12


def test_a_cell_is_a_place(world):
    cell = Cell(int(cell_ids(np.array([[-2.33, 34.83]]), 5)[0]))
    assert "Panthera leo" in names(species_at(world, cell))


def test_the_reason_is_worked_out_by_hand(tmp_path):
    # Three rows for lions within the place: bands 1, 2 and 1 -> at least 1 + 2 + 1 = 4 records,
    # which is band 2 (2-5). The nearest cell holds the middle of the place: below 50 km.
    # A fourth row is 5 degrees (555 km) away and does not count.
    lion = "Panthera leo"
    world = world_with(
        tmp_path,
        (lion, -2.33, 34.83, 1, 0.0),
        (lion, -2.33, 35.5, 2, 0.0),
        (lion, -2.9, 34.83, 1, 0.0),
        (lion, -7.33, 34.83, 5, 0.0),
    )
    (row,) = species_at(world, SERENGETI).species
    assert row.to_json() == {
        "species": lion,
        "common_name": "lion",
        "class_index": 0,
        "reason": "recorded within 50 km (2-5 records)",
        "strength": 2,
        "distance_band": "< 50 km",
        "records_band": "2-5",
        "months": [0] * 12,
    }


def test_one_record_is_written_in_the_singular(tmp_path):
    world = world_with(tmp_path, ("Panthera leo", -2.33, 34.83, 1, 0.0))
    assert species_at(world, SERENGETI).species[0].reason == "recorded within 50 km (1 record)"


def test_a_species_that_only_added_records_know_says_so(tmp_path):
    lion = ("Panthera leo", -2.33, 34.83, 3, 0.0)
    cheetah = ("Acinonyx jubatus", -2.33, 34.83, 1, 0.0)
    photos, added = records_of(lion), records_of(lion, cheetah, source="extra")
    both = Occurrence.of(
        {
            name: np.concatenate([getattr(photos, name), getattr(added, name)])
            for name in vars(photos)
        }
    )
    table = species_at(open_world(build_world(tmp_path, occurrence=both)), SERENGETI)
    assert {row.species: row.reason for row in table.species} == {
        # 6-20 twice: at least 6 + 6 records
        "Panthera leo": "recorded within 50 km (6-20 records)",
        "Acinonyx jubatus": "recorded within 50 km (1 record, none a photo of this world)",
    }


def test_added_records_that_are_vaguer_than_the_place_do_not_count(tmp_path):
    vague = records_of(("Panthera leo", -2.33, 34.83, 5, 27.0), source="extra")
    world = open_world(build_world(tmp_path, occurrence=vague))
    with pytest.raises(PlaceError, match="their coordinates are less certain than the place is"):
        species_at(world, Circle(-2.33, 34.83, 1.0))
    assert names(species_at(world, Circle(-2.33, 34.83, 27.0))) == {"Panthera leo"}


def test_a_record_far_from_the_middle_of_a_wide_place_says_so(tmp_path):
    world = world_with(tmp_path, ("Panthera leo", -2.33, 34.83, 3, 0.0))
    (row,) = species_at(world, Circle(10.0, 34.83, 2000.0)).species
    # 12.33 degrees of latitude are 1,371 km.
    assert row.reason == "recorded 1,000 km or more from the middle (6-20 records)"


def test_the_strongest_stand_first_and_labels_follow_the_classes(tmp_path):
    world = world_with(
        tmp_path,
        ("Panthera leo", -2.33, 34.83, 1, 0.0),
        ("Loxodonta africana", -2.33, 34.83, 3, 0.0),
        ("Acinonyx jubatus", -2.33, 34.83, 1, 0.0),
        outcomes=("blank",),
    )
    table = species_at(world, SERENGETI)
    assert [row.species for row in table.species] == [
        "Loxodonta africana",
        "Acinonyx jubatus",
        "Panthera leo",
    ]
    assert table.labels == ("Panthera leo", "blank", "Loxodonta africana", "Acinonyx jubatus")
    assert [world.labels[c] for c in table.class_index_K] == list(table.labels)
    assert table.class_index_K.tolist() == sorted(table.class_index_K.tolist())


def test_outcomes_are_no_species_and_always_stay(world):
    table = species_at(world, SpeciesList(("Panthera leo",)))
    assert table.labels == ("Panthera leo", "blank", "person")
    assert table.outcomes == ("blank", "person")
    assert names(table) == {"Panthera leo"}


def test_records_of_an_outcome_put_nothing_on_the_list(tmp_path):
    world = world_with(
        tmp_path, ("blank", -2.33, 34.83, 5, 0.0), ("Panthera leo", -2.33, 34.83, 1, 0.0)
    )
    table = species_at(world, SERENGETI)
    assert names(table) == {"Panthera leo"}
    assert table.not_in_world == ()
    only_blank = world_with(tmp_path / "blank", ("blank", -2.33, 34.83, 5, 0.0))
    with pytest.raises(PlaceError, match="the world holds no records of places at all"):
        species_at(only_blank, SERENGETI)


def test_species_that_the_world_does_not_know_are_told_apart(tmp_path):
    world = world_with(
        tmp_path, ("Panthera leo", -2.33, 34.83, 1, 0.0), ("Bos taurus", -2.33, 34.83, 4, 0.0)
    )
    table = species_at(world, SERENGETI)
    assert table.not_in_world == ("Bos taurus",)
    assert names(table) == {"Panthera leo"}


def test_the_users_own_list_needs_no_records(world):
    table = species_at(world, SpeciesList(("procyon LOTOR", " Panthera leo ")))
    assert names(table) == {"Procyon lotor", "Panthera leo"}
    assert {row.reason for row in table.species} == {"on your list"}
    assert {row.strength for row in table.species} == {0}
    assert table.warnings == ()


def test_species_can_be_included_and_excluded(world):
    table = species_at(
        world, SERENGETI, include=["Procyon lotor", "Panthera leo"], exclude=["Acinonyx jubatus"]
    )
    reasons = {row.species: row.reason for row in table.species}
    assert reasons == {
        "Panthera leo": "recorded within 50 km (6-20 records)",
        "Loxodonta africana": "recorded within 50 km (6-20 records)",
        "Procyon lotor": "included by you",
    }


def test_excluding_what_is_not_there_is_said(world):
    table = species_at(world, SERENGETI, exclude=["Procyon lotor"])
    assert "excluded, but not on the list anyway: Procyon lotor" in table.warnings


def test_few_records_are_a_warning(tmp_path):
    # Bands 4, 3 and 2 are at least 21 + 6 + 2 = 29 records; one more makes 30.
    lions = [("Panthera leo", -2.33, 34.83, band, 0.0) for band in (4, 3, 2)]
    (warning,) = species_at(world_with(tmp_path / "few", *lions), SERENGETI).warnings
    assert warning.startswith("few records: 1 species with at least 29 records in all, so the list")
    one_more = ("Acinonyx jubatus", -2.33, 34.83, 1, 0.0)
    enough = world_with(tmp_path / "enough", *lions, one_more)
    assert species_at(enough, SERENGETI).warnings == ()


def test_a_place_without_records_says_what_was_looked_for_and_what_to_do(world):
    with pytest.raises(PlaceError) as caught:
        species_at(world, EMPTY_OCEAN)
    assert str(caught.value) == (
        "no record counts for within 100 km of -45.0000, -120.0000: looked for the 8 species of "
        "the world 'planet'; the nearest record of any of them is 1,000 km or more away. Take a "
        "larger --radius-km, or name the species yourself with --species FILE or --include"
    )


def test_the_advice_for_a_cell_is_a_coarser_cell(world, tmp_path):
    with pytest.raises(PlaceError, match=r"Take a coarser cell with --s2, or name the species"):
        species_at(world, Cell(parse_cell("5/0000")))
    few = world_with(tmp_path / "few", ("Panthera leo", -2.33, 34.83, 1, 0.0))
    cell = Cell(int(cell_ids(np.array([[-2.33, 34.83]]), 5)[0]))
    (warning,) = species_at(few, cell).warnings
    assert warning.endswith("or take a coarser cell with --s2")


def test_how_far_the_nearest_record_is_comes_in_bands(world):
    # 2 degrees south of the cheetah at -2.5: 222 km, less the reach of its cell and the radius.
    with pytest.raises(PlaceError, match="any of them is < 200 km away"):
        species_at(world, Circle(-4.8, 34.9, 60.0))


def test_records_too_uncertain_for_a_small_place_are_an_explanation(tmp_path):
    world = world_with(tmp_path, ("Panthera leo", -2.33, 34.83, 4, 150.0))
    with pytest.raises(
        PlaceError, match="there are records, but their coordinates are less certai"
    ):
        species_at(world, Circle(-2.33, 34.83, 5.0))
    assert names(species_at(world, Circle(-2.33, 34.83, 150.0))) == {"Panthera leo"}


def test_a_world_without_any_record_says_so(tmp_path):
    world = world_with(tmp_path)
    with pytest.raises(PlaceError, match="the world holds no records of places at all"):
        species_at(world, SERENGETI)


def test_unknown_species_at_an_otherwise_empty_place_are_named(tmp_path):
    world = world_with(tmp_path, ("Bos taurus", -2.33, 34.83, 4, 0.0))
    with pytest.raises(PlaceError, match="Recorded there, but unknown to the world: Bos taurus"):
        species_at(world, SERENGETI)


def test_including_a_species_makes_a_list_where_nothing_was_recorded(world):
    table = species_at(world, EMPTY_OCEAN, include=["Panthera leo"])
    assert names(table) == {"Panthera leo"}
    assert table.warnings[0].startswith("few records: 0 species with no records in all")


def test_excluding_everything_is_an_error(world):
    everything = [row.species for row in species_at(world, SERENGETI).species]
    with pytest.raises(
        PlaceError, match=r"no species is left .*: 3 found, 3 excluded\. Exclude fe"
    ):
        species_at(world, SERENGETI, exclude=everything)


def test_a_list_of_outcomes_only_is_an_error(world):
    with pytest.raises(PlaceError, match="no species is left for a list of 1 species"):
        species_at(world, SpeciesList(("blank",)))


@pytest.mark.parametrize("where", ["include", "exclude"])
def test_an_unknown_species_is_named_with_near_matches(world, where):
    with pytest.raises(SpeciesError) as caught:
        species_at(world, SERENGETI, **{where: ["Pantera leo", "Loxodonta africana"]})
    assert str(caught.value) == (
        f"--{where}: 1 of 2 names are no species of the world 'planet': 'Pantera leo' (did you "
        "mean Panthera leo?). Expected scientific names among its 10 classes; correct these or "
        "leave them out"
    )


def test_a_common_name_leads_to_the_scientific_one(world):
    with pytest.raises(SpeciesError, match=r"'Polar bear' \(did you mean Ursus maritimus\?\)"):
        species_at(world, SpeciesList(("Polar bear",)))


def test_many_unknown_species_are_counted(world):
    unknown = tuple(f"Xenus number{i}" for i in range(13))
    with pytest.raises(SpeciesError, match=r"13 of 14 names .*'Xenus number9' and 3 more\. Expect"):
        species_at(world, SpeciesList(("Panthera leo", *unknown)))


def test_including_and_excluding_the_same_species_is_an_error(world):
    with pytest.raises(SpeciesError, match="Panthera leo: both included and excluded; choose one"):
        species_at(world, SERENGETI, include=["panthera leo"], exclude=["Panthera leo"])


def test_an_outcome_cannot_be_excluded(world):
    with pytest.raises(SpeciesError, match="person cannot be excluded: outcomes are no species"):
        species_at(world, SERENGETI, exclude=["person"])


def test_a_world_of_one_species_has_a_list(tmp_path):
    world = open_world(build_world(tmp_path, classes=1, outcomes=()))
    assert species_at(world, SERENGETI).labels == ("Panthera leo",)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 999),
    classes=st.integers(2, 40),
    records=st.integers(1, 150),
    latitude=st.sampled_from([-90.0, -2.33, 0.0, 41.88, 90.0]),
    longitude=st.sampled_from([-180.0, -87.63, 34.83, 180.0]),
    radius_km=st.sampled_from([20.0, 800.0, 5000.0, 20000.0]),
)
def test_the_list_is_that_of_counting_records_one_by_one(
    tmp_path_factory, seed, classes, records, latitude, longitude, radius_km
):
    rng = np.random.default_rng(seed)
    occurrence = draw_occurrence(rng, species_rows(classes - 1, rng), records)
    folder = build_world(
        tmp_path_factory.mktemp("world"), classes=classes, seed=seed, occurrence=occurrence
    )
    place = Circle(latitude, longitude, radius_km)
    expected = slow_list(occurrence, place)
    world = open_world(folder)
    known = {name: rest for name, rest in expected.items() if name in world.labels}
    if not known:
        with pytest.raises(PlaceError, match="no record counts"):
            species_at(world, place)
        return
    table = species_at(world, place)
    assert {row.species: row.records_band for row in table.species} == known


def slow_list(occurrence, place):
    """Species and band of records, with a haversine of its own for each record."""
    counts = {}
    for name, cell, band in zip(
        occurrence.species, occurrence.cell, occurrence.count_band, strict=True
    ):
        if overlaps(place, int(cell)):
            counts[name] = counts.get(name, 0) + COUNT_BAND_FROM[band - 1]
    return {
        name: COUNT_BANDS[sum(count >= low for low in COUNT_BAND_FROM) - 1]
        for name, count in counts.items()
    }


def overlaps(place, cell):
    from homerange.geo.cells import cell_centre, cell_corners

    def km(a, b):
        (lat1, lon1), (lat2, lon2) = np.radians(a), np.radians(b)
        h = np.sin((lat2 - lat1) / 2) ** 2
        h += np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
        return 2 * 6371.0088 * np.arcsin(min(1, np.sqrt(h)))

    centre = cell_centre(np.array([cell], np.uint64))[0]
    corners = cell_corners(np.array([cell], np.uint64))[0]
    reach = max(km(centre, corner) for corner in corners)
    middle = (place.latitude_deg, place.longitude_deg)
    return km(centre, middle) - reach - place.radius_km <= 0
