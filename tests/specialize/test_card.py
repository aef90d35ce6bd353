"""The model card: what it must say, and what it must not claim."""

import dataclasses
import re

import pytest
from fakes import CHICAGO, SERENGETI, build_world

from homerange.geo.place import SpeciesList
from homerange.specialize.card import model_card
from homerange.specialize.cut import cut_world
from homerange.specialize.figures import measure
from homerange.specialize.species import MissingSpecies, species_at
from homerange.world.world import open_world


def card_of(folder, place, **arguments):
    world = open_world(build_world(folder, **arguments))
    table = species_at(world, place)
    figures = measure(world, table, cut_world(world, table.class_index_K))
    return model_card("somewhere", world, table, figures), figures


def cells(card, first):
    """The cells of the table line that begins with ``first``."""
    (line,) = [line for line in card.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture
def card(tmp_path):
    return card_of(tmp_path, SERENGETI, test_photos=40)[0]


def test_the_card_begins_with_the_warning(card):
    title, warning = card.split("\n\n")[:2]
    assert title == "# somewhere"
    assert warning.startswith("**Not for legal, safety or anti-poaching decisions alone.**")


def test_the_three_rows_give_the_numbers_that_were_measured(tmp_path):
    card, figures = card_of(tmp_path, SERENGETI, test_photos=40)
    for row in figures.rows:
        shown = cells(card, row.name)
        assert shown[1] == f"{row.size.bytes / 1e6:,.2f}"
        assert shown[2] == f"{row.size.parameters:,}"
        share, low, high = (float(x) for x in re.findall(r"([\d.]+)%", shown[4]))
        assert share == round(100 * row.on_species.top1, 1)
        assert low < share < high
        assert "120 photos" in shown[4]


def test_few_photos_give_no_number(tmp_path):
    card, _ = card_of(tmp_path, SERENGETI, test_photos=9)
    for name in ("dense world", "dense world, masked to the list", "this package"):
        shown = cells(card, name)
        assert shown[4:] == ["not measured here (27 photos)", "-", "not measured here (27 photos)"]
    assert not re.search(r"\d%.*photos\)", card)


def test_a_place_without_photos_of_its_own_says_so(tmp_path):
    card, _ = card_of(tmp_path, SpeciesList(("Panthera leo",)), test_photos=40)
    assert cells(card, "this package")[-1] == "no photos"


def test_each_lever_stands_apart(card):
    assert cells(card, "class rows cut")[1:] == [
        "10 to 4 classes",
        cells(card, "class rows cut")[2],
        "-54",  # 6 classes of 8 features and a bias
        "-0.000 M",
    ]
    for lever in ("experts dropped", "fewer bits", "smaller photos"):
        assert cells(card, lever) == [lever, "not used in this package", "", "", ""]


def test_every_species_stands_with_its_reason_and_its_test_photos(tmp_path):
    card, figures = card_of(tmp_path, SERENGETI, test_photos=40)
    assert len(figures.species) == 3
    for judged in figures.species:
        shown = cells(card, f"*{judged.species}*")
        assert shown[2].startswith("recorded within 50 km (")
        assert shown[3] == f"{judged.correct} of 40"
    assert "Beside them: blank." in card


def test_the_card_tells_sources_and_licences(card):
    assert "Sources: fake photos (57 photos)" in card
    assert "Licences of the photos: CC0-1.0 (57 photos)" in card
    assert "Licence of these weights, computed from those of the photos: CC0-1.0." in card


def test_the_limits_name_what_the_world_does_not_know(tmp_path):
    card, _ = card_of(tmp_path / "a", CHICAGO, outcomes=())
    assert "does not know people" in card
    assert "does not know empty photos" in card
    card, _ = card_of(tmp_path / "b", CHICAGO, outcomes=("blank", "person"))
    assert "does not know people" not in card
    assert "does not know empty photos" not in card


def test_warnings_and_species_without_photos_are_limits(tmp_path):
    card, _ = card_of(tmp_path, SERENGETI, test_photos=0)
    limits = card.split("## Limits")[1]
    assert "- few records: 3 species with at least 8 records" in limits
    assert "- 3 of 3 species have no test photo at all." in limits
    assert "Confidences are not calibrated." in limits
    assert "photos from elsewhere" in limits


def test_the_card_says_how_to_run_the_package(card):
    assert "homerange predict PHOTOS --model somewhere.homerange -o results.json" in card


def missing(*names):
    return tuple(MissingSpecies(species=name, strength=1, records_band="1") for name in names)


def test_species_unknown_to_the_world_are_told(tmp_path):
    world = open_world(build_world(tmp_path))
    table = species_at(world, SERENGETI)
    figures = measure(world, table, cut_world(world, table.class_index_K))
    table = dataclasses.replace(table, missing=missing("Bos taurus"))
    card = model_card("somewhere", world, table, figures)
    assert "unknown to the world, so never answered: Bos taurus." in card


def test_a_long_list_of_species_unknown_to_the_world_is_counted_at_its_end(tmp_path):
    world = open_world(build_world(tmp_path))
    table = species_at(world, SERENGETI)
    figures = measure(world, table, cut_world(world, table.class_index_K))
    unknown = missing(*(f"Fictus {i:03}" for i in range(345)))
    card = model_card("somewhere", world, dataclasses.replace(table, missing=unknown), figures)
    assert "so never answered: Fictus 000, Fictus 001," in card
    assert "Fictus 019 and 325 more." in card


def test_added_records_are_not_called_photos(tmp_path):
    world = open_world(build_world(tmp_path))
    description = world.description
    licence = dataclasses.replace(
        description.licence, rows={"CC0-1.0": 57, "occurrences: CC_BY_NC_4_0": 1234}
    )
    sources = {"fake photos": 57, "occurrences: GBIF 0012345": 1234}
    provenance = dataclasses.replace(description.provenance, sources=sources)
    description = dataclasses.replace(description, licence=licence, provenance=provenance)
    world = dataclasses.replace(world, description=description)
    table = species_at(world, SERENGETI)
    figures = measure(world, table, cut_world(world, table.class_index_K))
    card = model_card("somewhere", world, table, figures)
    assert "Sources: fake photos (57 photos); GBIF 0012345 (1,234 records of species)." in card
    assert "CC0-1.0 (57 photos); CC_BY_NC_4_0 (1,234 records of species)." in card


def test_names_cannot_break_out_of_a_table(tmp_path):
    world = open_world(build_world(tmp_path))
    table = species_at(world, SERENGETI)
    figures = measure(world, table, cut_world(world, table.class_index_K))
    rows = tuple(
        dataclasses.replace(row, common_name="big | cat\n\n# Heading") for row in table.species
    )
    card = model_card("somewhere", world, dataclasses.replace(table, species=rows), figures)
    assert "\n# Heading" not in card
    assert cells(card, "*Panthera leo*")[1] == "big / cat # Heading"
