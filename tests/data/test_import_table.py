"""Tables of photos as people have them become manifests, and nothing is dropped in silence."""

import os
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import ExifTags, Image

from homerange.data.importers.folder import image_key
from homerange.data.importers.table import import_table
from homerange.data.manifest import Manifest, Refused
from homerange.data.names import class_key, looks_scientific, outcome
from homerange.errors import CoordinateError, ManifestError


@pytest.fixture
def table(tmp_path):
    """Write a table and empty files for its photos; return the path of the table."""

    def write(text, *, photos=("a.jpg", "b.jpg", "c.jpg"), name="table.csv", encoding="utf-8"):
        for photo in photos:
            (tmp_path / photo).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / photo).touch()
        (tmp_path / name).write_text(text, encoding=encoding)
        return tmp_path / name

    return write


def cells(imported, *columns):
    return [tuple(row[name] for name in columns) for row in imported.manifest.table.to_pylist()]


def test_a_common_table_is_read_without_any_mapping(table):
    imported = import_table(
        table(
            "path,species,common_name,latitude,longitude,datetime,region_id,location_id,licence\n"
            "a.jpg,Panthera leo,lion,-2.33,34.83,2015-01-15 06:01:07,serengeti,B04,MIT\n"
        )
    )
    assert imported.refused == []
    (row,) = imported.manifest.table.to_pylist()
    assert {name: value for name, value in row.items() if value is not None} == {
        "image": "a.jpg",
        "observation_id": "a.jpg",
        "species": "Panthera leo",
        "common_name": "lion",
        "latitude_deg": -2.33,
        "longitude_deg": 34.83,
        "datetime": "2015-01-15T06:01:07",
        "region_id": "serengeti",
        "location_id": "B04",
        "split": "train",
        "licence": "MIT",
    }


@pytest.mark.parametrize(
    "header",
    [
        "filepath,scientificName,decimalLatitude,decimalLongitude,eventDate,deploymentID,eventID",
        "File Name,Scientific Name,LAT,LON,TimeStamp,Station,seq_id",
        "image,taxon_name,latitude_deg,lng,DateTimeOriginal,camera,sequence_id",
    ],
)
def test_the_names_of_other_standards_are_known(table, header):
    line = "a.jpg,Panthera leo,-2.33,34.83,2015-01-15 06:01:07,B04,s1\n"
    imported = import_table(table(f"{header}\n{line}"))
    columns = ("species", "latitude_deg", "longitude_deg", "datetime", "location_id", "sequence_id")
    expected = ("Panthera leo", -2.33, 34.83, "2015-01-15T06:01:07", "B04", "s1")
    assert cells(imported, *columns) == [expected]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_a_byte_order_mark_and_quotes_are_understood(table, separator):
    lines = [["path", "species", "common_name"], ["a.jpg", "Panthera leo", '"lion; big, ""old"""']]
    text = "\r\n".join(separator.join(line) for line in lines) + "\r\n\r\n"
    imported = import_table(table(text, encoding="utf-8-sig"))
    assert cells(imported, "species", "common_name") == [("Panthera leo", 'lion; big, "old"')]
    assert imported.notes[0] == "columns read: image from path, species, common_name"


def test_a_decimal_comma_is_read_where_the_separator_is_a_semicolon(table):
    imported = import_table(table("path;lat;lon\na.jpg;51,496;4.774\n"))
    assert cells(imported, "latitude_deg", "longitude_deg") == [(51.496, 4.774)]


def test_a_mapping_names_the_columns_that_we_cannot_know(table):
    source = table("wo,was,path\na.jpg,Panthera leo,x.jpg\n")
    imported = import_table(source, columns={"image": "wo", "species": "was"})
    assert cells(imported, "image", "species") == [("a.jpg", "Panthera leo")]
    assert imported.notes[0] == "columns read: image from wo, species from was; not used: path"


def test_of_two_usual_names_the_more_telling_one_is_read(table):
    source = table(
        "filename,filepath,scientificName,species\nx.jpg,a.jpg,Felis leo L.,Panthera leo\n"
    )
    assert cells(import_table(source), "image", "species") == [("a.jpg", "Panthera leo")]


def test_a_column_that_is_mapped_is_not_read_a_second_time_by_its_name(table):
    source = table("path,species\na.jpg,lion\n")
    imported = import_table(source, columns={"common_name": "species"})
    assert cells(imported, "species", "common_name") == [(None, "lion")]


