"""The files of the iNaturalist competitions, written here in the form of each year."""

import json

import pytest
from click.testing import CliRunner

from homerange.cli import main
from homerange.data.importers import inaturalist_json
from homerange.data.importers.inaturalist import import_inaturalist
from homerange.data.manifest import Manifest, Refused
from homerange.errors import ConfigError, ManifestError
from homerange.profile.licence import licence_of

CC = "http://creativecommons.org/licenses/by-nc/4.0/"
LICENCES = [
    {"id": 1, "name": "Attribution-NonCommercial License", "url": CC},
    {"id": 2, "name": "All Rights Reserved", "url": ""},
]
# 2017: a name and a supercategory.
CATEGORIES_2017 = [
    {"id": 4, "name": "Panthera leo", "supercategory": "Mammalia"},
    {"id": 9, "name": "Danaus plexippus", "supercategory": "Insecta"},
    {"id": 12, "name": "Quercus", "supercategory": "Plantae"},
]
# From 2018 on: ranks of the taxonomy; 2021 has common names too.
LION = {
    "id": 4,
    "name": "Panthera leo",
    "common_name": "Lion",
    "supercategory": "Mammals",
    "kingdom": "Animalia",
    "phylum": "Chordata",
    "class": "Mammalia",
    "order": "Carnivora",
    "family": "Felidae",
    "genus": "Panthera",
    "specific_epithet": "leo",
    "image_dir_name": "00004_Animalia_Chordata_Mammalia_Carnivora_Felidae_Panthera_leo",
}


def image(number, name=None, **cells):
    path = name or f"train_val_images/Mammalia/Panthera leo/{number:032x}.jpg"
    size = {"width": 800, "height": 600}
    return {
        "id": number,
        "file_name": path,
        "license": 1,
        "rights_holder": "Jo Doe",
        **size,
        **cells,
    }


def seen(number, category=4):
    return {"id": 1000 + number, "image_id": number, "category_id": category}


@pytest.fixture
def write(tmp_path):
    """Write one file of a competition, and empty photos."""

    def write(name, images, annotations=None, categories=CATEGORIES_2017, **others):
        content = {
            "info": {"year": 2017, "version": "1", "date_created": "2017-04-05 10:00:00"},
            "images": images,
            "licenses": LICENCES,
            "categories": categories,
        }
        if annotations is not None:
            content["annotations"] = annotations
        for one in images:
            if "file_name" in one:
                (tmp_path / one["file_name"]).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / one["file_name"]).touch()
        (tmp_path / name).write_text(json.dumps(content | others), encoding="utf-8")
        return tmp_path / name

    return write


def place(number, lat=-2.33, lon=34.83, date="2014-05-03 10:11:12+00:00", **cells):
    """An entry of a file of locations of 2017 or 2018."""
    there = {"lat": lat, "lon": lon, "loc_uncert": 31.0, "date": date, "date_c": 0.34}
    return {"id": number, **there, "user_id": 77, "valid": True} | cells


def cells(imported, *columns):
    return [tuple(row[name] for name in columns) for row in imported.manifest.table.to_pylist()]


def test_a_photo_of_2017_has_its_place_from_the_file_beside(write, tmp_path):
    source = write("train2017.json", [image(5)], [seen(5)])
    (tmp_path / "train2017_locations.json").write_text(json.dumps([place(3), place(5)]))
    imported = import_inaturalist([source])
    assert imported.refused == []
    (row,) = imported.manifest.table.to_pylist()
    assert row.pop("coordinate_uncertainty_m") == 31
    assert {name: value for name, value in row.items() if value is not None} == {
        "image": f"train_val_images/Mammalia/Panthera leo/{5:032x}.jpg",
        "observation_id": f"train_val_images/Mammalia/Panthera leo/{5:032x}.jpg",
        "species": "Panthera leo",
        "taxon_class": "Mammalia",
        "taxon_genus": "Panthera",
        "latitude_deg": -2.33,
        "longitude_deg": 34.83,
        "datetime": "2014-05-03T10:11:12+00:00",
        "sequence_id": "77 2014-05-03",
        "split": "train",
        "source": "train2017",
        "licence": CC,
    }
    place_note = f"places and dates of train2017.json from {tmp_path}/train2017_locations.json"
    assert place_note in imported.notes


