"""Regions of a manifest: cells by the number of photos, and the photos of the paper's places."""

import pytest
from tiny_training import manifest_of

from homerange.data.importers.wilds import _PLACES
from homerange.data.regions import PLACE_SETS, name_cells, photos_of
from homerange.errors import ConfigError, ManifestError
from homerange.geo.cells import parse_cell, to_path

LION, HARE, BEAR = "Panthera leo", "Lepus europaeus", "Ursus arctos"
ROWS = [
    ("0/", "train", LION),
    ("0/", "val", BEAR),  # its species is in no training photo of the cell
    ("0/", "test", HARE),
    ("1/", "train", HARE),
    ("3/1", "train", BEAR),
    (None, "train", HARE),
    (None, "test", LION),
    ("4/2", "test", HARE),
    (None, "test", BEAR),
    (None, "test", None),
    ("1/", "train", None),
]


@pytest.fixture
def manifest():
    names = ("region_id", "split", "species")
    return manifest_of([dict(zip(names, row, strict=True)) for row in ROWS], None)


def chosen(manifest, places):
    return [int(i) for i in photos_of(manifest, places).strings("observation_id")]


def test_a_place_has_its_train_and_val_photos_and_the_test_photos_of_its_species(manifest):
    # Cell 0/ teaches lions: rows 0 and 1 are of the cell, row 6 is a lion of elsewhere. The hare
    # in the cell (row 2) is a test photo of a species that the cell does not teach.
    assert chosen(manifest, "0/") == [0, 1, 6]
    # Cell 1/ teaches hares.
    assert chosen(manifest, "1/") == [2, 3, 7, 10]


def test_the_six_of_the_paper_are_one_set(manifest):
    # 0/ and 1/ are among the six, 3/1 is not: lions and hares are tested, bears are not.
    assert chosen(manifest, "iNat-Geo-10K-6") == [0, 1, 2, 3, 6, 7, 10]


def test_the_names_of_the_sets_are_cells_and_clusters():
    cells = PLACE_SETS["iNat-Geo-10K-6"]
    assert [to_path(parse_cell(cell)) for cell in cells] == list(cells)
    assert PLACE_SETS["iWildcam-6"] == tuple(_PLACES)


def test_an_unknown_place_is_refused_with_the_nearest(manifest):
    with pytest.raises(ManifestError) as caught:
        photos_of(manifest, "iNat-Geo-10k-6")
    assert str(caught.value) == (
        "no photo has the region 'iNat-Geo-10k-6'. Did you mean 'iNat-Geo-10K-6'? Expected one of "
        "the sets iNat-Geo-10K-6, iWildcam-6, or a region of the manifest (0/, 1/, 3/1, 4/2)"
    )
    with pytest.raises(ManifestError, match=r"the region 'x'\. Expected .* manifest \(none\)"):
        photos_of(manifest_of([{}], None), "x")


def test_a_place_with_nothing_to_learn_is_refused(manifest):
    with pytest.raises(ManifestError) as caught:
        photos_of(manifest, "4/2")
    assert str(caught.value) == (
        "4/2: none of 1 photos there is labelled and in train, so there is nothing to learn. Its "
        "regions are 4/2"
    )
    with pytest.raises(ManifestError, match=r"iWildcam-6: none of 0 photos there .* Kenya, Guat"):
        photos_of(manifest, "iWildcam-6")


def test_cells_become_regions_and_what_has_none_is_counted():
    # Face 2 has one photo and is left out, for N_min is 0.01 * 200 = 2; face 4 has two.
    places = [(51.5, -0.12), (42.36, -71.06), (-12.0, -77.0), (None, None)]
    rows = [{"latitude_deg": lat, "longitude_deg": lon, "region_id": "old"} for lat, lon in places]
    named, notes = name_cells(manifest_of(rows, None), n_max=200)
    assert named.strings("region_id") == [None, "4/", "4/", None]
    assert named.strings("image") == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert notes == [
        "1 S2 cells of at most 200 rows are the regions",
        "1 rows lie in cells of too few rows and have no region",
    ]
    with pytest.raises(ConfigError, match="n_max is 0; expected at least 1 photo in a cell"):
        name_cells(named, n_max=0)
