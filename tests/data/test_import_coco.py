"""COCO Camera Traps and iWildCam files become manifests, with boxes, places and cameras."""

import json

import pytest

from homerange.data.importers.coco_camera_traps import import_coco
from homerange.data.manifest import Refused
from homerange.errors import ManifestError

IMAGE = {"id": "i1", "file_name": "a.jpg", "width": 2000, "height": 1000}
CATEGORIES = [
    {"id": 0, "name": "empty"},
    {"id": 1, "name": "Panthera leo"},
    {"id": 2, "name": "red deer"},
    {"id": 3, "name": "human"},
    {"id": 4, "name": "tayassu pecari"},
]


@pytest.fixture
def coco(tmp_path):
    """Write a COCO file and empty photos; return the path of the file."""

    def write(images=(IMAGE,), annotations=(), **others):
        content = {"images": list(images), "annotations": list(annotations)}
        content |= {"categories": CATEGORIES} | others
        for image in content["images"]:
            if isinstance(image, dict) and "file_name" in image:
                (tmp_path / image["file_name"]).touch()
        (tmp_path / "data.json").write_text(json.dumps(content), encoding="utf-8")
        return tmp_path / "data.json"

    return write


def seen(category, image="i1", **cells):
    return {"id": f"{image}-{category}", "image_id": image, "category_id": category, **cells}


def test_an_annotation_with_a_box_in_pixels_is_a_row(coco):
    image = IMAGE | {
        "datetime": "2013-06-05 05:44:19.000",
        "location": 26,
        "seq_id": "s1",
        "license": 1,
    }
    # 500 of 2000 is 0.25, 100 of 1000 is 0.1, 1000 of 2000 is 0.5, 400 of 1000 is 0.4.
    source = coco(
        [image], [seen(1, bbox=[500, 100, 1000, 400])], licenses=[{"id": 1, "name": "CC0"}]
    )
    imported = import_coco(source)
    assert imported.refused == []
    (row,) = imported.manifest.table.to_pylist()
    box = [row.pop(f"bbox_{side}") for side in ("x", "y", "width", "height")]
    assert box == pytest.approx([0.25, 0.1, 0.5, 0.4])
    assert {name: value for name, value in row.items() if value is not None} == {
        "image": "a.jpg",
        "observation_id": "i1-1",
        "species": "Panthera leo",
        "datetime": "2013-06-05T05:44:19",
        "location_id": "26",
        "sequence_id": "s1",
        "split": "train",
        "source": "data",
        "licence": "CC0",
    }


def test_a_relative_box_needs_no_size_of_the_photo(coco):
    image = {"id": "i1", "file_name": "a.jpg"}
    box = [0.25, 0.1, 0.5, 0.4]
    imported = import_coco(coco([image], [seen(1, bbox_relative=box, bbox=[1, 2, 3, 4])]))
    assert imported.manifest.bbox(0) == pytest.approx(box)


@pytest.mark.parametrize(
    ("category", "species", "common_name"),
    [
        (0, "blank", None),
        (1, "Panthera leo", None),
        (2, "Red deer", "red deer"),
        (3, "person", None),
        (4, "Tayassu pecari", "tayassu pecari"),
    ],
)
def test_categories_become_class_keys_and_keep_common_names(coco, category, species, common_name):
    (row,) = import_coco(coco(annotations=[seen(category)])).manifest.table.to_pylist()
    assert (row["species"], row["common_name"]) == (species, common_name)


def test_several_animals_are_several_rows_and_a_photo_without_labels_is_one(coco):
    images = [IMAGE, IMAGE | {"id": "i2", "file_name": "b.jpg"}]
    manifest = import_coco(coco(images, [seen(1), seen(2)])).manifest
    assert manifest.strings("image") == ["a.jpg", "a.jpg", "b.jpg"]
    assert manifest.strings("species") == ["Panthera leo", "Red deer", None]
    assert manifest.strings("observation_id") == ["i1-1", "i1-2", "b.jpg"]


def test_a_test_set_without_annotations_is_read(coco):
    source = coco()
    content = json.loads(source.read_text())
    del content["annotations"]
    source.write_text(json.dumps(content))
    assert import_coco(source).manifest.strings("species") == [None]


