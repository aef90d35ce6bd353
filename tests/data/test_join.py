"""Several manifests as one: no row is lost, no photo is mistaken for another, no split leaks."""

import os
from collections import defaultdict

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homerange.data.importers.join import join_manifests
from homerange.data.importers.table import import_table
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


# Repeats


def test_one_table_with_two_seeds_is_one_table(tmp_path):
    # Found in review: the same photo stood in train and in val.
    lines = [f"{i}.jpg,Panthera leo,{i % 9},2020-06-{i + 1:02},-2.3,34.8" for i in range(25)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["path,species,camera,date,latitude,longitude", *lines]))
    for i in range(25):
        (tmp_path / f"{i}.jpg").touch()
    paths = [tmp_path / f"{seed}.parquet" for seed in (0, 1)]
    for seed, path in enumerate(paths):
        import_table(table, seed=seed).manifest.write(path)
    first, second = (Manifest.read(path) for path in paths)
    assert first.strings("split") != second.strings("split")
    joined = join_manifests(paths)
    assert joined.manifest.table.equals(first.table)
    assert len(joined.refused) == 25
    assert joined.notes == []


def test_a_repeated_row_is_refused_with_the_rows_that_are_alike(tmp_path):
    box = {"bbox_x": 0.1, "bbox_y": 0.2, "bbox_width": 0.3, "bbox_height": 0.4}
    lion = {"observation_id": "1", "image": "1.jpg", "species": "Panthera leo"}
    first = write(tmp_path / "a.parquet", tmp_path / "p", {"observation_id": "0"}, lion | box)
    second = write(
        tmp_path / "b.parquet",
        tmp_path / "p",
        lion | {"observation_id": "2"},  # no box: the whole photo
        lion | box | {"observation_id": "3", "count": 7},
        lion | box | {"observation_id": "4", "species": "blank"},
        lion | box | {"observation_id": "5", "bbox_x": 0.15},
    )
    joined = join_manifests([first, second])
    assert joined.manifest.strings("observation_id") == ["0", "1", "2", "4", "5"]
    (refused,) = joined.refused
    assert (refused.row, refused.image) == (2, "1.jpg")
    assert refused.reason == f"in {second}: repeats row 2 of {first}"


def test_a_photo_is_the_same_however_its_path_is_written(tmp_path):
    photo = tmp_path / "cards" / "new" / "1.jpg"
    paths = [
        write(tmp_path / "a.parquet", tmp_path / "cards", {"observation_id": "new/1"}),
        write(tmp_path / "b.parquet", tmp_path / "cards" / "new", {"observation_id": "1"}),
        write(
            tmp_path / "c.parquet", tmp_path / "cards", {"observation_id": "2", "image": str(photo)}
        ),
    ]
    joined = join_manifests(paths)
    assert joined.manifest.strings("image") == ["new/1.jpg"]
    assert [one.reason.partition(": ")[2] for one in joined.refused] == [
        f"repeats row 1 of {paths[0]}"
    ] * 2


def test_two_animals_of_one_manifest_in_one_photo_are_no_repeats(tmp_path):
    pair = [{"observation_id": i, "image": "1.jpg", "species": "Panthera leo"} for i in "ab"]
    first = write(tmp_path / "a.parquet", tmp_path / "p", *pair)
    second = write(tmp_path / "b.parquet", tmp_path / "p", {"observation_id": "c"})
    joined = join_manifests([first, second])
    assert joined.manifest.strings("observation_id") == ["a", "b", "c"]
    assert joined.refused == []


# Splits


def row_of(**columns):
    return {"species": "Panthera leo"} | columns


@pytest.mark.parametrize(
    "shared",
    [
        {"image": "same.jpg"},
        {"location_id": "c1"},
        {"sequence_id": "s1"},
        {"region_id": "park", "datetime": "2020-06-01T12:00:00"},
    ],
    ids=["photo", "camera", "sequence", "burst"],
)
def test_what_stands_on_two_sides_goes_to_the_first_of_them_and_is_told(tmp_path, shared):
    first = write(
        tmp_path / "a.parquet",
        tmp_path / "p",
        row_of(observation_id="1", split="test") | shared,
        row_of(observation_id="2", split="test"),
    )
    second = write(
        tmp_path / "b.parquet",
        tmp_path / "p",
        row_of(observation_id="3", split="val", species="blank") | shared,
        row_of(observation_id="4", species="blank", split="train"),
    )
    joined = join_manifests([first, second])
    assert joined.manifest.strings("split") == ["val", "test", "val", "train"]
    assert joined.notes == [
        "1 cameras, sequences, bursts or photos stood on two sides of the splits: each is whole "
        "now, in the first of train, val and test that it had; 1 rows moved"
    ]


