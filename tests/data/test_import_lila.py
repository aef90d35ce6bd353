"""LILA's rows become a manifest, with places as vague as they are, and photos. Loopback only."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from http_files import jpeg
from lila_files import (
    IDAHO,
    KAROO,
    LIST,
    WCS,
    asked_for,
    fetch,
    listed,
    many,
    photo,
    publish,
    table,
    zipped,
)
from PIL import Image

from homerange.cli import main
from homerange.data.importers import lila
from homerange.data.importers.lila_data_sets import LICENCES, PLACES, licence_of, place_of
from homerange.data.manifest import Manifest, Refused
from homerange.errors import ConfigError, ManifestError
from homerange.geo.sphere import check_latlon

pytestmark = pytest.mark.usefixtures("no_waiting")


# --- rows ---------------------------------------------------------------------------------------


def test_a_row_has_taxon_place_time_camera_and_licence(server, tmp_path):
    publish(server, [photo(1, "kudu")])
    imported = fetch(server, tmp_path)
    (row,) = imported.manifest.table.to_pylist()
    assert {name: value for name, value in row.items() if value is not None} == {
        "image": f"{server.url}/gcp/Snapshot Karoo/P0001.JPG",
        "observation_id": "Snapshot Karoo : P0001",
        "species": "Tragelaphus strepsiceros",
        "common_name": "greater kudu",
        "taxon_class": "Mammalia",
        "taxon_order": "Artiodactyla",
        "taxon_family": "Bovidae",
        "taxon_genus": "Tragelaphus",
        "latitude_deg": -32.3,
        "longitude_deg": 22.4,
        "coordinate_uncertainty_m": 40_000.0,
        "region_id": "Karoo",
        "datetime": "2018-07-31T06:30:00",  # LILA writes the month first
        "location_id": "Snapshot Karoo : B01",
        "sequence_id": "Snapshot Karoo : S1",
        "split": "train",
        "source": "Snapshot Karoo (LILA BC)",
        "licence": "CDLA-Permissive-1.0",
    }
    assert imported.refused == []
    assert asked_for(server, "gcp") == []  # no photo is fetched unless asked for


@pytest.mark.parametrize(
    ("label", "cells", "species"),
    [
        ("birdother", {}, "Aves"),
        ("empty", {}, "blank"),
        ("vehicle", {}, "vehicle"),
        ("unknown", {}, None),
        ("snow on lens", {}, None),
        ("dog", {"scientific_name": "canis lupus familiaris"}, "Canis lupus familiaris"),
    ],
)
def test_taxa_and_words_become_species_groups_and_outcomes(server, tmp_path, label, cells, species):
    imported = fetch(publish(server, [photo(1, label, **cells)]), tmp_path)
    assert table(imported, "species") == [(species,)]


def test_what_lila_does_not_know_stays_empty(server, tmp_path):
    unknown = {
        "location_id": KAROO,  # this is how the list says that there is none
        "sequence_id": f"{KAROO} : unknown",
        "datetime": "",
        "frame_num": "-1",
    }
    imported = fetch(publish(server, [photo(1, "kudu", **unknown)]), tmp_path)
    assert table(imported, "location_id", "sequence_id", "datetime") == [(None, None, None)]


def test_a_photo_of_two_species_is_two_rows_and_two_labels_of_one_species_are_one(server, tmp_path):
    rows = [photo(1, "kudu"), photo(1, "lionmale"), photo(2, "lionmale"), photo(2, "lionfemale")]
    imported = fetch(publish(server, rows), tmp_path)
    assert table(imported, "observation_id", "species") == [
        ("Snapshot Karoo : P0001", "Tragelaphus strepsiceros"),
        ("Snapshot Karoo : P0001#2", "Panthera leo"),
        ("Snapshot Karoo : P0002", "Panthera leo"),
    ]
    assert imported.refused == []


def test_people_are_left_out_unless_asked_for(server, tmp_path):
    rows = [photo(1, "human"), photo(1, "kudu"), photo(2, "kudu")]
    publish(server, rows)
    imported = fetch(server, tmp_path)
    assert table(imported, "observation_id") == [("Snapshot Karoo : P0002",)]
    assert "1 photos of people are left out; LILA withholds most of them" in imported.notes
    asked = fetch(server, tmp_path, species=["Homo sapiens"])
    assert table(asked, "species") == [("person",), ("Tragelaphus strepsiceros",)]
    assert not any("people" in note for note in asked.notes)


def test_labels_of_sequences_and_lines_that_cannot_be_read_are_counted(server, tmp_path):
    rows = [photo(1, "kudu", annotation_level="sequence"), photo(2, "kudu")]
    text = listed(rows, server) + f"{KAROO},too,few\n"
    server.files[LIST] = zipped(text)
    notes = fetch(server, tmp_path).notes
    assert "1 labels were given to whole sequences: some of their photos may be blank" in notes
    assert "1 lines of LILA's list could not be read" in notes


# --- places -------------------------------------------------------------------------------------


def test_places_are_as_vague_as_they_are_and_unknown_ones_stay_empty(server, tmp_path):
    rows = [photo(1, "kudu"), photo(2, "kudu", IDAHO), photo(3, "kudu", WCS)]
    imported = fetch(publish(server, rows), tmp_path, KAROO, IDAHO, WCS)
    assert table(imported, "latitude_deg", "coordinate_uncertainty_m", "licence") == [
        (-32.3, 40_000.0, "CDLA-Permissive-1.0"),
        (44.4, 560_000.0, LICENCES[IDAHO]),
        (None, None, "CDLA-Permissive-1.0"),
    ]
    assert imported.notes[:3] == [
        "1 rows of Snapshot Karoo: Karoo, 40 km uncertain",
        "1 rows of Idaho Camera Traps: Idaho, 560 km uncertain",
        "1 rows of WCS Camera Traps have no coordinates: LILA gives none and names no area that we "
        "know. Give them with --places",
    ]


def test_the_location_may_tell_more_than_the_data_set(server, tmp_path):
    rows = [
        photo(i, "kudu", "NACTI", location_id=f"NACTI : {location}")
        for i, location in enumerate(["lebec_CA-22", "archbold_FL-01", "unknown"])
    ]
    imported = fetch(publish(server, rows), tmp_path, "NACTI")
    assert table(imported, "region_id", "coordinate_uncertainty_m") == [
        ("Lebec, California", 45_000.0),
        ("Archbold, Florida", 20_000.0),
        ("contiguous USA", 2_700_000.0),
    ]


def test_a_data_set_that_nobody_here_knows_has_neither_place_nor_terms(server, tmp_path):
    imported = fetch(publish(server, [photo(1, "kudu", "New Set")]), tmp_path, "New Set")
    assert table(imported, "latitude_deg", "region_id", "licence") == [(None, None, None)]
    assert (
        "the terms of New Set are not known here: read them at https://lila.science/datasets and "
        "state them with: homerange profile --licence"
    ) in imported.notes


def places(folder, text):
    path = folder / "places.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_the_user_knows_better_counts_first(server, tmp_path):
    rows = [photo(i, "kudu", WCS) for i in range(3)] + [photo(3, "kudu")]
    mine = places(
        tmp_path,
        "data_set,location,latitude,longitude,uncertainty_m,region\n"
        "wcs camera traps,,-15.5,-61.9,,Bolivia\n"
        "WCS Camera Traps,B01,17.5,-90.1,500,Maya\n",
    )
    imported = fetch(publish(server, rows), tmp_path, WCS, KAROO, places=mine)
    assert table(imported, "latitude_deg", "coordinate_uncertainty_m", "region_id") == [
        (-15.5, None, "Bolivia"),
        (17.5, 500.0, "Maya"),
        (-15.5, None, "Bolivia"),
        (-32.3, 40_000.0, "Karoo"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data_set,latitude,longitude\nNACTI,north,1\n", "row 1: could not convert string to floa"),
        ("data_set,latitude,longitude\n,1,1\n", "row 1: data_set is empty. Expected the columns "),
        ("name,lat,lon\nNACTI,1,1\n", "row 1: data_set is empty. Expected the columns data_set, "),
        ("data_set,latitude,longitude\nNACTI,1\n", "row 1: could not convert string to float: ''"),
    ],
)
def test_a_table_of_places_that_cannot_be_read_is_an_error(server, tmp_path, text, message):
    with pytest.raises(ManifestError) as caught:
        fetch(publish(server, [photo(1, "kudu")]), tmp_path, places=places(tmp_path, text))
    assert message in str(caught.value)
    with pytest.raises(ManifestError, match=r"nowhere.csv: cannot be read as a table of places \("):
        fetch(server, tmp_path, places=tmp_path / "nowhere.csv")


def test_the_places_and_terms_of_our_table_are_possible():
    check_latlon(np.array([(place.latitude_deg, place.longitude_deg) for place in PLACES]))
    # No camera is known better than to its reserve: 10 km at least.
    assert min(place.uncertainty_m for place in PLACES) >= 10_000
    assert len({(place.data_set, place.location) for place in PLACES}) == len(PLACES)
    assert licence_of("idaho camera traps") == LICENCES[IDAHO]
    assert place_of("Orinoquía Camera Traps", "").region == "Meta, Colombia"
    assert place_of("Missouri Camera Traps", "") is None  # the name of the university


def test_the_page_lists_the_places_as_they_are():
    page = (Path(__file__).parents[2] / "docs" / "open-data.md").read_text()
    for place in PLACES:
        of = f", locations `{place.location}...`" if place.location else ""
        row = f"| {place.data_set}{of} | {place.region} | {place.uncertainty_m / 1000:,.0f} |"
        assert row in page


# --- photos -------------------------------------------------------------------------------------


def test_photos_are_fetched_when_asked_and_only_once(server, tmp_path):
    publish(server, [photo(i, "kudu") for i in range(5)])
    server.files["/gcp/Snapshot Karoo/P0000.JPG"] = jpeg(3000, 2000)
    imported = fetch(server, tmp_path, most=9, download=True)
    assert len(imported.manifest) == 5
    assert imported.manifest.root == tmp_path
    with Image.open(imported.manifest.image_path(0)) as image:
        assert (max(image.size), dict(image.getexif())) == (1024, {})
    assert imported.manifest.strings("image")[0].startswith("photos/Snapshot_Karoo/P0000-")
    server.requests.clear()
    imported.manifest.image_path(3).unlink()
    again = fetch(server, tmp_path, most=9, download=True)
    assert again.manifest.table == imported.manifest.table
    assert [path for path, _ in server.requests] == ["/gcp/Snapshot Karoo/P0003.JPG"]


def test_a_photo_that_did_not_come_is_refused_with_the_reason(server, tmp_path):
    publish(server, [photo(i, "kudu") for i in range(4)])
    del server.files["/gcp/Snapshot Karoo/P0001.JPG"]
    server.files["/gcp/Snapshot Karoo/P0002.JPG"] = jpeg()[:200]
    imported = fetch(server, tmp_path, per_species=9, download=True)
    assert table(imported, "observation_id") == [
        ("Snapshot Karoo : P0000",),
        ("Snapshot Karoo : P0003",),
    ]
    gone, broken = imported.refused
    assert gone == Refused(2, gone.image, "HTTP Error 404: Not Found")
    assert gone.image.startswith("photos/Snapshot_Karoo/P0001-")
    assert (broken.row, broken.reason[:39]) == (3, "not a readable photo: photo of 200 byte")


def test_a_photo_without_any_address_is_refused(server, tmp_path):
    publish(server, [photo(1, "kudu")])
    nowhere = photo(2, "kudu") | {"url_gcp": "", "url_aws": ""}
    server.files[LIST] = zipped(listed([photo(1, "kudu", url_gcp=server.url + "/a.jpg"), nowhere]))
    imported = fetch(server, tmp_path)
    assert imported.refused == [Refused(2, "", "no image")]
    server.files["/a.jpg"] = jpeg()
    (refused,) = fetch(server, tmp_path, most=9, download=True).refused
    assert refused.reason == "no address is known"


def test_the_second_cloud_serves_what_the_first_has_lost(server, tmp_path):
    publish(server, [photo(1, "kudu")])
    server.files["/aws/Snapshot Karoo/P0001.JPG"] = server.files.pop(
        "/gcp/Snapshot Karoo/P0001.JPG"
    )
    assert len(fetch(server, tmp_path, most=1, download=True).manifest) == 1


def test_names_on_the_server_cannot_lead_out_of_the_folder_or_onto_each_other(server, tmp_path):
    names = ["../../../evil", "a b", "a_b", "a/b", "/etc/passwd", "x" * 300]
    rows = [
        photo(i, "kudu", image_id=f"{KAROO} : {name}", url_gcp=f"/{i}.jpg")
        for i, name in enumerate(names)
    ]
    imported = fetch(publish(server, rows), tmp_path / "lila", most=9, download=True)
    images = imported.manifest.strings("image")
    assert len(set(images)) == len(names)
    assert all((tmp_path / "lila" / image).is_file() for image in images)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lila"]


def test_downloading_without_a_bound_is_refused_before_anything_is_asked(server, tmp_path):
    with pytest.raises(ConfigError, match=r"needs a bound: LILA has millions of photos. Say how"):
        fetch(publish(server, [photo(1, "kudu")]), tmp_path / "lila", download=True)
    assert server.requests == []
    assert not (tmp_path / "lila").exists()


# --- the verb -------------------------------------------------------------------------------------


@pytest.fixture
def verb(server, monkeypatch, tmp_path):
    """Run the verb with the list of the local server."""
    defaults = lila.import_lila.__kwdefaults__ | {"list_url": server.url + LIST}
    monkeypatch.setattr(lila.import_lila, "__kwdefaults__", defaults)

    def run(*arguments):
        output = tmp_path / "m.parquet"
        command = ["import", "lila", str(tmp_path / "lila"), "-o", str(output), *arguments]
        return CliRunner().invoke(main, command), output

    return run


def test_the_verb_fetches_a_bounded_choice_and_says_what_did_not_come(server, verb):
    publish(server, many())
    del server.files["/gcp/Snapshot Karoo/P0200.JPG"]
    arguments = ("--dataset", KAROO, "--per-species", "3", "--download")
    result, output = verb(*arguments)
    assert result.exit_code == 3
    assert "8 observations in 8 photos" in result.stdout
    assert "8 rows of Snapshot Karoo: Karoo, 40 km uncertain" in result.stdout
    assert "1 rows refused; reasons in" in result.stderr
    assert "HTTP Error 404: Not Found" in output.with_suffix(".refused.csv").read_text()
    assert len(Manifest.read(output)) == 8


def test_a_stopped_verb_says_that_it_goes_on(server, verb, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(lila, "fetch_photos", stop)
    publish(server, [photo(1, "kudu")])
    result, _ = verb("--dataset", KAROO, "--most", "1", "--download")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "Error: stopped; the same command goes on from here"


@pytest.mark.parametrize("arguments", [("--most", "1"), ("--dataset", KAROO, "--most", "0")])
def test_a_data_set_must_be_named_and_a_bound_be_one(verb, arguments):
    assert verb(*arguments)[0].exit_code == 2
