"""Several manifests as one: no row is lost, no photo is mistaken for another, splits stay."""

import os

import pyarrow as pa
import pytest

from homerange.data.importers.join import join_manifests
from homerange.data.manifest import Manifest, schema
from homerange.errors import ManifestError


def write(path, root, *rows):
    named = [{"image": f"{row['observation_id']}.jpg"} | row for row in rows]
    Manifest(pa.Table.from_pylist(named, schema=schema()), root).write(path)
    return path


@pytest.fixture
def two(tmp_path):
    """Two collections in folders side by side; both have an observation 1."""
    first = write(
        tmp_path / "first.parquet",
        tmp_path / "cameras" / "north",
        {"observation_id": "1", "species": "Panthera leo", "split": "train", "count": 3},
        {"observation_id": "2", "species": "blank", "split": "test", "latitude_deg": -2.5},
    )
    second = write(
        tmp_path / "second.parquet",
        tmp_path / "cameras" / "south",
        {"observation_id": "1", "species": "Lepus europaeus", "split": "val"},
        {"observation_id": "9", "image": "https://example.org/9.jpg"},
    )
    return [first, second]


def test_all_rows_come_in_order_with_their_values(two):
    joined = join_manifests(two)
    assert joined.manifest.strings("species") == ["Panthera leo", "blank", "Lepus europaeus", None]
    assert joined.manifest.table["count"].to_pylist() == [3, None, None, None]
    assert joined.manifest.table["latitude_deg"].to_pylist() == [None, -2.5, None, None]
    assert joined.refused == []
    assert joined.manifest.table.schema == schema()


def test_splits_stay_as_they_were(two):
    assert join_manifests(two).manifest.strings("split") == ["train", "test", "val", None]


def test_every_photo_is_still_the_same_file(two, tmp_path):
    # Read back too: what is stored must lead to the files from wherever the manifest lies.
    joined = join_manifests(two).manifest
    joined.write(tmp_path / "elsewhere" / "both.parquet")
    for manifest in (joined, Manifest.read(tmp_path / "elsewhere" / "both.parquet")):
        assert [manifest.image_path(row) for row in range(3)] == [
            tmp_path / "cameras" / "north" / "1.jpg",
            tmp_path / "cameras" / "north" / "2.jpg",
            tmp_path / "cameras" / "south" / "1.jpg",
        ]


def test_addresses_on_the_web_stay_as_they_are(two):
    assert join_manifests(two).manifest.strings("image")[3] == "https://example.org/9.jpg"


def test_an_absolute_path_stays_as_it_is(tmp_path):
    row = {"observation_id": "1", "image": "/cards/1.jpg"}
    first = write(tmp_path / "a.parquet", tmp_path / "a", row)
    second = write(tmp_path / "b.parquet", tmp_path / "b", {"observation_id": "2"})
    joined = join_manifests([first, second]).manifest
    assert joined.strings("image") == ["/cards/1.jpg", "b/2.jpg"]


def test_a_collection_inside_the_folder_of_another_keeps_its_place(tmp_path):
    outer = write(tmp_path / "a.parquet", tmp_path / "photos", {"observation_id": "1"})
    inner = write(tmp_path / "b.parquet", tmp_path / "photos" / "new", {"observation_id": "2"})
    assert join_manifests([outer, inner]).manifest.strings("image") == ["1.jpg", "new/2.jpg"]


def test_an_id_that_stands_in_two_manifests_is_numbered_and_counted(two):
    joined = join_manifests(two)
    assert joined.manifest.strings("observation_id") == ["1", "2", "2:1", "9"]
    assert joined.notes == ["1 observation ids stood in two manifests and were numbered"]


def test_three_manifests_with_one_id_get_three_ids(tmp_path):
    paths = [
        write(tmp_path / f"{name}.parquet", tmp_path / name, {"observation_id": "1"})
        for name in "abc"
    ]
    assert join_manifests(paths).manifest.strings("observation_id") == ["1", "2:1", "3:1"]


def test_no_clash_is_no_note(tmp_path):
    paths = [
        write(tmp_path / f"{name}.parquet", tmp_path / name, {"observation_id": name})
        for name in "ab"
    ]
    assert join_manifests(paths).notes == []


def test_one_manifest_cannot_be_joined(two):
    with pytest.raises(ManifestError, match="join needs at least two manifests, got 1"):
        join_manifests(two[:1])


def test_photos_on_two_drives_share_no_folder(two, monkeypatch):
    def windows(_):
        raise ValueError("Paths don't have the same drive")

    monkeypatch.setattr(os.path, "commonpath", windows)
    with pytest.raises(ManifestError, match="photos of these manifests share no folder"):
        join_manifests(two)