def test_a_photo_of_2021_knows_its_place_and_its_taxonomy(write):
    there = {"latitude": -2.33, "longitude": 34.83, "location_uncertainty": 77}
    source = write(
        "val.json",
        [image(5, "val/00004_Animalia/5.jpg", date="2020-05-03 10:11:12+00:00", **there)],
        [seen(5)],
        [LION],
    )
    (row,) = import_inaturalist([source]).manifest.table.to_pylist()
    assert row["coordinate_uncertainty_m"] == 77
    assert (row["latitude_deg"], row["longitude_deg"]) == (-2.33, 34.83)
    assert row["datetime"] == "2020-05-03T10:11:12+00:00"
    # 2021 does not number its observers.
    assert row["sequence_id"] == "Jo Doe 2020-05-03"
    taxonomy = ("species", "common_name", "taxon_class", "taxon_order", "taxon_family")
    want = ["Panthera leo", "Lion", "Mammalia", "Carnivora", "Felidae", "Panthera", "val"]
    assert [row[name] for name in (*taxonomy, "taxon_genus", "split")] == want


def test_unknown_places_are_empty_whether_written_null_or_nan(write, tmp_path):
    none = {"latitude": None, "longitude": None, "location_uncertainty": None}
    nan = dict.fromkeys(none, float("nan"))
    known = {"latitude": 1.5, "longitude": 2.5, "location_uncertainty": float("nan")}
    images = [image(1, **none), image(2, **nan), image(3, **known)]
    imported = import_inaturalist([write("train.json", images, [seen(n) for n in (1, 2, 3)])])
    got = cells(imported, "latitude_deg", "longitude_deg", "coordinate_uncertainty_m")
    assert got == [(None, None, None), (None, None, None), (1.5, 2.5, None)]
    assert "2 rows have no coordinates" in imported.notes


def test_the_names_of_the_files_tell_the_splits(write):
    sources = [
        write("train2017.json", [image(1)], [seen(1)]),
        write("val2017.json", [image(2)], [seen(2, 9)]),
        write("test2017.json", [image(3, "test2017/3.jpg")]),
        write("train_mini.json", [image(4)], [seen(4)]),
    ]
    got = cells(import_inaturalist(sources), "split", "species", "source")
    assert got == [
        ("train", "Panthera leo", "train2017"),
        ("val", "Danaus plexippus", "val2017"),
        ("test", None, "test2017"),
        ("train", "Panthera leo", "train_mini"),
    ]


def test_a_photo_of_an_observer_who_has_photos_on_both_sides_is_told(write, tmp_path):
    sources = [
        write("train2017.json", [image(1), image(2)], [seen(1), seen(2)]),
        write("val2017.json", [image(3)], [seen(3)]),
    ]
    (tmp_path / "train2017_locations.json").write_text(json.dumps([place(1), place(2, user_id=8)]))
    (tmp_path / "val2017_locations.json").write_text(json.dumps([place(3)]))
    imported = import_inaturalist(sources)
    assert cells(imported, "sequence_id", "split") == [
        ("77 2014-05-03", "train"),
        ("8 2014-05-03", "train"),
        ("77 2014-05-03", "val"),
    ]
    divided = [note for note in imported.notes if note.startswith("1 cameras, sequences or bursts")]
    assert len(divided) == 1


def test_only_a_class_of_the_taxonomy_is_read_from_a_supercategory(write):
    images = [image(n) for n in (1, 2, 3)]
    imported = import_inaturalist(
        [write("train2017.json", images, [seen(1), seen(2, 9), seen(3, 12)])]
    )
    assert cells(imported, "species", "taxon_class", "taxon_genus") == [
        ("Panthera leo", "Mammalia", "Panthera"),
        ("Danaus plexippus", "Insecta", "Danaus"),
        ("Quercus", None, None),
    ]


def test_licences_are_in_words_that_a_world_can_rank(write):
    images = [image(1), image(2, license=2), image(3, license=None)]
    imported = import_inaturalist([write("train2017.json", images, [seen(n) for n in (1, 2, 3)])])
    got = [licence for (licence,) in cells(imported, "licence")]
    assert got == [CC, "All Rights Reserved", None]
    assert licence_of(got[:1]).weights == "CC BY-NC"
    assert licence_of(got[:2]).weights == "all rights reserved"


def test_hidden_names_are_refused_and_the_real_ones_taken(write, tmp_path):
    hidden = [{"id": 4, "name": "2853", "supercategory": "6", "class": "31"}]
    source = write("train2018.json", [image(1)], [seen(1)], hidden)
    with pytest.raises(ManifestError) as caught:
        import_inaturalist([source])
    assert str(caught.value) == (
        f"{source}: none of its 1 categories has a scientific name (the first is '2853'). The "
        "competitions of 2018 and 2019 hid them: give the real ones with --categories "
        "categories.json"
    )
    real = tmp_path / "categories.json"
    real.write_text(json.dumps([LION]))
    assert cells(import_inaturalist([source], categories=real), "species", "taxon_order") == [
        ("Panthera leo", "Carnivora")
    ]


