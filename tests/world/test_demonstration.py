"""The world that comes with the package: small, whole, and used where no other is named."""

from pathlib import Path

from click.testing import CliRunner

from homerange.cli import main
from homerange.geo.countries import find_country
from homerange.specialize.species import species_at
from homerange.world.demonstration import DEMONSTRATION
from homerange.world.world import open_world


def run(*words):
    return CliRunner().invoke(main, list(map(str, words)))


def test_it_is_whole_and_weighs_at_most_6_mb():
    world = open_world(DEMONSTRATION)
    world.verify()
    assert sum(path.stat().st_size for path in DEMONSTRATION.iterdir()) <= 6_000_000


def test_its_card_says_what_it_is_for_and_where_its_photos_came_from():
    card = (DEMONSTRATION.parent / "CARD.md").read_text()
    world = open_world(DEMONSTRATION)
    assert "demonstration only" in card
    for source in world.description.provenance.sources:
        assert source in card
    assert world.description.licence.weights in card


def test_no_licence_of_its_photos_forbids_to_ship_it():
    rows = open_world(DEMONSTRATION).description.licence.rows
    assert not [name for name in rows if "GPL" in name or "NC" in name or "ND" in name]


def test_two_countries_have_different_species():
    world = open_world(DEMONSTRATION)
    lists = [
        {one.species for one in species_at(world, find_country(code)).species}
        for code in ("TZA", "ECU")
    ]
    assert "Panthera leo" in lists[0] - lists[1]
    assert lists[1] - lists[0]


def test_a_verb_without_a_world_takes_it_and_says_so(tmp_path):
    listed = run("species", "--country", "TZA")
    assert listed.exit_code == 0, listed.output
    assert "Panthera leo" in listed.stdout
    assert "no --world, so the demonstration world of the package is taken" in listed.stderr
    made = run("get", "--country", "TZA", "-o", tmp_path / "tanzania.homerange")
    assert made.exit_code == 0, made.output
    assert (tmp_path / "tanzania.homerange").is_file()


def test_a_world_that_is_named_is_taken_without_a_word():
    listed = run("species", "--country", "TZA", "--world", DEMONSTRATION)
    assert "demonstration" not in listed.stderr


def test_it_stands_where_the_installed_package_looks():
    assert DEMONSTRATION.is_relative_to(Path(main.callback.__code__.co_filename).parent)
