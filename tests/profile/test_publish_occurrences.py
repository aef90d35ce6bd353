"""A world that was published with records from elsewhere expects species where these are."""

import json
import zipfile
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from gbif_download import lion, table

from homerange.cli import main
from homerange.errors import OccurrenceError, WorldError
from homerange.profile.publish import publish
from homerange.world.gbif import import_gbif
from homerange.world.world import open_world

CHICAGO = {"decimalLatitude": "41.88", "decimalLongitude": "-87.63"}
AT_CHICAGO = ["--at", "41.88,-87.63", "--radius-km", "50"]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Lions and wolverines that were recorded in Chicago, with other licences than the photos."""
    download = tmp_path_factory.mktemp("gbif") / "0012345-250117142028555.csv"
    lions = [lion(**CHICAGO, license="CC_BY_NC_4_0")] * 7
    vague = lion(**CHICAGO, species="Equus quagga", coordinateUncertaintyInMeters="60000")
    download.write_text(table([*lions, vague, lion(**CHICAGO, species="Gulo gulo")]))
    return import_gbif(download, download.with_suffix(".parquet")).file.path


@pytest.fixture(scope="module")
def world(plain, records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "world"
    publish(plain.checkpoint, plain.manifest, folder, occurrences=records)
    return folder


def run(*arguments):
    return CliRunner().invoke(main, [str(part) for part in arguments])


def test_a_species_that_only_gbif_knows_there_is_on_the_list_with_its_reason(world, plain):
    listed = run("species", "--world", world, *AT_CHICAGO)
    assert listed.exit_code == 0
    assert "recorded within 50 km (6-20 records, none a photo of this world)" in listed.stdout
    assert "Procyon lotor" in listed.stdout
    assert "recorded here but not in this world, 1 species with their records: Gulo gulo" in (
        listed.stdout
    )
    # 60 km is more than the radius of the place, so the zebra has no vote.
    assert "Equus quagga" not in listed.stdout
    without = run("species", "--world", plain.world, *AT_CHICAGO)
    assert "Panthera leo" not in without.stdout


def test_get_keeps_it_with_the_same_reason(world, tmp_path):
    package = tmp_path / "chicago.homerange"
    made = run("get", "--world", world, *AT_CHICAGO, "-o", package)
    assert made.exit_code == 0
    with zipfile.ZipFile(package) as archive:
        place = json.loads(archive.read("place.json"))
        card = archive.read("MODEL_CARD.md").decode()
    reasons = {one["species"]: one["reason"] for one in place["species"]}
    assert reasons["Panthera leo"] == (
        "recorded within 50 km (6-20 records, none a photo of this world)"
    )
    assert "GBIF 0012345-250117142028555 (9 records of species)" in card


def test_the_world_says_where_the_records_come_from_and_takes_their_licence(world):
    description = open_world(world).description
    assert description.provenance.sources["occurrences: GBIF 0012345-250117142028555"] == 9
    assert description.licence.rows == {
        "CC0-1.0": 56,
        "occurrences: CC_BY_4_0": 2,
        "occurrences: CC_BY_NC_4_0": 7,
    }
    assert description.licence.weights == "CC BY-NC"


def test_a_file_that_is_none_is_refused_before_anything_is_run(plain, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("the checkpoint was loaded")

    monkeypatch.setattr("homerange.profile.publish.load_checkpoint", never)
    with pytest.raises(OccurrenceError, match="no such file"):
        publish(plain.checkpoint, plain.manifest, tmp_path / "w", occurrences=tmp_path / "no")
    assert not (tmp_path / "w").exists()


def test_records_without_a_licence_need_one_stated(plain, tmp_path):
    download = tmp_path / "d.csv"
    download.write_text(table([lion(license="")]))
    records = import_gbif(download, tmp_path / "r.parquet").file.path
    with pytest.raises(WorldError, match="1 of 57 photos and records state no licence"):
        publish(plain.checkpoint, plain.manifest, tmp_path / "w", occurrences=records)


def test_the_verb_hands_the_file_on(plain, records, tmp_path, monkeypatch):
    given = {}

    def publish(*_, **options):
        given.update(options)
        return SimpleNamespace(classes=4, photos=40, unreadable=[])

    monkeypatch.setattr("homerange.profile.publish.publish", publish)
    inputs = (plain.checkpoint, plain.manifest, "-o", tmp_path)
    assert run("profile", *inputs, "--occurrences", records).exit_code == 0
    assert given["occurrences"] == records
