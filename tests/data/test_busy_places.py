"""Two places that differ: which are chosen, what their files are called, and when there is none."""

import pyarrow as pa
import pytest
from click.testing import CliRunner

from homerange.data.busy_places import BusyPlace, busy_places, file_names, main
from homerange.data.manifest import Manifest, schema
from homerange.errors import ManifestError


def manifest_of(tmp_path, *regions):
    """Rows of regions: (region, latitude, species, rows)."""
    rows = [
        {
            "image": f"{region}-{species}-{i}.jpg",
            "observation_id": f"{region}-{species}-{i}",
            "region_id": region,
            "latitude_deg": latitude,
            "longitude_deg": None if latitude is None else 34.0,
            "species": species,
        }
        for region, latitude, species, count in regions
        for i in range(count)
    ]
    return Manifest(pa.Table.from_pylist(rows, schema=schema()), tmp_path)


def names(places):
    return [place.name for place in places]


def test_the_two_regions_that_share_the_fewest_species_are_chosen(tmp_path):
    manifest = manifest_of(
        tmp_path,
        ("north", 2.0, "Panthera leo", 30),
        ("south", -2.0, "Panthera leo", 40),
        ("south", -2.0, "Acinonyx jubatus", 10),
        ("west", -3.0, "Lepus europaeus", 20),
        ("tiny", -4.0, "Equus quagga", 19),  # one photo too few
    )
    # south and west share none and have three species; north and west share none and have two.
    assert names(busy_places(manifest)) == ["south", "west"]


def test_where_no_region_is_busy_the_one_with_the_most_photos_is_taken(tmp_path):
    few = manifest_of(
        tmp_path, ("north", 2.0, "Panthera leo", 3), ("south", -2.0, "Equus quagga", 5)
    )
    assert names(busy_places(few)) == ["south"]


def test_without_coordinates_and_species_on_one_row_there_is_no_place(tmp_path):
    rows = [("a", None, "Panthera leo", 30), ("b", 2.0, None, 30), ("c", 2.0, "blank", 30)]
    with pytest.raises(ManifestError, match="none of 90 rows has both coordinates and a species"):
        busy_places(manifest_of(tmp_path, *rows))


def place(name, latitude):
    return BusyPlace(name, latitude, 34.0, 20, frozenset())


def test_a_region_in_other_letters_is_named_by_its_cell():
    first, second = file_names([place("北海道", 43.0), place("セレンゲティ", -1.0)])
    assert len({first, second}) == 2
    assert all(len(name) == 16 and int(name, 16) for name in (first, second))


def test_two_regions_never_share_a_file():
    first, second = file_names([place("Site 1", 2.0), place("site/1", -2.0)])
    assert first != second
    assert file_names([place("Site 1", 2.0), place("Site 2", 2.0)]) == ["site-1", "site-2"]


def test_the_command_prints_a_line_for_each_place(tmp_path):
    path = tmp_path / "m.parquet"
    regions = [("The North", 2.5, "Panthera leo", 20), ("south", -2.0, "Equus quagga", 25)]
    manifest_of(tmp_path, *regions).write(path)
    result = CliRunner().invoke(main, [str(path)])
    assert (result.exit_code, result.stdout) == (0, "south -2.0 34.0\nthe-north 2.5 34.0\n")


def test_the_command_says_in_one_line_why_there_is_no_place(tmp_path):
    path = tmp_path / "m.parquet"
    manifest_of(tmp_path, ("a", None, "Panthera leo", 30)).write(path)
    result = CliRunner().invoke(main, [str(path)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: none of 30 rows has both coordinates")
    assert len(result.stderr.splitlines()) == 1
