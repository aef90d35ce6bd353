"""iWildCam2020-WILDS in the form of its version 2.0, with the places of iWildCam 2021."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from homerange.cli import main
from homerange.data.importers.wilds import import_wilds
from homerange.data.manifest import Manifest, Refused
from homerange.errors import ManifestError
from homerange.profile.licence import licence_of

HEADER = (
    ",split,location_remapped,location,sequence_remapped,seq_id,y,category_id,datetime,filename,"
    "image_id"
)
CATEGORIES = """y,category_id,name
0,0,empty
1,2,tayassu pecari
2,3,motorcycle
99999,5,unused
"""
GPS = {
    "26": {"latitude": 0.41, "longitude": 36.9},
    "27": {"latitude": -2.6, "longitude": 29.4},
    "28": {"latitude": 51.5, "longitude": -0.1},
}
REAL_GPS = Path(__file__).parents[3] / "shared/geo/gps_locations.json"


@pytest.fixture
def data(tmp_path):
    """Write the folder ``iwildcam_v2.0`` with some rows; return it."""
    folder = tmp_path / "iwildcam_v2.0"
    (folder / "train").mkdir(parents=True)
    (folder / "categories.csv").write_text(CATEGORIES)

    def write(*rows):
        lines = [HEADER]
        for i, row in enumerate(rows):
            one = {"split": "train", "location": "26", "seq_id": "s1", "y": "1"} | row
            name = one.get("filename", f"{i}.jpg")
            (folder / "train" / name).touch()
            time = one.get("datetime", "2013-09-30 16:35:59.000")
            lines.append(
                f"{i},{one['split']},3,{one['location']},7,{one['seq_id']},{one['y']},2,{time},"
                f"{name},{i}-21bc-11ea"
            )
        (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
        (folder / "gps_locations.json").write_text(json.dumps(GPS))
        return folder

    return write


def cells(imported, *columns):
    return [tuple(row[name] for name in columns) for row in imported.manifest.table.to_pylist()]


def test_a_photo_has_its_camera_place_region_and_species(data):
    folder = data({})
    imported = import_wilds(folder, gps=folder / "gps_locations.json")
    assert imported.refused == []
    (row,) = imported.manifest.table.to_pylist()
    assert {name: value for name, value in row.items() if value is not None} == {
        "image": "train/0.jpg",
        "observation_id": "train/0.jpg",
        "species": "Tayassu pecari",
        "latitude_deg": 0.41,
        "longitude_deg": 36.9,
        "coordinate_uncertainty_m": 1000.0,
        "datetime": "2013-09-30T16:35:59",
        "region_id": "Kenya",
        "location_id": "26",
        "sequence_id": "s1",
        "split": "train",
        "source": "iWildCam2020-WILDS",
        "licence": "CDLA-Permissive-1.0",
    }
    assert licence_of([row["licence"]]).weights == "CDLA-Permissive"


def test_the_five_splits_become_three_and_cameras_stay(data):
    rows = [("train", "26"), ("val", "27"), ("test", "28"), ("id_val", "26"), ("id_test", "26")]
    folder = data(*({"split": split, "location": camera} for split, camera in rows))
    imported = import_wilds(folder / "metadata.csv")
    assert cells(imported, "split", "location_id") == [
        ("train", "26"),
        ("val", "27"),
        ("test", "28"),
        ("val", "26"),
        ("test", "26"),
    ]


def test_empty_is_a_blank_and_names_become_class_keys(data):
    imported = import_wilds(data({"y": "0"}, {"y": "1"}, {"y": "2"}))
    assert cells(imported, "species") == [("blank",), ("Tayassu pecari",), ("vehicle",)]


def test_regions_are_clusters_and_a_withheld_camera_has_neither_place_nor_region(data):
    folder = data(*({"location": camera} for camera in ("26", "27", "28", "400")))
    imported = import_wilds(folder, gps=folder / "gps_locations.json")
    got = cells(imported, "region_id", "latitude_deg", "coordinate_uncertainty_m")
    assert got == [
        ("Kenya", 0.41, 1000),
        ("Rwanda", -2.6, 1000),
        ("cluster 2", 51.5, 1000),
        (None, None, None),
    ]
    path = folder / "gps_locations.json"
    assert f"1 of 4 cameras have no place in {path}" in imported.notes


@pytest.mark.skipif(not REAL_GPS.is_file(), reason="the real GPS file of iWildCam is not here")
def test_the_real_cameras_lie_in_the_six_regions_of_the_paper(data):
    cameras = list(json.loads(REAL_GPS.read_text()))
    imported = import_wilds(data(*({"location": one} for one in cameras)), gps=REAL_GPS)
    regions = [region for (region,) in cells(imported, "region_id")]
    sizes = {name: regions.count(name) for name in dict.fromkeys(regions)}
    assert sizes == {
        "Kenya": 128,
        "Guatemala and Belize": 51,
        "Rwanda": 35,
        "Ecuador": 20,
        "Bolivia": 11,
        "Laos": 1,
    }


def test_without_places_the_photos_stay(data):
    assert cells(import_wilds(data({})), "latitude_deg", "region_id") == [(None, None)]


def test_photos_are_not_opened_for_places_that_were_withheld(data, monkeypatch):
    opened = []
    monkeypatch.setattr("homerange.data.importers.read_exif", opened.append)
    import_wilds(data({}))
    assert opened == []


def test_rows_that_cannot_be_used_are_refused_with_their_reason(data):
    folder = data({}, {"split": "extra"}, {"y": "77"}, {}, {"datetime": "2013-09-31 16:35:59"})
    (folder / "train/3.jpg").unlink()
    imported = import_wilds(folder)
    expected = "train, val, test, id_val, id_test"
    assert imported.refused == [
        Refused(2, "1.jpg", f"the split is 'extra'; expected one of {expected}"),
        Refused(3, "2.jpg", "no category has the y '77'"),
        Refused(4, "train/3.jpg", f"photo not found in {folder}"),
    ]
    assert cells(imported, "image", "datetime") == [
        ("train/0.jpg", "2013-09-30T16:35:59"),
        ("train/4.jpg", None),
    ]
    assert (
        "1 times are impossible or unreadable and are now empty, for example '2013-09-31 16:35:59' "
        "(row 5)"
    ) in imported.notes


def test_places_of_other_cameras_are_refused(data):
    folder = data({"location": "400"}, {"location": "401"})
    path = folder / "gps_locations.json"
    with pytest.raises(ManifestError) as caught:
        import_wilds(folder, gps=path)
    assert str(caught.value) == (
        f"{path}: knows none of the 2 cameras; expected their numbers, such as '400', as in "
        "gps_locations.json of iWildCam 2021"
    )


def test_the_verb_takes_the_folder_and_lists_what_it_refused(data, tmp_path):
    folder, manifest = data({}, {"y": "77"}), tmp_path / "m.parquet"
    gps = folder / "gps_locations.json"
    command = ["import", "wilds", folder, "--gps", gps, "-o", manifest]
    result = CliRunner().invoke(main, [str(word) for word in command])
    assert result.exit_code == 3
    assert Manifest.read(manifest).strings("region_id") == ["Kenya"]
    assert (tmp_path / "m.refused.csv").read_text().splitlines() == [
        "row,image,reason",
        "2,1.jpg,no category has the y '77'",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", r"gps.json: holds no location; expected latitude and longitude of each"),
        (
            '{"26": 5}',
            r"gps.json: location '26' is 5; expected a latitude in \[-90, 90\] and a long",
        ),
        ('{"26": {"latitude": 91.0, "longitude": 0}}', r"location '26' is .*; expected a latitude"),
        ('{"26": {"latitude": 1.0}}', r"location '26' is .*; expected a latitude"),
        ("[]", r"gps.json: holds a list; expected a JSON object"),
        ("{", r"gps.json: not a JSON file \("),
    ],
)
def test_places_in_another_form_are_refused(data, tmp_path, content, message):
    (tmp_path / "gps.json").write_text(content)
    with pytest.raises(ManifestError, match=message):
        import_wilds(data({}), gps=tmp_path / "gps.json")


def test_absent_files_are_named(data, tmp_path):
    folder = data({})
    with pytest.raises(ManifestError, match=r"none/metadata.csv: no such file"):
        import_wilds(tmp_path / "none/metadata.csv")
    with pytest.raises(ManifestError, match=r"gps.json: no such file"):
        import_wilds(folder, gps=tmp_path / "gps.json")
    (folder / "categories.csv").rename(tmp_path / "names.csv")
    with pytest.raises(ManifestError) as caught:
        import_wilds(folder)
    assert str(caught.value) == (
        f"{folder}/categories.csv: no such file. It belongs to iwildcam_v2.0 and names the "
        "classes; where it lies elsewhere, say so with --categories"
    )
    elsewhere = import_wilds(folder, categories=tmp_path / "names.csv")
    assert cells(elsewhere, "species") == [("Tayassu pecari",)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,b\n1,2\n",
            r"not the metadata of iWildCam2020-WILDS, it has no column split, location, ",
        ),
        ("", r"it has no column split, .*; it has nothing"),
        (HEADER + "\n1,2\n", r"cannot be read as the metadata .*CSV parse error: Expected 11 col"),
        (HEADER + "\n", r"metadata.csv has no rows; expected at least one photo"),
    ],
)
def test_metadata_in_another_form_are_refused(data, text, message):
    folder = data({})
    (folder / "metadata.csv").write_text(text)
    with pytest.raises(ManifestError, match=message):
        import_wilds(folder)


def test_metadata_in_another_alphabet_or_a_folder_are_refused(data, tmp_path):
    folder = data({})
    (folder / "metadata.csv").write_bytes("split,é\n".encode("latin-1"))
    with pytest.raises(ManifestError, match=r"metadata.csv: not a CSV file in UTF-8 \("):
        import_wilds(folder)
    (tmp_path / "metadata.csv").mkdir()
    with pytest.raises(ManifestError, match=r"metadata.csv: cannot be read \(Is a directory\)"):
        import_wilds(tmp_path)
