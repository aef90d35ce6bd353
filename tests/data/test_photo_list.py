"""Photos of a place, and lists of photos that other tools read."""

import csv
from pathlib import Path

import pyarrow as pa
import pytest

from homerange.data.manifest import Manifest, schema
from homerange.data.photo_list import near, write_photo_list
from homerange.errors import ManifestError, PlaceError
from homerange.geo.cells import parse_cell
from homerange.geo.place import Cell, Circle

# One degree of latitude is 111.2 km, so b lies 111 km north of a.
AT = {"a": (-2.0, 34.0), "b": (-1.0, 34.0), "fiji": (-16.8, 179.95), "taveuni": (-16.8, -179.95)}


@pytest.fixture
def manifest(tmp_path):
    rows = [
        {
            "image": f"{name}.jpg",
            "observation_id": name,
            "species": "Panthera leo",
            "latitude_deg": latitude,
            "longitude_deg": longitude,
        }
        for name, (latitude, longitude) in AT.items()
    ]
    rows.append({"image": "nowhere.jpg", "observation_id": "nowhere"})
    return Manifest(pa.Table.from_pylist(rows, schema=schema()), tmp_path / "photos")


def ids(manifest):
    return manifest.strings("observation_id")


def test_a_circle_takes_the_photos_inside_it(manifest):
    assert ids(near(manifest, Circle(-2.0, 34.0, 111.0))) == ["a"]
    assert ids(near(manifest, Circle(-2.0, 34.0, 111.5))) == ["a", "b"]


def test_a_circle_on_the_dateline_takes_both_sides(manifest):
    assert ids(near(manifest, Circle(-16.8, 180.0, 20.0))) == ["fiji", "taveuni"]


def test_a_cell_takes_the_photos_inside_it(manifest):
    # Face 1 of the cube is centred on 90 east, so 34 east is on face 0 and 180 on face 3.
    assert ids(near(manifest, Cell(parse_cell("0/")))) == ["a", "b"]
    assert ids(near(manifest, Cell(parse_cell("3/")))) == ["fiji", "taveuni"]


def test_a_place_without_photos_is_an_error_that_counts_them(manifest):
    expected = r"none of 5 photos was taken here: within 50 km of 0.0000, 0.0000; 4 of them have"
    with pytest.raises(PlaceError, match=expected):
        near(manifest, Circle(0.0, 0.0, 50.0))


def test_what_to_try_next_fits_the_kind_of_place(manifest):
    with pytest.raises(PlaceError, match="Try another place or a larger --radius-km"):
        near(manifest, Circle(0.0, 0.0, 50.0))
    with pytest.raises(PlaceError, match="Try another place or a coarser cell"):
        near(manifest, Cell(parse_cell("5/")))


def test_photos_that_have_no_coordinates_are_nowhere(manifest):
    rows = Manifest(manifest.table.slice(4), manifest.root)
    with pytest.raises(PlaceError, match=r"none of 1 photos .* 0 of them have coordinates"):
        near(rows, Circle(0.0, 0.0, 20_000.0))


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_list_has_each_photo_once_with_its_first_species(tmp_path, monkeypatch):
    rows = [
        {"image": "s/1.jpg", "observation_id": "1", "species": "Ñandú"},
        {"image": "s/1.jpg", "observation_id": "2", "species": "Lepus europaeus"},
        {"image": "2.jpg", "observation_id": "3", "latitude_deg": -2.5, "longitude_deg": 34.25},
    ]
    monkeypatch.chdir(tmp_path)
    manifest = Manifest(pa.Table.from_pylist(rows, schema=schema()), Path("photos"))
    path = tmp_path / "lists" / "some.csv"
    assert write_photo_list(manifest, path) == 2
    root = (tmp_path / "photos").resolve().as_posix()
    assert read(path) == [
        {"file": f"{root}/s/1.jpg", "species": "Ñandú", "latitude": "", "longitude": ""},
        {"file": f"{root}/2.jpg", "species": "", "latitude": "-2.5", "longitude": "34.25"},
    ]


def test_a_list_is_whole_or_as_it_was(manifest, tmp_path):
    path = tmp_path / "list.csv"
    write_photo_list(manifest, path)
    before = path.read_text()
    web = {"image": "https://example.org/1.jpg", "observation_id": "web"}
    rows = pa.concat_tables([manifest.table, pa.Table.from_pylist([web], schema=schema())])
    with pytest.raises(ManifestError, match=r"https://example.org/1.jpg is not on this machine"):
        write_photo_list(Manifest(rows, manifest.root), path)
    assert path.read_text() == before
    with pytest.raises(ManifestError, match=r"list\.csv: cannot be written \("):
        write_photo_list(manifest, path / "list.csv")
