"""LILA's list: what is chosen from it, how it is kept, and what is wrong with it. Loopback only."""

from collections import Counter

import pytest
from http_files import no_server
from lila_files import (
    IDAHO,
    KAROO,
    LIST,
    asked_for,
    fetch,
    listed,
    many,
    photo,
    publish,
    table,
    zipped,
)

from homerange.data.importers.lila import import_lila
from homerange.errors import DownloadError, ManifestError

pytestmark = pytest.mark.usefixtures("no_waiting")


# --- choice -------------------------------------------------------------------------------------


def test_at_most_so_many_of_each_species_from_many_bursts_and_cameras(server, tmp_path):
    imported = fetch(publish(server, many()), tmp_path, per_species=8)
    counts = Counter(imported.manifest.strings("species"))
    assert counts == {"Tragelaphus strepsiceros": 8, "Panthera leo": 8, "blank": 3}
    kudus = [row for row in imported.manifest.table.to_pylist() if row["taxon_genus"]]
    assert len({row["sequence_id"] for row in kudus}) == 8  # eight bursts, not three whole ones
    assert Counter(row["location_id"][-2:] for row in kudus) == {"C0": 2, "C1": 2, "C2": 2, "C3": 2}


def test_at_most_so_many_in_all_takes_every_species_in_turn(server, tmp_path):
    imported = fetch(publish(server, many()), tmp_path, most=7)
    counts = Counter(imported.manifest.strings("species"))
    assert sorted(counts.values()) == [2, 2, 3]


def test_the_choice_is_the_same_every_time_and_another_with_another_seed(server, tmp_path):
    publish(server, many())
    one, two, other = (
        fetch(server, tmp_path, per_species=4, seed=seed).manifest.strings("image")
        for seed in (0, 0, 1)
    )
    assert one == two
    assert one != other


def test_species_are_chosen_by_name_and_their_photos_keep_all_labels(server, tmp_path):
    rows = [photo(1, "kudu"), photo(1, "lionmale"), photo(2, "kudu"), photo(3, "empty")]
    publish(server, rows)
    imported = fetch(server, tmp_path, species=["PANTHERA leo", "empty"])
    assert table(imported, "observation_id", "species") == [
        ("Snapshot Karoo : P0001", "Tragelaphus strepsiceros"),
        ("Snapshot Karoo : P0001#2", "Panthera leo"),
        ("Snapshot Karoo : P0003", "blank"),
    ]


def test_an_unknown_name_is_answered_with_near_ones(server, tmp_path):
    publish(server, [photo(1, "kudu"), photo(2, "lionmale", IDAHO)])
    with pytest.raises(ManifestError) as caught:
        fetch(server, tmp_path, "Snapshot Karo")
    assert str(caught.value) == (
        "no data set of LILA's list is named 'Snapshot Karo' (did you mean Snapshot Karoo?). "
        "There are: Idaho Camera Traps, Snapshot Karoo"
    )
    with pytest.raises(ManifestError) as caught:
        fetch(server, tmp_path, species=["Tragelaphus strepsicero"])
    assert str(caught.value) == (
        "no photo of these data sets shows 'Tragelaphus strepsicero' (did you mean Tragelaphus "
        "strepsiceros?). There are: Tragelaphus strepsiceros"
    )


# --- the list -----------------------------------------------------------------------------------


def test_the_list_is_downloaded_once_and_nothing_else_is_left(server, tmp_path):
    publish(server, [photo(1, "kudu")])
    for _ in range(2):
        fetch(server, tmp_path)
    assert asked_for(server, LIST) == [LIST]
    assert [path.name for path in tmp_path.iterdir()] == ["lila_image_urls_and_labels.csv.zip"]


def test_a_list_that_was_put_there_by_hand_is_taken_zipped_or_not(tmp_path):
    rows = [photo(1, "kudu", url_gcp="https://a.org/1.jpg")]
    (tmp_path / "lila_image_urls_and_labels.csv").write_text(listed(rows))
    imported = import_lila(tmp_path, [KAROO], list_url=no_server() + LIST)
    assert table(imported, "image") == [("https://a.org/1.jpg",)]


def test_without_a_connection_the_message_says_where_to_put_the_list(tmp_path):
    with pytest.raises(DownloadError) as caught:
        import_lila(tmp_path, [KAROO], list_url=no_server() + LIST)
    zipped_list = tmp_path / "lila_image_urls_and_labels.csv.zip"
    assert str(caught.value).endswith(f"Or put the file there by hand: {zipped_list}")


def test_a_list_that_broke_off_goes_on(server, tmp_path):
    publish(server, many())
    server.breaks_after = [500]
    assert len(fetch(server, tmp_path, most=3).manifest) == 3
    assert [wanted for _, wanted in server.requests] == [None, "bytes=500-"]


def damaged(server, tmp_path, data):
    server.files[LIST] = data
    with pytest.raises(ManifestError) as caught:
        fetch(server, tmp_path)
    path = tmp_path / "lila_image_urls_and_labels.csv.zip"
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).endswith(
        "Delete it and give the same command again, to download it anew"
    )
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    path.unlink()
    return str(caught.value)


def test_a_list_that_is_damaged_is_an_error_with_the_way_out(server, tmp_path):
    whole = zipped(listed(many()))
    assert "LILA's list is damaged (File is not a zip" in damaged(server, tmp_path, whole[:-300])
    spoilt = bytearray(whole)
    spoilt[len(whole) // 3] ^= 0xFF
    assert "LILA's list is damaged (" in damaged(server, tmp_path, bytes(spoilt))
    assert "damaged (it holds no .csv)" in damaged(server, tmp_path, zipped("x", "readme.txt"))
    other = zipped("path,species\na.jpg,Panthera leo\n")
    assert (
        "is not LILA's list, it lacks the columns dataset_name, image_id, url_gcp, original_label, "
        "scientific_name. Delete it"
    ) in damaged(server, tmp_path, other)


def test_columns_that_are_not_needed_may_be_missing(server, tmp_path):
    columns = ["dataset_name", "image_id", "url_gcp", "original_label", "scientific_name"]
    server.files[LIST] = zipped(listed([photo(1, "kudu")], server, columns))
    imported = fetch(server, tmp_path)
    assert table(imported, "species", "datetime", "location_id") == [
        ("Tragelaphus strepsiceros", None, None)
    ]


def test_a_list_longer_than_a_piece_is_read_whole(server, tmp_path, monkeypatch):
    monkeypatch.setattr("homerange.data.importers.lila_list._BLOCK_BYTES", 4096)
    rows = [photo(i, "kudu", KAROO if i % 2 else IDAHO) for i in range(400)]
    imported = fetch(publish(server, rows), tmp_path)
    assert table(imported, "observation_id") == [
        (f"Snapshot Karoo : P{i:04}",) for i in range(1, 400, 2)
    ]
