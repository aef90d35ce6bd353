"""iNaturalist-Geo, written here in both of its forms, beside small files of iNaturalist 2017."""

import json
from collections import Counter

import pytest
from click.testing import CliRunner

from homerange.cli import main
from homerange.data.importers.inat_geo import import_inat_geo
from homerange.data.manifest import Manifest, Refused
from homerange.errors import ManifestError

CATEGORIES = [
    {"id": 4, "name": "Panthera leo", "supercategory": "Mammalia"},
    {"id": 9, "name": "Danaus plexippus", "supercategory": "Insecta"},
]


def stem(number):
    """The name of a photo's file in iNaturalist 2017 looks like this."""
    return f"{number:06x}ab"


@pytest.fixture
def annotations(tmp_path):
    """Photos 1 to 40 in train2017.json, lions and butterflies in turn; 41 to 44 have no label."""

    def write(name, numbers, labelled):
        images = [
            {"id": n, "file_name": f"{name}/Mammalia/Panthera leo/{stem(n)}.jpg"} for n in numbers
        ]
        content = {"images": images, "categories": CATEGORIES}
        if labelled:
            content["annotations"] = [
                {"id": n, "image_id": n, "category_id": 4 if n % 2 else 9} for n in numbers
            ]
        for image in images:
            (tmp_path / image["file_name"]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / image["file_name"]).touch()
        places = [{"id": n, "lat": 50.0 + n / 100, "lon": 8.0, "date": None} for n in numbers]
        (tmp_path / f"{name}2017_locations.json").write_text(json.dumps(places))
        (tmp_path / f"{name}2017.json").write_text(json.dumps(content))
        return tmp_path / f"{name}2017.json"

    return [write("train", range(1, 41), True), write("test", range(41, 45), False)]


@pytest.fixture
def split(tmp_path):
    """Write a CSV of the split from its lines."""

    def write(*lines, name="federated_train_geo_10k.csv", header="user_id,image_id,class,label"):
        (tmp_path / name).write_text("\n".join([header, *lines]) + "\n")
        return tmp_path / name

    return write


def test_file(split, *lines):
    return split(*lines, name="test.csv", header="image_id,class,label")


test_file.__test__ = False  # a helper


def rows_of(imported, *columns):
    return [tuple(row[name] for name in columns) for row in imported.manifest.table.to_pylist()]


def test_a_training_photo_has_its_cell_and_what_inaturalist_knows_of_it(split, annotations):
    # A cell of two photos gives one to val, so three more say which rule is at work.
    source = split(f"2/0,{stem(3)},0,4", f"2/0,{stem(4)},1,9")
    imported = import_inat_geo(source, annotations=annotations)
    assert imported.refused == []
    first, second = imported.manifest.table.to_pylist()
    assert {name: value for name, value in first.items() if value is not None} == {
        "image": f"train/Mammalia/Panthera leo/{stem(3)}.jpg",
        "observation_id": f"train/Mammalia/Panthera leo/{stem(3)}.jpg",
        "species": "Panthera leo",
        "taxon_class": "Mammalia",
        "taxon_genus": "Panthera",
        "latitude_deg": 50.03,
        "longitude_deg": 8.0,
        "region_id": "2/0",
        "split": first["split"],
        "source": "train2017",
    }
    assert second["species"] == "Danaus plexippus"
    assert {first["split"], second["split"]} == {"train", "val"}


@pytest.mark.parametrize(
    ("photos", "val"),
    # The paper's table 1 has 8766 -> 7012 + 1754 (1753.2 rounded up), 272 -> 217 + 55 (54.4).
    [(1, 0), (2, 1), (5, 1), (6, 2), (10, 2), (11, 3), (30, 6)],
)
def test_a_fifth_of_each_cell_rounded_up_is_val_but_never_all(split, annotations, photos, val):
    lines = [f"2/0,{stem(n)},0," for n in range(1, photos + 1)]
    other = [f"0/,{stem(n)},0," for n in range(31, 41)]
    found = Counter(
        rows_of(
            import_inat_geo(split(*lines, *other), annotations=annotations), "region_id", "split"
        )
    )
    assert (found[("2/0", "train")], found[("2/0", "val")]) == (photos - val, val)
    assert (found[("0/", "train")], found[("0/", "val")]) == (8, 2)


def test_table_1_of_the_paper_follows_that_rule():
    from homerange.data.importers.inat_geo import _val_N

    table_1 = {8766: 1754, 6617: 1324, 4550: 910, 1852: 371, 695: 139, 272: 55}
    for photos, val in table_1.items():
        ids = [str(n) for n in range(photos)]
        assert _val_N(ids, ["2/1"] * photos, seed=0).sum() == val


def test_the_choice_depends_on_the_seed_and_not_on_the_order_of_the_rows(split, annotations):
    lines = [f"2/{n % 3},{stem(n)},0," for n in range(1, 41)]

    def val(lines, seed):
        imported = import_inat_geo(split(*lines), annotations=annotations, seed=seed)
        return {image for image, name in rows_of(imported, "image", "split") if name == "val"}

    assert val(lines, 0) == val(lines[::-1], 0)
    assert val(lines, 0) != val(lines, 1)


