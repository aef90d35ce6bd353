"""Records without photos: every usual table is read, and each row that cannot be used is named."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_training import manifest_of

from homerange.data.importers.occurrences import read_records
from homerange.errors import CoordinateError, ManifestError

LION = ("Panthera leo", -2.33, 34.83)


def write(path, text):
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def rows(records):
    return list(zip(records.species_N.tolist(), *records.latlon_N2.T.tolist(), strict=True))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "species,latitude,longitude\nPanthera leo,-2.33,34.83\n"),
        ("a.csv.gz", "id,species,decimalLatitude,decimalLongitude\n7,panthera LEO,-2.33,34.83\n"),
        ("a.csv", "\ufefflat;lon;scientificName\n-2,33;34,83;Panthera leo (Linnaeus, 1758)\n"),
        ("a.csv", 'taxon\tlng\tlat\n"Panthera_leo"\t34.83\t-2.33\n'),
    ],
)
def test_tables_of_every_usual_form_are_read(tmp_path, name, text):
    found = read_records(write(tmp_path / name, text))
    assert rows(found) == [LION]
    assert found.refused == []
    assert found.split_N.tolist() == [""]


def test_a_parquet_table_and_a_manifest_are_read_alike(tmp_path):
    named = {"species": ["Panthera leo"], "lat": [-2.33], "lon": [34.83], "uncertainty": [1]}
    pq.write_table(pa.table(named), tmp_path / "a.parquet")
    assert rows(read_records(tmp_path / "a.parquet")) == [LION]
    place = {"species": "Panthera leo", "latitude_deg": -2.33, "longitude_deg": 34.83}
    more = {"coordinate_uncertainty_m": 27_000.0, "split": "val", "licence": "CC0-1.0"}
    manifest = manifest_of([place | more, place | {"split": "train"}], tmp_path)
    manifest.write(tmp_path / "m.parquet")
    found = read_records(tmp_path / "m.parquet")
    assert rows(found) == [LION, LION]
    assert found.uncertainty_km_N.tolist() == [27, 0]
    assert found.split_N.tolist() == ["val", "train"]
    assert found.licence_N.tolist() == ["CC0-1.0", ""]


def test_each_row_that_cannot_be_used_is_named_with_the_reason(tmp_path):
    text = "species,latitude,longitude,coordinateUncertaintyInMeters,subset\n"
    lines = [
        "Panthera leo,-2.33,34.83,-5,train",
        "unknown,-2.33,34.83,,train",
        "empty,-2.33,34.83,,train",
        "Panthera leo,,34.83,,train",
        "Panthera leo,north,34.83,,train",
        "Panthera leo,-92,34.83,,train",
        "Panthera leo,0,0,,train",
        "Panthera leo,0,10,x,test",
        "Panthera leo,1,1,,",
        "Homo sapiens,1,1,,val",
        *["Panthera leo,1,2,,val"] * 9,
    ]
    found = read_records(write(tmp_path / "a.csv", text + "\n".join(lines)))
    assert len(found.species_N) == 11
    assert found.uncertainty_km_N.tolist() == [0] * 11
    assert [(one.row, one.reason) for one in found.refused] == [
        (2, "no species"),
        (3, "an outcome, no species"),
        (4, "no coordinates"),
        (5, "no coordinates"),
        (6, "coordinates are out of range"),
        (7, "latitude 0, longitude 0 (a receiver without a fix)"),
        (9, "no split of train, val or test, where other rows have one"),
        (10, "an outcome, no species"),
    ]
    assert np.unique(found.split_N).tolist() == ["test", "train", "val"]


def test_a_table_with_swapped_coordinates_stops(tmp_path):
    text = "species,latitude,longitude\n" + "Panthera leo,151.2,-33.9\n" * 3
    with pytest.raises(CoordinateError, match=r"record 0: latitude 151\.2 .*may be swapped"):
        read_records(write(tmp_path / "a.csv", text))


def test_a_table_that_cannot_be_used_says_what_it_lacks(tmp_path):
    with pytest.raises(ManifestError, match=r"no\.csv: no such table. Expected CSV, CSV\.gz"):
        read_records(tmp_path / "no.csv")
    path = write(tmp_path / "a.csv", "name,lat\nPanthera leo,1\n")
    with pytest.raises(
        ManifestError, match="no column holds species, longitude_deg; it has name, l"
    ):
        read_records(path)
    path = write(tmp_path / "a.csv", "species,lat,lon\nunknown,1,1\nunknown,1,1\n,1,\n")
    with pytest.raises(ManifestError, match="none of 3 rows can be used, mostly: no species"):
        read_records(path)
    (tmp_path / "a.parquet").write_bytes(b"no table")
    with pytest.raises(ManifestError, match=r"a\.parquet: cannot be read as a table"):
        read_records(tmp_path / "a.parquet")
    (tmp_path / "a.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(ManifestError, match=r"a\.csv\.gz: cannot be read as a table"):
        read_records(tmp_path / "a.csv.gz")