def test_columns_that_cannot_be_paired_stop_with_the_columns_found(table):
    source = table("wo,was\na.jpg,Panthera leo\n")
    with pytest.raises(
        ManifestError,
        match=r"no column holds the photos; .* has the columns wo, was. Map one: --column",
    ):
        import_table(source)
    with pytest.raises(ManifestError, match=r"no column 'art' to read species from; .* wo, was"):
        import_table(source, columns={"image": "wo", "species": "art"})
    with pytest.raises(
        ManifestError, match=r"'specie' is no column of a manifest; expected one of"
    ):
        import_table(source, columns={"image": "wo", "specie": "was"})


@pytest.mark.parametrize(
    ("species", "common", "expected"),
    [
        (" panthera  LEO ", "lion", "Panthera leo"),
        ("Panthera_leo", "", "Panthera leo"),
        ("Panthera leo (Linnaeus, 1758)", "", "Panthera leo"),
        ("Equus quagga Boddaert, 1785", "", "Equus quagga"),
        ("Tragulus sp.", "TRA", "Tragulus sp."),
        ("Canis lupus familiaris", "", "Canis lupus familiaris"),
        ("empty", "", "blank"),
        ("Nothing-Here", "", "blank"),
        ("none", "", "blank"),
        ("", "empty", "blank"),
        ("", "nothing-here", "blank"),
        ("Homo sapiens", "human", "person"),
        ("", "People", "person"),
        ("Vehicle", "", "vehicle"),
        ("", "car", "vehicle"),
        ("", "lion", None),
        ("NA", "", None),
        ("Unknown", "", None),
        ("?", "", None),
    ],
)
def test_species_become_class_keys_and_outcomes(table, species, common, expected):
    imported = import_table(table(f'path,species,common_name\na.jpg,"{species}",{common}\n'))
    assert cells(imported, "species") == [(expected,)]


def test_an_epithet_is_joined_with_its_genus(table):
    imported = import_table(
        table(
            "path,genus,species\na.jpg,Panthera,leo\nb.jpg,Panthera,Panthera onca\nc.jpg,,blank\n"
        )
    )
    assert [name for (name,) in cells(imported, "species")] == [
        "Panthera leo",
        "Panthera onca",
        "blank",
    ]


def test_a_name_is_known_as_scientific_by_its_form():
    assert looks_scientific("Panthera leo")
    assert looks_scientific("Canis lupus familiaris")
    assert looks_scientific("Tragulus sp.")
    assert not any(
        looks_scientific(name) for name in ("Red Deer", "lion", "Lion", "tayassu pecari")
    )
    assert (outcome("lion"), class_key(" ")) == (None, None)


def test_paths_of_windows_find_their_photos(table):
    imported = import_table(table("path\nday 1\\a.jpg\n./b.jpg\n", photos=["day 1/a.jpg", "b.jpg"]))
    assert imported.refused == []
    assert imported.manifest.strings("image") == ["day 1/a.jpg", "b.jpg"]