def test_test_photos_have_the_species_of_their_label_and_no_cell(split, annotations):
    test = test_file(split, f"{stem(41)},1,9", f"{stem(5)},0,4")
    imported = import_inat_geo(split(f"2/0,{stem(3)},0,4"), annotations=annotations, test=test)
    assert rows_of(imported, "species", "region_id", "split", "source") == [
        ("Panthera leo", "2/0", "train", "train2017"),
        ("Danaus plexippus", None, "test", "test2017"),
        ("Panthera leo", None, "test", "train2017"),
    ]


def test_ids_of_digits_are_those_of_inaturalist_2017(split, annotations):
    imported = import_inat_geo(split("2/0,3,0,4"), annotations=annotations)
    assert rows_of(imported, "image") == [(f"train/Mammalia/Panthera leo/{stem(3)}.jpg",)]


def test_the_one_csv_of_tensorflow_federated_is_read_by_its_column(split, annotations):
    source = split(
        f"2/00,2/0,{stem(3)},0",
        f"NA,4/1,{stem(4)},1",
        f"0/1,NA,{stem(5)},0",
        header="geo_1k,geo_10k,image_id,class",
    )
    imported = import_inat_geo(source, annotations=annotations, column="geo_10k")
    assert rows_of(imported, "region_id", "species") == [
        ("2/0", "Panthera leo"),
        ("4/1", "Danaus plexippus"),
    ]
    assert "1 training photos are in no cell (NA) and are left out" in imported.notes


def test_rows_that_do_not_fit_are_refused_with_their_reason(split, annotations):
    source = split(
        f"2/0,{stem(3)},0,4",
        f"2/0,{stem(3)},0,9",
        f"2/0,{stem(5)},0,lion",
        f"2/0,{stem(99)},0,4",
        f"NA,{stem(7)},0,4",
    )
    test = test_file(split, f"{stem(41)},1,", f"{stem(42)},1,77", f"{stem(43)},1,9")
    imported = import_inat_geo(source, annotations=annotations, test=test)
    assert len(imported.manifest) == 2
    files = "train2017.json or test2017.json"
    # Rows 1 to 5 are those of the first CSV, and 6 to 8 those of the second.
    assert imported.refused == [
        Refused(2, stem(3), f"the label is another category than in {files}"),
        Refused(3, stem(5), "the label is no number"),
        Refused(4, stem(99), f"no photo of {files} has this id"),
        Refused(6, stem(41), f"neither a label nor {files} names the photo"),
        Refused(7, stem(42), f"the label is no category of {files}"),
    ]


@pytest.mark.parametrize("cell", ["17", "NULL", "6/1", ""])
def test_a_split_by_user_is_not_taken_for_one_by_place(split, annotations, cell):
    source = split(f"{cell},{stem(3)},0,4", f"2/0,{stem(4)},0,9")
    with pytest.raises(ManifestError) as caught:
        import_inat_geo(source, annotations=annotations)
    assert str(caught.value) == (
        f"{source}: the column user_id has {cell or None!r}; expected S2 cells such as 2/1. Is "
        "this the split by user, not by place?"
    )


def test_a_file_without_the_columns_says_what_it_has(split, annotations):
    source = split("2/0,1,0", header="geo_10k,image_id,class")
    with pytest.raises(ManifestError) as caught:
        import_inat_geo(source, annotations=annotations)
    assert str(caught.value) == (
        f"{source}: not a training split of iNaturalist-Geo, it has no column user_id; it has "
        "geo_10k, image_id, class"
    )
    test = split("1,2", name="test.csv", header="id,class")
    with pytest.raises(ManifestError, match=r"test.csv: not the test split of iNaturalist-Geo, it"):
        import_inat_geo(split(f"2/0,{stem(3)},0,4"), annotations=annotations, test=test)


def test_the_verb_passes_on_every_option(split, annotations, tmp_path):
    source = split(*(f"2/0,{stem(n)},0" for n in range(1, 11)), header="geo_10k,image_id,class")
    test = test_file(split, f"{stem(41)},1,9")
    (tmp_path / "places").mkdir()
    for one in annotations:
        path = one.with_name(f"{one.stem}_locations.json")
        path.rename(tmp_path / "places" / path.name)
    command = ["import", "inat-geo", source, "--test", test, "--column", "geo_10k", "--seed", 3]
    command += [word for one in annotations for word in ("--annotations", one)]
    command += ["--locations", tmp_path / "places", "--photos", tmp_path]
    result = CliRunner().invoke(
        main, [str(word) for word in (*command, "-o", tmp_path / "m.parquet")]
    )
    assert result.exit_code == 0, result.output
    want = import_inat_geo(
        source,
        annotations=annotations,
        test=test,
        column="geo_10k",
        locations=tmp_path / "places",
        seed=3,
    )
    assert Manifest.read(tmp_path / "m.parquet").table.equals(want.manifest.table)
    assert "11 with coordinates, 1 regions, 0 cameras" in result.output


def test_annotations_of_other_photos_leave_nothing(split, annotations):
    with pytest.raises(ManifestError) as caught:
        import_inat_geo(split(f"2/0,{stem(3)},0,4"), annotations=annotations[1:])
    assert str(caught.value).endswith(
        f"none of its 1 rows can be used. Row 1, {stem(3)}: no photo of test2017.json has this id"
    )