def test_a_camera_on_the_same_side_in_both_stays_there(tmp_path):
    paths = [
        write(
            tmp_path / f"{name}.parquet",
            tmp_path / name,
            row_of(observation_id=name, location_id="c1", split="test"),
        )
        for name in "ab"
    ]
    joined = join_manifests(paths)
    assert joined.manifest.strings("split") == ["test", "test"]
    assert joined.notes == []


ROW = st.fixed_dictionaries(
    {
        "image": st.sampled_from(["1.jpg", "2.jpg", "3.jpg", "4.jpg"]),
        "species": st.sampled_from(["Panthera leo", "blank"]),
        "location_id": st.sampled_from([None, "c1", "c2", "c3"]),
        "sequence_id": st.sampled_from([None, "s1", "s2"]),
        "split": st.sampled_from(["train", "val", "test"]),
    },
    optional={"latitude_deg": st.sampled_from([-2.3, 0.0]), "longitude_deg": st.just(34.8)},
)


@given(st.lists(st.lists(ROW, min_size=1, max_size=6), min_size=2, max_size=3))
@settings(deadline=None, max_examples=40)
def test_no_photo_camera_or_sequence_is_on_two_sides_after_any_join(tmp_path_factory, collections):
    folder = tmp_path_factory.mktemp("join")
    paths = [
        write(
            folder / f"{number}.parquet",
            folder,
            *({"observation_id": f"{number}-{i}"} | row for i, row in enumerate(rows)),
        )
        for number, rows in enumerate(collections)
    ]
    joined = join_manifests(paths)
    sides = defaultdict(set)
    for row in joined.manifest.table.to_pylist():
        sides["image", row["image"]].add(row["split"])
        if row["location_id"] is not None:
            sides["camera", row["location_id"]].add(row["split"])
        elif row["sequence_id"] is not None:
            sides["sequence", row["sequence_id"]].add(row["split"])
    assert all(len(side) == 1 for side in sides.values())
    assert len(joined.manifest) + len(joined.refused) == sum(map(len, collections))


# Cameras of two collections with one id


def cameras(tmp_path, *places, column="location_id"):
    """Join collections that each have one id ``c1``, at a (latitude, uncertainty in metres)."""
    paths = []
    for number, (latitude_deg, uncertainty_m) in enumerate(places):
        where = {"latitude_deg": latitude_deg, "longitude_deg": None if latitude_deg is None else 9}
        row = row_of(observation_id=str(number), coordinate_uncertainty_m=uncertainty_m, **where)
        split = "train" if number == 0 else "test"
        path, root = tmp_path / f"{number}.parquet", tmp_path / str(number)
        paths.append(write(path, root, row | {column: "c1", "split": split}))
    return join_manifests(paths)


@pytest.mark.parametrize("column", ["location_id", "sequence_id"])
def test_an_id_of_another_place_is_another_camera_and_keeps_its_side(tmp_path, column):
    joined = cameras(tmp_path, (-2.3, None), (51.5, None), column=column)
    assert joined.manifest.strings(column) == ["c1", "2:c1"]
    assert joined.manifest.strings("split") == ["train", "test"]
    assert joined.notes == [
        "1 ids of cameras or sequences stood for another place in an earlier manifest and were "
        "numbered"
    ]


@pytest.mark.parametrize(
    ("first", "second", "ids"),
    [
        ((10.0, None), (10.008, None), ["c1", "c1"]),  # 0.01 degrees of latitude are 1.11 km
        ((10.0, None), (10.010, None), ["c1", "2:c1"]),
        ((10.0, 100.0), (10.010, 100.0), ["c1", "c1"]),  # 1.11 km less 0.2 km
        ((10.0, None), (None, None), ["c1", "c1"]),  # nobody knows: rather one too few
    ],
)
def test_rounded_uncertain_and_absent_coordinates_make_no_other_camera(
    tmp_path, first, second, ids
):
    assert cameras(tmp_path, first, second).manifest.strings("location_id") == ids


def test_what_is_numbered_in_the_second_is_found_again_in_the_third(tmp_path):
    joined = cameras(tmp_path, (-2.3, None), (51.5, None), (51.5, None), (70.0, None))
    assert joined.manifest.strings("location_id") == ["c1", "2:c1", "2:c1", "4:c1"]
