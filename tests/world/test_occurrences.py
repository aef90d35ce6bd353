"""A file of records says where it comes from, and a world takes its rows in."""

import shutil

import duckdb
import numpy as np
import pytest
from fakes import build_world
from gbif_download import lion, table

from homerange.errors import OccurrenceError, WorldError
from homerange.world.gbif import import_gbif
from homerange.world.occurrences import OccurrenceFile, add_occurrences
from homerange.world.tables import Occurrence


@pytest.fixture
def added(tmp_path):
    download = tmp_path / "d.csv"
    download.write_text(table([lion(), lion(species="Gulo gulo", decimalLatitude="60")]))
    return import_gbif(download, tmp_path / "records.parquet").file


def rows(folder):
    found = Occurrence.read(folder)
    return list(zip(found.species.tolist(), found.source.tolist(), strict=True))


def test_a_world_takes_the_rows_in_beside_its_own(tmp_path, added):
    folder = build_world(tmp_path / "world")
    before = rows(folder)
    add_occurrences(folder, added)
    after = rows(folder)
    assert sorted(after) == sorted([*before, ("Panthera leo", "extra"), ("Gulo gulo", "extra")])
    assert after == sorted(after, key=lambda row: row[0])
    assert not list(folder.glob(".*"))  # neither a part nor what was spilled


def test_the_same_records_give_the_same_bytes(tmp_path, added):
    made = []
    for name in ("one", "two"):
        folder = build_world(tmp_path / name, seed=3)
        add_occurrences(folder, added)
        made.append((folder / Occurrence.file).read_bytes())
    assert made[0] == made[1]


def test_cells_come_through_whole(tmp_path, added):
    # Ids above 2**63 do not fit a signed number or a float.
    folder = build_world(tmp_path / "world")
    add_occurrences(folder, added)
    cell_N = Occurrence.read(folder).cell
    assert cell_N.dtype == np.uint64
    assert Occurrence.cells(folder).tolist() == sorted(set(cell_N.tolist()))


def test_a_file_that_is_none_is_refused_with_the_way_to_make_one(tmp_path, added):
    again = "Make the file of records again with: homerange import gbif"
    with pytest.raises(OccurrenceError, match=rf"nowhere.parquet: no such file. {again}"):
        OccurrenceFile.open(tmp_path / "nowhere.parquet")
    text = tmp_path / "text.parquet"
    text.write_text("species,latitude\n")
    with pytest.raises(OccurrenceError, match=rf"text.parquet: is no Parquet file \(.*\). {again}"):
        OccurrenceFile.open(text)
    plain = tmp_path / "plain.parquet"
    duckdb.execute(f"COPY (SELECT 'Panthera leo' AS species) TO '{plain}' (FORMAT parquet)")
    with pytest.raises(OccurrenceError, match=r"plain.parquet: holds no records of species, or "):
        OccurrenceFile.open(plain)
    newer = tmp_path / "newer.parquet"
    duckdb.execute(
        f"COPY (FROM '{added.path}') TO '{newer}' "
        """(FORMAT parquet, KV_METADATA {homerange_occurrences: '{"version": 2}'})"""
    )
    with pytest.raises(OccurrenceError, match=r"or those of another version. Make the file"):
        OccurrenceFile.open(newer)


def test_a_table_that_is_damaged_is_an_error_and_the_world_keeps_its_own(tmp_path, added):
    folder = build_world(tmp_path / "world")
    before = (folder / Occurrence.file).read_bytes()
    shutil.copy(folder / "world.json", added.path)
    with pytest.raises(WorldError, match=r"the records of .*records.parquet cannot be added \("):
        add_occurrences(folder, added)
    assert (folder / Occurrence.file).read_bytes() == before
    assert not list(folder.glob(".*"))


def test_quotes_in_paths_and_names_are_no_danger(tmp_path):
    folder = tmp_path / "o'brien [1]"
    folder.mkdir()
    download = folder / "it's.csv"
    download.write_text(table([lion(license="it's free")]))
    made = import_gbif(download, folder / "it's.parquet").file
    assert OccurrenceFile.open(made.path).licences == {"it's free": 1}
    world = build_world(folder / "world")
    add_occurrences(world, made)
    assert ("Panthera leo", "extra") in rows(world)
