"""EXIF: the camera's time and place, or nothing; and times as people and cameras write them."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from homerange.data.exif import ExifFacts, read_exif
from homerange.data.times import read_time, seconds_N

NOTHING = ExifFacts(None, None, None)
SERENGETI = {
    ExifTags.GPS.GPSLatitudeRef: "S",
    ExifTags.GPS.GPSLatitude: (2.0, 19.0, 48.0),
    ExifTags.GPS.GPSLongitudeRef: "E",
    ExifTags.GPS.GPSLongitude: (34.0, 49.0, 48.0),
}


@pytest.fixture
def photo(tmp_path):
    def write(details=None, gps=None, name="photo.jpg"):
        exif = Image.Exif()
        exif[ExifTags.Base.Make] = "Reconyx"
        exif.get_ifd(ExifTags.IFD.Exif).update(details or {})
        exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps or {})
        Image.new("RGB", (8, 8)).save(tmp_path / name, exif=exif)
        return tmp_path / name

    return write


def time_taken(text, offset=None):
    details = {ExifTags.Base.DateTimeOriginal: text}
    return details | ({ExifTags.Base.OffsetTimeOriginal: offset} if offset else {})


def test_time_and_place_are_read_with_the_hemisphere(photo):
    # 2 deg 19' 48" S = -(2 + 19/60 + 48/3600) = -2.33; 34 deg 49' 48" E = 34.83
    facts = read_exif(photo(time_taken("2015:01:15 06:01:07", "+03:00"), SERENGETI))
    assert facts.datetime == "2015-01-15T06:01:07+03:00"
    assert facts.latitude_deg == pytest.approx(-2.33)
    assert facts.longitude_deg == pytest.approx(34.83)


def test_west_is_negative_and_png_photos_count_too(photo):
    west = SERENGETI | {ExifTags.GPS.GPSLongitudeRef: "W", ExifTags.GPS.GPSLatitudeRef: "N"}
    facts = read_exif(photo(gps=west, name="photo.png"))
    assert (facts.latitude_deg, facts.longitude_deg) == pytest.approx((2.33, -34.83))


@pytest.mark.parametrize("offset", [None, "   :  ", "+99:00"])
def test_a_time_without_a_usable_offset_has_none(photo, offset):
    facts = read_exif(photo(time_taken("2015:01:15 06:01:07", offset)))
    assert facts.datetime == "2015-01-15T06:01:07"


def test_the_time_of_the_last_edit_is_not_the_time_of_the_photo(photo, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = "2024:01:01 00:00:00"
    Image.new("RGB", (8, 8)).save(tmp_path / "edited.jpg", exif=exif)
    assert read_exif(tmp_path / "edited.jpg") == NOTHING


@pytest.mark.parametrize("text", ["0000:00:00 00:00:00", "2015:01:15 06:01:70", "    ", "noon"])
def test_an_unset_or_impossible_clock_gives_no_time(photo, text):
    assert read_exif(photo(time_taken(text))) == NOTHING


@pytest.mark.parametrize(
    "change",
    [
        {ExifTags.GPS.GPSLatitudeRef: ""},  # north or south?
        {ExifTags.GPS.GPSLongitudeRef: "S"},  # a longitude is east or west
        {ExifTags.GPS.GPSLatitude: (95.0, 0.0, 0.0)},
        {ExifTags.GPS.GPSLatitude: (IFDRational(2, 0), 0.0, 0.0)},
        {ExifTags.GPS.GPSLatitude: (2.0, 19.0)},
        {ExifTags.GPS.GPSLatitude: (0.0,) * 3, ExifTags.GPS.GPSLongitude: (0.0,) * 3},  # no fix
    ],
)
def test_a_place_that_cannot_be_trusted_is_none(photo, change):
    assert read_exif(photo(gps=SERENGETI | change)) == NOTHING


def test_a_place_without_its_hemisphere_is_none(photo):
    half = {tag: value for tag, value in SERENGETI.items() if tag != ExifTags.GPS.GPSLatitudeRef}
    assert read_exif(photo(gps=half)) == NOTHING


def test_files_that_are_no_photos_give_nothing(tmp_path):
    (tmp_path / "text.jpg").write_text("no photo")
    (tmp_path / "empty.jpg").write_bytes(b"")
    for name in ("text.jpg", "empty.jpg", "absent.jpg", "."):
        assert read_exif(tmp_path / name) == NOTHING


def test_a_header_that_claims_a_giant_photo_gives_nothing(photo, monkeypatch):
    path = photo(time_taken("2015:01:15 06:01:07"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 8)  # the photo has 64: Pillow refuses it
    assert read_exif(path) == NOTHING


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.webp"])
def test_no_damage_to_the_bytes_is_ever_an_error(photo, name):
    path = photo(time_taken("2015:01:15 06:01:07", "+03:00"), SERENGETI, name)
    whole = path.read_bytes()[:400]  # holds the directories in all three
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        facts = read_exif(path)
        assert facts.latitude_deg is None or -90 <= facts.latitude_deg <= 90
        if at % 5 == 0:
            path.write_bytes(whole[:at])
            read_exif(path)


def test_exif_and_times_need_the_base_install_only():
    code = (
        "import sys, homerange.data.exif, homerange.data.times\n"
        "sys.exit(any(name in sys.modules for name in ('pyarrow', 'duckdb', 'torch', 'onnx')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2015-01-15T06:01:07", "2015-01-15T06:01:07"),
        ("2015:01:15 06:01:07", "2015-01-15T06:01:07"),
        (" 2015/1/5 6:01 ", "2015-01-05T06:01:00"),
        ("2015-01-15", "2015-01-15"),
        ("2015-01-15 06:01:07Z", "2015-01-15T06:01:07Z"),
        ("2015-01-15T06:01:07+0200", "2015-01-15T06:01:07+02:00"),
        ("2015-01-15T06:01:07 -03:30", "2015-01-15T06:01:07-03:30"),
        ("2013-06-05 05:44:19.000", "2013-06-05T05:44:19"),
        ("2013-06-05 05:44:19.250", "2013-06-05T05:44:19.25"),
        ("2016-02-29", "2016-02-29"),
        ("2015-02-29", None),
        ("2015-13-01T00:00:00", None),
        ("2015-01-15T06:01:70", None),
        ("2015-01-15T24:00:00", None),
        ("0000:00:00 00:00:00", None),
        ("2015-01-15T06:01:07+25:00", None),
        ("03/04/2015 06:01", None),  # March or April?
        ("2015-01-15/2015-01-16", None),
        ("", None),
    ],
)
def test_times_become_iso_8601_or_nothing(text, expected):
    assert read_time(text) == expected


@given(st.datetimes(timezones=st.none() | st.timezones()).map(lambda t: t.replace(fold=0)))
def test_every_possible_moment_is_kept_to_the_microsecond(moment):
    offset = moment.utcoffset()
    if offset is not None and offset.total_seconds() % 60:
        return  # ISO 8601 has no offset with seconds; the zones before 1900 do
    again = read_time(moment.isoformat())
    assert again is not None
    assert type(moment).fromisoformat(again).isoformat() == moment.isoformat()


def test_seconds_follow_the_offset():
    # 06:00 at +02:00 is 04:00 UTC, which is one hour before 05:00 UTC = 06:00 at +01:00.
    first, second, naive, day = seconds_N(
        [
            "2020-06-01T06:00:00+02:00",
            "2020-06-01T06:00:00+01:00",
            "2020-06-01T04:00:00",
            "2020-06-01",
        ]
    )
    assert second - first == 3600
    assert naive == first
    assert np.isnan(day)