def test_locations_elsewhere_are_named_by_their_folder(write, tmp_path):
    source = write("train2017.json", [image(1)], [seen(1)])
    test = write("test2017.json", [image(2)])  # which has no places in any year
    (tmp_path / "places").mkdir()
    with pytest.raises(ManifestError) as caught:
        import_inaturalist([source, test], locations=tmp_path / "places")
    assert str(caught.value) == (
        f"{tmp_path}/places: no such file in this folder; expected train2017_locations.json or "
        "test2017_locations.json"
    )
    (tmp_path / "places/train2017_locations.json").write_text(json.dumps([place(1, lat=5.5)]))
    imported = import_inaturalist([source, test], locations=tmp_path / "places")
    assert cells(imported, "latitude_deg") == [(5.5,), (None,)]


def test_without_any_places_the_user_is_told_which_file_is_missing(write, tmp_path):
    imported = import_inaturalist([write("train2017.json", [image(1)], [seen(1)])])
    assert (
        f"train2017.json gives no places, and {tmp_path}/train2017_locations.json is not there: "
        "its rows have none. Name the folder of that file with --locations"
    ) in imported.notes


def test_broken_entries_are_refused_with_their_reason_and_rows_count_on(write):
    images = [image(1), {"id": 2, "width": 1}, image(3)]
    first = write("train2017.json", images, [seen(1), seen(1, 99), seen(8), seen(2)])
    second = write("val2017.json", [image(4)], [seen(5), seen(4)])
    (first.parent / images[2]["file_name"]).unlink()
    imported = import_inaturalist([first, second])
    assert [row for (row,) in cells(imported, "image")] == [
        images[0]["file_name"],
        image(4)["file_name"],
    ]
    # Rows 1 to 4 are the annotations of the first file, 5 its photo without one; then the second.
    assert imported.refused == [
        Refused(2, images[0]["file_name"], "no category has the id 99"),
        Refused(3, "", "no image has the id 8"),
        Refused(4, "", "no image"),
        Refused(5, images[2]["file_name"], f"photo not found in {first.parent}"),
        Refused(6, "", "no image has the id 5"),
    ]


def test_a_photo_with_two_labels_is_two_rows_and_boxes_are_told(write):
    boxed = seen(1, 9) | {"bbox": [1, 2, 3, 4], "area": 6.0, "iscrowd": 0}
    imported = import_inaturalist([write("train2017.json", [image(1)], [seen(1), boxed])])
    path = image(1)["file_name"]
    assert cells(imported, "observation_id", "species") == [
        (path, "Panthera leo"),
        (f"{path}#2", "Danaus plexippus"),
    ]
    assert (
        "1 annotations of train2017.json have boxes, which are not read here: homerange import "
        "coco reads them, without places"
    ) in imported.notes


def test_an_impossible_time_is_told(write, tmp_path):
    source = write("train2017.json", [image(1)], [seen(1)])
    (tmp_path / "train2017_locations.json").write_text(json.dumps([place(1, date="2014-02-31")]))
    imported = import_inaturalist([source])
    assert cells(imported, "datetime", "sequence_id") == [(None, None)]
    assert (
        "1 times are impossible or unreadable and are now empty, for example '2014-02-31' (row 1)"
    ) in imported.notes


def test_cells_of_at_most_so_many_rows_become_the_regions(write, tmp_path):
    # Boston 4/103 and Lima 4/202 share the face 4 with three photos; London 2/100 is alone on 2.
    boston, lima, london = (42.36, -71.06), (-12.0, -77.0), (51.5, -0.12)
    places = [boston, boston, lima, london, (None, None)]
    source = write("train2017.json", [image(n) for n in range(5)], [seen(n) for n in range(5)])
    entries = [place(n, *latlon) for n, latlon in enumerate(places)]
    (tmp_path / "train2017_locations.json").write_text(json.dumps(entries))
    imported = import_inaturalist([source], cells=2)
    assert [region for (region,) in cells(imported, "region_id")] == [
        "4/1",
        "4/1",
        "4/2",
        "2/",
        None,
    ]
    assert "3 S2 cells of at most 2 rows are the regions" in imported.notes
    with pytest.raises(ConfigError, match="n_max is 0; expected at least 1 photo in a cell"):
        import_inaturalist([source], cells=0)


def test_photos_are_not_opened_for_places_that_inaturalist_withheld(write, monkeypatch):
    opened = []
    monkeypatch.setattr("homerange.data.importers.read_exif", opened.append)
    import_inaturalist([write("train2017.json", [image(1)], [seen(1)])])
    assert opened == []


