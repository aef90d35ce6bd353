"""The manifest: what goes in comes out, and what breaks the contract is named."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from homerange.data.checks import check
from homerange.data.manifest import (
    Manifest,
    Refused,
    check_output,
    schema,
    summary_lines,
    with_column,
    write_refused,
)
from homerange.errors import CoordinateError, ManifestError

ROWS = [
    {
        "image": "camera 1/a.jpg",
        "observation_id": "a",
        "species": "Panthera leo",
        "bbox_x": 0.25,
        "bbox_y": 0.5,
        "bbox_width": 0.5,
        "bbox_height": 0.25,
        "count": 2,
        "latitude_deg": -2.33,
        "longitude_deg": 34.83,
        "datetime": "2015-01-15T06:01:07+03:00",
        "region_id": "serengeti",
        "location_id": "B04",
        "split": "train",
    },
    {"image": "camera 1/a.jpg", "observation_id": "b", "species": "blank", "split": "val"},
    {"image": "Zoé.jpg", "observation_id": "c", "split": "train"},
]


def manifest_of(rows, root):
    return Manifest(pa.Table.from_pylist(rows, schema=schema()), root)


@pytest.fixture
def manifest(tmp_path):
    return manifest_of(ROWS, tmp_path / "photos")


def checked(rows):
    return check(manifest_of(rows, Path()), np.arange(1, len(rows) + 1))


def row(name, **cells):
    return {"image": f"{name}.jpg", "observation_id": name, **cells}


def test_what_is_written_is_read_again(manifest, tmp_path):
    manifest.write(tmp_path / "out" / "manifest.parquet")
    again = Manifest.read(tmp_path / "out" / "manifest.parquet")
    assert again.table.equals(manifest.table)
    assert again.root == manifest.root
    assert again.table.schema.equals(schema())


def test_a_folder_that_moves_with_its_manifest_still_finds_its_photos(tmp_path):
    manifest_of(ROWS, tmp_path / "old" / "photos").write(tmp_path / "old" / "manifest.parquet")
    shutil.move(tmp_path / "old", tmp_path / "new")
    again = Manifest.read(tmp_path / "new" / "manifest.parquet")
    assert again.image_path(0) == tmp_path / "new" / "photos" / "camera 1" / "a.jpg"


def test_the_file_says_its_version_and_its_root_with_forward_slashes(manifest, tmp_path):
    manifest.write(tmp_path / "out" / "manifest.parquet")
    metadata = pq.read_schema(tmp_path / "out" / "manifest.parquet").metadata
    assert metadata[b"homerange.manifest_version"] == b"1"
    assert metadata[b"homerange.root"] == b"../photos"


def test_rows_are_chosen_by_split_label_and_mask(manifest):
    assert len(manifest) == 3
    assert manifest.split("train").strings("observation_id") == ["a", "c"]
    assert len(manifest.split("test")) == 0
    assert manifest.labelled().strings("species") == ["Panthera leo", "blank"]
    assert manifest.where(np.array([False, False, True])).strings("image") == ["Zoé.jpg"]


def test_numbers_that_are_not_known_are_nan_and_boxes_are_none(manifest):
    expected = [[-2.33, 34.83], [np.nan, np.nan], [np.nan, np.nan]]
    np.testing.assert_array_equal(manifest.latlon_N2(), expected)
    assert manifest.bbox(0) == (0.25, 0.5, 0.5, 0.25)
    assert manifest.bbox(1) is None


def test_a_split_of_another_name_is_refused_with_the_names(manifest):
    with pytest.raises(ManifestError, match="'dev'; expected one of train, val, test"):
        manifest.split("dev")


def test_a_photo_on_the_web_has_no_file():
    web = manifest_of([{"image": "https://a.org/1.jpg", "observation_id": "1"}], Path())
    with pytest.raises(
        ManifestError, match=r"https://a.org/1.jpg is not on this machine; download"
    ):
        web.image_path(0)


def write_raw(table, path, **metadata):
    named = {f"homerange.{key}": value for key, value in metadata.items()}
    pq.write_table(table.replace_schema_metadata(named), path)


@pytest.mark.parametrize(
    ("change", "metadata", "message"),
    [
        (lambda t: t, {"manifest_version": "2"}, "manifest version 2, expected 1. Make it again"),
        (lambda t: t, {}, "manifest version none, expected 1"),
        (lambda t: t.drop_columns(["count", "species"]), None, "lacks the columns species, count"),
        (
            lambda t: t.set_column(0, "image", pa.array([None, "x", "y"])),
            None,
            "column has the wrong type or misses values",
        ),
        (
            lambda t: t.set_column(12, "count", pa.array(["two", "x", "y"])),
            None,
            "column has the wrong type or misses values",
        ),
    ],
)
def test_a_file_that_breaks_the_contract_is_refused(manifest, tmp_path, change, metadata, message):
    path = tmp_path / "m.parquet"
    right = {"manifest_version": "1", "root": "."}
    write_raw(change(manifest.table), path, **(right if metadata is None else metadata))
    with pytest.raises(ManifestError, match=message):
        Manifest.read(path)


def test_columns_that_we_do_not_know_are_left_out_and_order_does_not_matter(manifest, tmp_path):
    shuffled = manifest.table.select(list(reversed(manifest.table.column_names)))
    shuffled = shuffled.append_column("mood", pa.array(["good"] * 3))
    write_raw(shuffled, tmp_path / "m.parquet", manifest_version="1", root="photos")
    assert Manifest.read(tmp_path / "m.parquet").table.equals(manifest.table)


def test_a_file_that_is_absent_or_no_parquet_is_named(tmp_path):
    (tmp_path / "photos.csv").write_text("image\n")
    with pytest.raises(ManifestError, match=r"photos.csv: not a Parquet file"):
        Manifest.read(tmp_path / "photos.csv")
    with pytest.raises(ManifestError, match=r"none.parquet: no such manifest. Make one with"):
        Manifest.read(tmp_path / "none.parquet")


def test_refused_rows_are_a_table_for_people(tmp_path):
    write_refused([Refused(7, "Zoé, 1.jpg", "no image")], tmp_path / "out" / "refused.csv")
    text = (tmp_path / "out" / "refused.csv").read_text(encoding="utf-8")
    assert text.splitlines() == ["row,image,reason", '7,"Zoé, 1.jpg",no image']


def test_where_no_row_was_refused_no_report_of_an_earlier_import_stays(tmp_path):
    path = tmp_path / "refused.csv"
    write_refused([], path)
    write_refused([Refused(7, "1.jpg", "no image")], path)
    write_refused([], path)
    assert not path.exists()


def test_a_manifest_is_whole_or_as_it_was(manifest, tmp_path, monkeypatch):
    path = tmp_path / "manifest.parquet"
    manifest.write(path)

    def half(_, file, **__):
        file.write(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", half)
    with pytest.raises(ManifestError, match=r"manifest.parquet: cannot be written \(No space left"):
        manifest.write(path)
    assert Manifest.read(path).table.equals(manifest.table)
    assert [one.name for one in tmp_path.iterdir()] == ["manifest.parquet"]


def test_an_output_that_is_a_folder_or_an_input_is_refused(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("image\n")
    check_output(tmp_path / "m.parquet", table)
    with pytest.raises(ManifestError, match=r"is a folder; expected the name of a file to write"):
        check_output(tmp_path, table)
    with pytest.raises(ManifestError, match=r"t\.csv: is read too .*, and would be lost"):
        check_output(table, table)


def test_the_summary_counts_photos_species_places_times_and_splits(manifest):
    assert summary_lines(manifest) == [
        "3 observations in 2 photos",
        "1 of 1 species, 1 blank, 1 without a label",
        "1 with coordinates, 1 regions, 1 cameras",
        "1 with a time, from 2015-01-15 to 2015-01-15",
        "split: 2 train, 1 val, 0 test",
    ]


def test_nan_in_a_new_column_is_null(manifest):
    table = with_column(manifest.table, "latitude_deg", np.array([1.0, np.nan, 2.0]))
    assert table["latitude_deg"].to_pylist() == [1.0, None, 2.0]
    assert table.schema.equals(schema())


def test_rows_that_cannot_be_used_are_refused_with_their_reason():
    box = {"bbox_x": 0.5, "bbox_y": 0.5, "bbox_width": 0.25, "bbox_height": 0.25}
    rows = [
        row("good", **box),
        {"observation_id": "x"},
        row("good"),
        row("wide", **box | {"bbox_width": 0.6}),
        row("left", **box | {"bbox_x": -0.1}),
        row("flat", **box | {"bbox_height": 0.0}),
        row("half", bbox_x=0.5, bbox_y=0.5),
    ]
    kept, row_N, refused, _ = checked(rows)
    assert kept.strings("observation_id") == ["good"]
    assert row_N.tolist() == [1]
    assert refused == [
        Refused(2, "", "no image"),
        Refused(3, "good.jpg", "observation id 'good' was already used by row 1"),
        Refused(
            4,
            "wide.jpg",
            "box 0.5, 0.5, 0.6, 0.25 is not inside the photo; expected x, y, width, height in 0-1",
        ),
        Refused(
            5,
            "left.jpg",
            "box -0.1, 0.5, 0.25, 0.25 is not inside the photo; "
            "expected x, y, width, height in 0-1",
        ),
        Refused(
            6,
            "flat.jpg",
            "box 0.5, 0.5, 0.25, 0 is not inside the photo; expected x, y, width, height in 0-1",
        ),
        Refused(7, "half.jpg", "the box has some of x, y, width, height but not all"),
    ]


def test_the_id_of_a_refused_row_is_free_for_the_next():
    rows = [row("a", bbox_x=0.5), row("a")]
    kept, row_N, refused, _ = checked(rows)
    assert (row_N.tolist(), [one.row for one in refused]) == ([2], [1])
    assert len(kept) == 1


def test_a_box_that_rounding_pushed_over_the_edge_ends_at_the_edge():
    # 0.7 + 0.3005 = 1.0005: within the tolerance of 0.001, so the width becomes 1 - 0.7 = 0.3.
    cells = {"bbox_x": 0.7, "bbox_y": -0.0005, "bbox_width": 0.3005, "bbox_height": 0.5}
    kept, _, refused, _ = checked([row("a", **cells)])
    assert refused == []
    assert kept.bbox(0) == pytest.approx((0.7, 0.0, 0.3, 0.4995), abs=1e-6)


def test_a_photo_whose_coordinates_cannot_be_used_stays_without_them():
    places = [(-2.33, 34.83), (0, 0), (95, 200), (10, None), (None, None), (0, 10), (90, -180)]
    rows = [row(str(i), latitude_deg=lat, longitude_deg=lon) for i, (lat, lon) in enumerate(places)]
    kept, _, refused, notes = checked(rows)
    assert refused == []
    nowhere = [np.nan, np.nan]
    expected = [[-2.33, 34.83], nowhere, nowhere, nowhere, nowhere, [0, 10], [90, -180]]
    np.testing.assert_array_equal(kept.latlon_N2(), expected)
    assert notes == [
        "1 rows have only one of latitude and longitude; their coordinates are now empty "
        "(first: row 4, latitude 10, longitude nan)",
        "1 rows have coordinates out of range; their coordinates are now empty "
        "(first: row 3, latitude 95, longitude 200)",
        "1 rows have latitude 0, longitude 0 (a receiver without a fix); their coordinates are "
        "now empty (first: row 2, latitude 0, longitude 0)",
    ]


def test_swapped_coordinates_stop_with_the_way_out():
    rows = [row("a", latitude_deg=34.8, longitude_deg=-2.3)]
    rows += [row("b", latitude_deg=151.2, longitude_deg=-33.9)]
    with pytest.raises(CoordinateError) as caught:
        checked(rows)
    message = str(caught.value)
    assert message.startswith("row 2: latitude 151.2 and longitude -33.9 look swapped")
    assert "1 of 2 rows with coordinates" in message
    assert "--column latitude_deg=THEIR_LONGITUDE --column longitude_deg=" in message


def test_one_typing_mistake_in_ten_rows_is_not_a_swapped_table():
    rows = [row(str(i), latitude_deg=-33.9, longitude_deg=151.2) for i in range(9)]
    rows += [row("typo", latitude_deg=151.2, longitude_deg=-33.9)]
    kept, _, _, notes = checked(rows)
    assert np.isnan(kept.latlon_N2()).sum() == 2
    assert "1 rows have coordinates out of range" in notes[0]
