"""GeoJSON as a place: what is read, what it means, and every refusal."""

import json

import pytest

from homerange.errors import PlaceError
from homerange.geo import geojson
from homerange.geo.geojson import polygons_of, read_geojson
from homerange.geo.polygon import MOST_CORNERS, Polygon

SQUARE = [[34, -3], [36, -3], [36, -1], [34, -1], [34, -3]]
HOLE = [[34.5, -2.5], [34.5, -1.5], [35.5, -1.5], [35.5, -2.5], [34.5, -2.5]]
POLYGON = {"type": "Polygon", "coordinates": [SQUARE, HOLE]}


def feature(geometry, **properties):
    return {"type": "Feature", "geometry": geometry, "properties": properties or None}


def refusal(data, name="reserve.geojson"):
    with pytest.raises(PlaceError) as caught:
        polygons_of(data, name)
    return str(caught.value)


def test_longitude_stands_first_in_the_file_and_latitude_with_us():
    (polygon,) = polygons_of(POLYGON, "x")
    assert polygon.areas[0][0] == ((-3.0, 34.0), (-3.0, 36.0), (-1.0, 36.0), (-1.0, 34.0))
    assert polygon.to_json()["geometry"]["coordinates"] == [[SQUARE, HOLE]]


def test_a_hole_is_left_out_whichever_way_it_runs():
    # 2 x 2 degrees less 1 x 1 degree near the equator: three quarters.
    (whole,) = polygons_of({"type": "Polygon", "coordinates": [SQUARE]}, "x")
    for hole in (HOLE, HOLE[::-1]):
        (less,) = polygons_of({"type": "Polygon", "coordinates": [SQUARE, hole]}, "x")
        assert less.outline.area_km2 == pytest.approx(whole.outline.area_km2 * 0.75, rel=1e-3)


@pytest.mark.parametrize(
    "data",
    [
        POLYGON,
        {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE]]},
        feature(POLYGON),
        {"type": "FeatureCollection", "features": [feature(POLYGON, name="Mara")]},
        {"type": "Polygon", "coordinates": [SQUARE[:-1], HOLE]},  # not closed
        {"type": "Polygon", "coordinates": [[[*one, 1700] for one in SQUARE], HOLE]},  # heights
        POLYGON | {"crs": {"properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}},
    ],
)
def test_one_polygon_is_the_same_however_it_is_wrapped(data):
    assert polygons_of(data, "x") == polygons_of(POLYGON, "x")


def test_each_feature_of_a_collection_is_a_place_with_its_name():
    parts = [feature(POLYGON, name=" Mara \n North "), feature(POLYGON), feature(POLYGON, id=7)]
    found = polygons_of({"type": "FeatureCollection", "features": parts}, "blocks.geojson")
    assert [one.name for one in found] == [
        "blocks.geojson: Mara North",
        "blocks.geojson: feature 2",
        "blocks.geojson: 7",
    ]
    long = [feature(POLYGON, name="x" * 500), feature(POLYGON)]
    found = polygons_of({"type": "FeatureCollection", "features": long}, "b")
    assert len(found[0].name) == len("b: ") + geojson.LONGEST_NAME


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ({"type": "Point", "coordinates": [34, -2]}, "is a Point; expected Polygon, .* --at LAT,L"),
        ({"type": "LineString", "coordinates": SQUARE}, "is LineString, or lacks coordinates"),
        ({"type": "Polygon", "coordinates": []}, "is Polygon, or lacks coordinates; expected"),
        ({"type": "MultiPolygon", "coordinates": [7]}, "is MultiPolygon, or lacks coordinates"),
        (feature(None), "is nothing that GeoJSON knows"),
        ([1, 2], "is nothing that GeoJSON knows"),
        ({"type": "FeatureCollection", "features": []}, "has 0 features; expected 1 to 1,000"),
        ({"type": "FeatureCollection"}, "has no features; expected 1 to 1,000"),
        ({"type": "Polygon", "coordinates": [[]]}, "a ring with 0 corners that are no pairs"),
        ({"type": "Polygon", "coordinates": [[*SQUARE, ["a", 1], [1], [True, 0], 3]]}, "with 4 co"),
        ({"type": "Polygon", "coordinates": [[[1, 1], [2, 2], [1, 1]]]}, "2 different corners; e"),
        ({"type": "Polygon", "coordinates": [[[1, 1], [2, 2], [3, 3], [1, 1]]]}, "nothing lies in"),
    ],
)
def test_what_is_no_polygon_is_refused_with_what_was_found(data, what):
    with pytest.raises(PlaceError, match=what):
        polygons_of(data, "reserve.geojson")


def test_metres_and_swapped_coordinates_are_recognised():
    metres = [[3785000, -260000], [3985000, -260000], [3985000, -60000]]
    assert "latitude -260000.0 and longitude 3785000.0 are not a place on the Earth" in refusal(
        {"type": "Polygon", "coordinates": [metres]}
    )
    swapped = [[-33, 151], [-34, 151], [-34, 150]]
    assert refusal({"type": "Polygon", "coordinates": [swapped]}).endswith("They look swapped")


def test_other_coordinates_than_wgs_84_are_refused():
    data = POLYGON | {"crs": {"properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}}
    assert refusal(data) == (
        "reserve.geojson is in the coordinates urn:ogc:def:crs:EPSG::3857; expected WGS 84. Save "
        "it again as GeoJSON in EPSG:4326"
    )


def test_a_ring_spans_at_most_one_turn():
    wide = [[-360, 0], [-200, 0], [-40, 0], [100, 0], [100, 9], [-40, 9], [-200, 9], [-360, 9]]
    assert "spans 460 degrees of longitude; expected at most one turn" in refusal(
        {"type": "Polygon", "coordinates": [wide]}
    )


def test_too_many_corners_are_refused():
    ring = tuple((lat / MOST_CORNERS, float(lat % 2)) for lat in range(MOST_CORNERS + 1))
    with pytest.raises(
        PlaceError, match=r"has 100,001 corners; expected at most 100,000\. Make its"
    ):
        Polygon("coast", ((ring,),))


# Files


def test_a_file_is_called_by_its_name(tmp_path):
    path = tmp_path / "mara.geojson"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(POLYGON).encode())
    assert [one.describe() for one in read_geojson(path)] == ["the polygon mara.geojson"]


@pytest.mark.parametrize("text", [b"not json", b"\xff\xd8\xff", b"[" * 200_000])
def test_a_file_that_is_no_json_is_refused(tmp_path, text):
    (tmp_path / "a.geojson").write_bytes(text)
    with pytest.raises(PlaceError, match=r"a\.geojson: is not JSON .*; expected a GeoJSON file"):
        read_geojson(tmp_path / "a.geojson")


def test_a_missing_and_a_huge_file_are_refused_before_they_are_read(tmp_path, monkeypatch):
    with pytest.raises(PlaceError, match=r"gone\.geojson: cannot be read \(No such file"):
        read_geojson(tmp_path / "gone.geojson")
    monkeypatch.setattr(geojson, "LARGEST_FILE_BYTES", 10)
    (tmp_path / "a.geojson").write_text(json.dumps(POLYGON))
    with pytest.raises(PlaceError, match=r"bytes; expected at most 10\. Make its borders simpler"):
        read_geojson(tmp_path / "a.geojson")