def test_coordinates_come_from_the_photo_or_by_its_location(coco, tmp_path):
    images = [
        IMAGE | {"location": 26},
        IMAGE | {"id": "i2", "file_name": "b.jpg", "location": 27, "lat": 1.5, "lon": 2.5},
        IMAGE | {"id": "i3", "file_name": "c.jpg", "location": 28},
    ]
    (tmp_path / "gps.json").write_text('{"26": {"latitude": -2.33, "longitude": 34.83}}')
    manifest = import_coco(coco(images), gps=tmp_path / "gps.json").manifest
    assert manifest.table["latitude_deg"].to_pylist() == [-2.33, 1.5, None]
    assert manifest.table["longitude_deg"].to_pylist() == [34.83, 2.5, None]


def test_broken_entries_are_refused_with_their_reason(coco, tmp_path):
    images = [
        IMAGE,
        {"id": "i2"},
        IMAGE | {"id": "i3", "file_name": "c.jpg", "corrupt": True},
        {"id": "i4", "file_name": "d.jpg"},
        IMAGE | {"id": "i5", "file_name": "e.jpg"},
        7,
    ]
    annotations = [
        seen(1),
        seen(99),
        seen(1, "none"),
        seen(1, "i4", bbox=[1, 2, 3, 4]),
        seen(1, "i5", bbox=[1, 2, 3]),
        seen(2, bbox=[1900, 0, 200, 100]),
        seen(1),
        "x",
    ]
    source = coco(images, annotations)
    (tmp_path / "e.jpg").unlink()
    imported = import_coco(source)
    assert imported.manifest.strings("observation_id") == ["i1-1"]
    outside = "box 0.95, 0, 0.1, 0.1 is not inside the photo; expected x, y, width, height in 0-1"
    assert imported.refused == [
        Refused(2, "a.jpg", "no category has the id '99'"),
        Refused(3, "", "no image has the id 'none'"),
        Refused(4, "d.jpg", "the box is in pixels, but the image has no width and height"),
        Refused(5, "e.jpg", "the box is [1, 2, 3]; expected [x, y, width, height]"),
        Refused(6, "a.jpg", outside),
        Refused(7, "a.jpg", "observation id 'i1-1' was already used by row 1"),
        Refused(8, "", "no image has the id ''"),
        Refused(9, "", "the image has no file_name"),
        Refused(10, "c.jpg", "the data set marks the photo as corrupt"),
        Refused(11, "", "the image has no file_name"),
    ]


def test_impossible_times_and_labels_of_whole_sequences_are_told(coco):
    image = IMAGE | {"datetime": "2013-06-31 05:44:19"}
    imported = import_coco(coco([image], [seen(1, sequence_level_annotation=True)]))
    assert imported.manifest.strings("datetime") == [None]
    assert (
        "1 times are impossible or unreadable and are now empty, "
        "for example '2013-06-31 05:44:19' (row 1)"
    ) in imported.notes
    assert (
        "1 labels were given to whole sequences: some of their photos may be blank"
    ) in imported.notes


def test_photos_of_one_camera_stay_on_one_side(coco):
    images = [
        IMAGE | {"id": f"i{n}", "file_name": f"{n}.jpg", "location": n % 5} for n in range(60)
    ]
    manifest = import_coco(coco(images, [seen(1, f"i{n}") for n in range(60)])).manifest
    cameras = zip(manifest.strings("location_id"), manifest.strings("split"), strict=True)
    assert len(set(cameras)) == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"data.json: not a JSON file \("),
        ("[]", r"data.json: holds a list; expected a JSON object"),
        ('{"images": []}', r"not COCO Camera Traps, it has no list 'categories'; it has images"),
        ('{"detections": 1}', r"it has no list 'images'; it has detections"),
        ('{"images": [], "categories": []}', r"data.json has no rows; expected at least one photo"),
    ],
)
def test_files_that_are_not_coco_say_so(tmp_path, text, message):
    (tmp_path / "data.json").write_text(text)
    with pytest.raises(ManifestError, match=message):
        import_coco(tmp_path / "data.json")


def test_an_absent_file_is_named(coco, tmp_path):
    with pytest.raises(ManifestError, match=r"absent.json: no such file"):
        import_coco(tmp_path / "absent.json")
    with pytest.raises(ManifestError, match=r"gps.json: no such file"):
        import_coco(coco(), gps=tmp_path / "gps.json")