def test_a_file_whose_name_tells_no_split_is_refused(write):
    source = write("annotations.json", [image(1)], [seen(1)])
    with pytest.raises(ManifestError) as caught:
        import_inaturalist([source])
    assert str(caught.value) == (
        f"{source}: its name tells no split; expected one that begins with train, val or test, as "
        "in train2017.json"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"train.json: not a JSON file of an iNaturalist competition \(JSON parse error"),
        ("[]", r"\(JSON parse error: Column\(\) changed from object to array in row 0\)"),
        ('{"images": 5}', r"Column\(/images\) changed from array to number in row 0"),
        (
            '{"images": [{"id": "a1"}], "categories": []}',
            r"Other COCO files are read by: homerange",
        ),
        ('{"images": []}', r"not of an iNaturalist competition, it has no list 'categories'"),
        ('{"categories": [{"id": 1, "name": "Panthera leo"}]}', r"it has no list 'images'"),
        (
            '{"images": [], "categories": []}',
            r"none of its 0 categories has a scientific name. The",
        ),
        (
            '{"images": [], "categories": [{"id": 1, "name": "Panthera leo"}]}',
            r"train.json has no rows; expected at least one photo",
        ),
    ],
)
def test_files_of_another_kind_say_so(tmp_path, text, message):
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(ManifestError, match=message):
        import_inaturalist([tmp_path / "train.json"])


def test_a_list_of_another_kind_says_so(write, tmp_path):
    source = write("train2017.json", [image(1)], [seen(1)])
    (tmp_path / "train2017_locations.json").write_text("[]")
    with pytest.raises(ManifestError, match=r"expected a list of objects with an id; it has none"):
        import_inaturalist([source])


def test_a_folder_and_an_absent_file_are_named(tmp_path):
    (tmp_path / "train.json").mkdir()
    with pytest.raises(ManifestError, match=r"train.json: cannot be read \(Is a directory\)"):
        import_inaturalist([tmp_path / "train.json"])
    with pytest.raises(ManifestError, match=r"val.json: no such file"):
        import_inaturalist([tmp_path / "val.json"])


def test_a_file_that_is_too_large_says_so(write, monkeypatch):
    source = write("train2017.json", [image(1)], [seen(1)])
    monkeypatch.setattr(inaturalist_json, "_LARGEST_BYTES", 100)
    with pytest.raises(ManifestError, match=r"is larger than 2 GB, which is more than can be read"):
        import_inaturalist([source])


def test_a_mark_at_the_start_and_names_in_every_script_do_no_harm(write, tmp_path):
    source = write("train2017.json", [image(1, rights_holder="Zoë 山田")], [seen(1)])
    text = json.dumps(json.loads(source.read_text()), ensure_ascii=False, indent=1)
    source.write_text("\ufeff" + text, encoding="utf-8")
    (tmp_path / "train2017_locations.json").write_text(json.dumps([place(1, user_id=None)]))
    assert cells(import_inaturalist([source]), "sequence_id") == [("Zoë 山田 2014-05-03",)]


def test_the_verb_passes_on_every_option(write, tmp_path):
    sources = [write("train2018.json", [image(1)], [seen(1)]), write("val2018.json", [image(2)])]
    (tmp_path / "places").mkdir()
    for n, source in enumerate(sources, start=1):
        (tmp_path / f"places/{source.stem}_locations.json").write_text(json.dumps([place(n)]))
    (tmp_path / "categories.json").write_text(json.dumps([LION]))
    command = ["import", "inaturalist", *sources, "--locations", tmp_path / "places", "--photos"]
    command += [tmp_path, "--categories", tmp_path / "categories.json", "--cells", 5]
    result = CliRunner().invoke(
        main, [str(word) for word in (*command, "-o", tmp_path / "m.parquet")]
    )
    assert result.exit_code == 0, result.output
    names = ("split", "taxon_family", "region_id", "latitude_deg")
    rows = Manifest.read(tmp_path / "m.parquet").table.select(names).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("train", "Felidae", "0/", -2.33),
        ("val", None, "0/", -2.33),
    ]


def test_photos_may_lie_in_another_folder(write, tmp_path):
    source = write("train2017.json", [image(1)], [seen(1)])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "train_val_images").rename(tmp_path / "elsewhere/train_val_images")
    with pytest.raises(
        ManifestError, match=r"photo not found in .* name their folder with --photos"
    ):
        import_inaturalist([source])
    imported = import_inaturalist([source], photos=tmp_path / "elsewhere")
    assert imported.manifest.image_path(0).is_file()