@pytest.mark.parametrize(("written", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")])
def test_accents_find_their_photos_however_they_are_spelt(table, written, on_disk):
    in_table, actual = (unicodedata.normalize(form, "Zoé/é.jpg") for form in (written, on_disk))
    imported = import_table(table(f"path\n{in_table}\n", photos=[actual]))
    assert imported.manifest.strings("image") == [actual]
    assert imported.manifest.image_path(0).is_file()


def test_photos_may_lie_in_another_folder_outside_it_or_on_the_web(table, tmp_path):
    source = table(
        f"path\na.jpg\n../b.jpg\n{(tmp_path / 'in' / 'c.jpg').as_posix()}\nhttps://a.org//d.jpg\n",
        photos=["in/a.jpg", "b.jpg", "in/c.jpg"],
    )
    imported = import_table(source, photos=tmp_path / "in")
    assert imported.refused == []
    images = ["a.jpg", "../b.jpg", "c.jpg", "https://a.org//d.jpg"]
    assert imported.manifest.strings("image") == images


def test_image_paths_have_one_form():
    assert image_key("a\\b/./c.jpg") == "a/b/c.jpg"
    assert image_key("a/../c.jpg") == "c.jpg"


def test_bad_rows_are_refused_with_row_photo_and_reason(table, tmp_path):
    source = table(
        "path,species,bbox_x,bbox_y,bbox_width,bbox_height\n"
        "a.jpg,Panthera leo,,,,\n"
        "gone.jpg,Panthera leo,,,,\n"
        ",Panthera leo,,,,\n"
        "b.jpg,Panthera leo\n"
        "c.jpg,Panthera leo,0.9,0.1,0.3,0.1\n"
        "a.jpg,Panthera leo,,,,\n"
    )
    imported = import_table(source)
    assert imported.manifest.strings("image") == ["a.jpg"]
    assert imported.refused == [
        Refused(2, "gone.jpg", f"photo not found in {tmp_path}"),
        Refused(3, "", "no image"),
        Refused(4, "", "has 2 cells, but the header has 6"),
        Refused(
            5,
            "c.jpg",
            "box 0.9, 0.1, 0.3, 0.1 is not inside the photo; expected x, y, width, height in 0-1",
        ),
        Refused(6, "a.jpg", "repeats row 1"),
    ]


def test_several_animals_in_a_photo_are_several_rows_on_one_side(table):
    imported = import_table(
        table("path,species\na.jpg,Panthera leo\na.jpg,Crocuta crocuta\nb.jpg,Panthera leo\n")
    )
    assert imported.manifest.strings("observation_id") == ["a.jpg", "a.jpg#2", "b.jpg"]
    first, second, _ = imported.manifest.strings("split")
    assert first == second
    assert "1 photos show several species without boxes" in imported.notes


def test_rows_with_their_own_ids_may_be_alike_but_an_id_is_used_once(table):
    source = table("path,observation_id\na.jpg,1\na.jpg,2\nb.jpg,2\n")
    imported = import_table(source)
    assert imported.manifest.strings("observation_id") == ["1", "2"]
    assert imported.refused == [Refused(3, "b.jpg", "observation id '2' was already used by row 2")]


def test_impossible_times_and_unreadable_numbers_are_counted_with_an_example(table):
    imported = import_table(
        table(
            "path,datetime,count,lat,lon,coordinateUncertaintyInMeters\n"
            "a.jpg,2015-01-15T06:01:70,3,north,34.8,1000\n"
            "b.jpg,2015-13-01 00:00:00,many,-2.3,34.8,\n"
            "c.jpg,1970-01-01 00:00:00,2.0,-2.3,34.8,far\n"
        )
    )
    assert cells(imported, "datetime", "count", "latitude_deg", "coordinate_uncertainty_m") == [
        (None, 3, None, 1000),
        (None, None, -2.3, None),
        ("1970-01-01T00:00:00", 2, -2.3, None),
    ]
    empty = "are impossible or unreadable and are now empty, for example"
    for note in (
        f"2 times {empty} '2015-01-15T06:01:70' (row 1)",
        f"1 counts {empty} 'many' (row 2)",
        f"1 values of latitude_deg {empty} 'north' (row 1)",
        f"1 values of coordinate_uncertainty_m {empty} 'far' (row 3)",
        "2 rows have no time",
        "1 rows have no coordinates",
        "1 rows have a time in 1970 or 1980: was the clock reset?",
    ):
        assert note in imported.notes


def test_a_date_and_a_clock_in_two_columns_are_one_time(table):
    imported = import_table(table("path,Date,Time\na.jpg,2015-01-15,06:01\nb.jpg,2015-01-15,\n"))
    assert imported.manifest.strings("datetime") == ["2015-01-15T06:01:00", "2015-01-15"]


def test_swapped_columns_stop_and_the_mapping_puts_them_right(table):
    source = table("path,latitude,longitude\na.jpg,151.2,-33.9\n")
    with pytest.raises(CoordinateError, match=r"row 1: latitude 151.2 and longitude -33.9 look"):
        import_table(source)
    mapping = {"latitude_deg": "longitude", "longitude_deg": "latitude"}
    assert cells(import_table(source, columns=mapping), "latitude_deg", "longitude_deg") == [
        (-33.9, 151.2)
    ]


def test_given_splits_are_kept_in_their_usual_words(table):
    imported = import_table(table("path,split\na.jpg,Training\nb.jpg,validation\nc.jpg,TEST\n"))
    assert imported.manifest.strings("split") == ["train", "val", "test"]


def test_exif_fills_what_the_table_does_not_say_and_nothing_else(table, tmp_path):
    source = table(
        "path,latitude,longitude,datetime\n"
        "a.jpg,,,\n"
        "b.jpg,1,2,\n"
        "c.jpg,,,2020-01-01T00:00:00\n"
        "a.jpg,0,0,2015-01-15T06:01:70\n"
    )
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2015:01:15 06:01:07"
    place = {1: "S", 2: (2.0, 30.0, 0.0), 3: "E", 4: (34.0, 45.0, 0.0)}
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(place)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / name, exif=exif)
    imported = import_table(source)
    taken = "2015-01-15T06:01:07"
    assert cells(imported, "image", "latitude_deg", "longitude_deg", "datetime") == [
        ("a.jpg", -2.5, 34.75, taken),
        ("b.jpg", 1, 2, taken),
        ("c.jpg", -2.5, 34.75, "2020-01-01T00:00:00"),
        ("a.jpg", -2.5, 34.75, taken),
    ]
    assert "3 rows took their time from EXIF" in imported.notes
    assert "3 rows took their coordinates from EXIF" in imported.notes


def test_parquet_and_csv_give_the_same_manifest(table, tmp_path):
    csv = import_table(
        table(
            "path,species,lat,lon,datetime,location_id\n"
            "a.jpg,Panthera leo,-2.33,34,2015-01-15T06:01:07,12\nb.jpg,,,,,\n"
        )
    )
    columns = {
        "path": ["a.jpg", "b.jpg"],
        "species": ["Panthera leo", None],
        "lat": [-2.33, None],
        "lon": [34.0, float("nan")],
        "datetime": pa.array([1421301667000, None], pa.timestamp("ms")),
        "location_id": [12.0, None],  # what pandas makes of an integer column with a gap
    }
    pq.write_table(pa.table(columns), tmp_path / "table.parquet")
    assert import_table(tmp_path / "table.parquet").manifest.table.equals(csv.manifest.table)


def test_the_same_seed_gives_the_same_manifest(table, tmp_path):
    names = [f"{i}.jpg" for i in range(30)]
    source = table("path\n" + "\n".join(names), photos=names)
    one, again, other = (import_table(source, seed=seed).manifest for seed in (0, 0, 1))
    assert one.table.equals(again.table)
    assert not one.table.equals(other.table)
    one.write(tmp_path / "manifest.parquet")
    assert Manifest.read(tmp_path / "manifest.parquet").table.equals(one.table)


def test_sources_that_hold_no_table_say_so(table, tmp_path):
    with pytest.raises(ManifestError, match=r"absent.csv: no such table"):
        import_table(tmp_path / "absent.csv")
    with pytest.raises(ManifestError, match=r"table.csv: the table is empty"):
        import_table(table("\n"))
    with pytest.raises(ManifestError, match=r"table.csv has no rows; expected at least one photo"):
        import_table(table("path,species\n"))
    with pytest.raises(ManifestError, match="Save it as CSV in UTF-8, or Parquet"):
        import_table(table("path,species\na.jpg,Zoé\n", encoding="latin-1"))
    with pytest.raises(ManifestError, match=r"table.parquet: not a Parquet file"):
        import_table(table("path\n", name="table.parquet"))


def test_when_no_photo_is_found_the_message_shows_where_it_looked(table, tmp_path):
    with pytest.raises(ManifestError) as caught:
        import_table(table("path\nx/gone.jpg\ngone.jpg\n"))
    message = str(caught.value)
    assert "none of its 2 rows can be used" in message
    assert f"Row 1, x/gone.jpg: photo not found in {tmp_path}" in message
    assert "name their folder with --photos" in message


SAMPLES = os.environ.get("HOMERANGE_PHOTOS")


@pytest.mark.skipif(not SAMPLES, reason="set HOMERANGE_PHOTOS to a folder with manifest.csv")
def test_real_photos_become_a_manifest_whose_files_exist():
    imported = import_table(Path(SAMPLES) / "manifest.csv")
    manifest = imported.manifest
    assert len(manifest) > 0
    assert all(manifest.image_path(row).is_file() for row in range(len(manifest)))
    assert set(manifest.strings("split")) == {"train", "val", "test"}
