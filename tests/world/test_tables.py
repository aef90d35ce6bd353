"""The tables of a world: what is written comes back, and what breaks the contract is refused."""

import builtins

import duckdb
import numpy as np
import pytest
from fakes import SPECIES, build_world
from hypothesis import given, settings
from hypothesis import strategies as st

from homerange.errors import ExtraNotInstalled, WorldError
from homerange.world.expert_tables import Routing
from homerange.world.parquet import strings
from homerange.world.tables import (
    COUNT_BAND_FROM,
    COUNT_BANDS,
    Evidence,
    Occurrence,
    Profile,
    Taxa,
    count_band,
)

COLUMNS = {
    Taxa: "class_index species common_name taxon_class taxon_order taxon_family taxon_genus "
    "photos_train photos_val photos_test",
    Occurrence: "species cell month source uncertainty_km count_band",
    Profile: "class_index cell split photos correct correct_top5 loss_sum",
    Evidence: "class_index cell split sequence source feature",
}


def occurrence(**changes):
    columns = {
        "species": strings(["Panthera leo", "Vulpes vulpes"]),
        "cell": np.array([2**63 + 2**45, 5 << 60], np.uint64),
        "month": np.array([0, 12], np.int8),
        "source": strings(["train", "extra"]),
        "uncertainty_km": np.array([0.0, 27.5], np.float32),
        "count_band": np.array([1, 5], np.int8),
    }
    return Occurrence(**columns | changes)


def evidence(feature_ND, cell_N=None):
    n = len(feature_ND)
    return Evidence(
        class_index=np.arange(n, dtype=np.int32),
        cell=np.zeros(n, np.uint64) if cell_N is None else np.array(cell_N, np.uint64),
        split=strings(["test"] * n),
        sequence=np.full(n, -1, np.int32),
        source=strings(["here"] * n),
        feature=feature_ND,
    )


def write_sql(path, query):
    duckdb.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")


@pytest.mark.parametrize("table", COLUMNS, ids=lambda table: table.file)
def test_the_columns_are_those_of_the_contract_in_its_order(tmp_path, table):
    build_world(tmp_path)
    found = duckdb.read_parquet(str(tmp_path / table.file)).columns
    assert " ".join(found) == COLUMNS[table]


@pytest.mark.parametrize("table", COLUMNS, ids=lambda table: table.file)
def test_what_is_written_comes_back(tmp_path, table):
    build_world(tmp_path)
    first = table.read(tmp_path)
    (tmp_path / "again").mkdir()
    first.write(tmp_path / "again")
    second = table.read(tmp_path / "again")
    assert len(first) > 0
    for name in COLUMNS[table].split():
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    same = (tmp_path / table.file).read_bytes() == (tmp_path / "again" / table.file).read_bytes()
    assert same, "the same rows must give the same bytes"


def test_a_missing_common_name_is_none_and_accents_survive(tmp_path):
    build_world(tmp_path)
    taxa = Taxa.read(tmp_path)
    assert taxa.common_name.tolist()[0] == SPECIES[0][1]
    assert taxa.common_name.tolist()[1] is None  # blank
    occurrence(species=strings(["Añas", "Übel"])).write(tmp_path)
    assert Occurrence.read(tmp_path).species.tolist() == ["Añas", "Übel"]


def test_sums_of_experts_that_an_older_world_kept_by_cell_are_read(tmp_path):
    columns = "0 AS class_index, 7::UBIGINT AS cell, 'val' AS split, 1 AS layer, 2 AS expert"
    more = "3::BIGINT AS tokens, 0.5::DOUBLE AS loss_rise, 1.5::DOUBLE AS answer_norm"
    file = tmp_path / "routing.parquet"
    duckdb.sql(f"COPY (SELECT {columns}, {more}) TO '{file}' (FORMAT parquet)")
    assert Routing.read(tmp_path).tokens.tolist() == [3]
    duckdb.sql(f"COPY (SELECT {columns}, {more}, 1 AS mood) TO '{file}' (FORMAT parquet)")
    with pytest.raises(WorldError, match="column mood is INTEGER; expected no such column"):
        Routing.read(tmp_path)


@settings(max_examples=25)
@given(values=st.lists(st.lists(st.integers(0, 2**16 - 1), min_size=3, max_size=3), max_size=5))
def test_features_keep_every_bit(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("evidence")
    feature_ND = np.array(values, np.uint16).view(np.float16).reshape(-1, 3)
    evidence(feature_ND).write(folder)
    found = Evidence.read(folder).feature
    assert found.tobytes() == feature_ND.tobytes()
    assert found.shape == ((len(values), 3) if values else (0, 0))


def test_an_empty_table_has_the_columns_of_a_full_one(tmp_path):
    occurrence().write(tmp_path)
    Occurrence.read(tmp_path, "false").write(tmp_path)
    assert len(Occurrence.read(tmp_path)) == 0


def test_the_largest_cell_id_is_a_parameter_like_any_other(tmp_path):
    large = 0xBFFFFFFFFFFFFFFF
    evidence(np.ones((2, 1), np.float16), [large, 0]).write(tmp_path)
    assert Evidence.cells(tmp_path).tolist() == [large]
    found = Evidence.read(
        tmp_path, "cell IN (SELECT unnest($cells::UBIGINT[]))", {"cells": [large]}
    )
    assert found.class_index.tolist() == [0]
    assert len(Evidence.read(tmp_path, "cell IN (SELECT unnest($c::UBIGINT[]))", {"c": []})) == 0


def test_a_folder_may_have_any_name(tmp_path):
    # Were the name a pattern, it would mean the other folder too, or only the other one.
    for name, other in (("it's a *", "it's a world"), ("w[ab]", "wa")):
        for folder, rows in ((tmp_path / name, "true"), (tmp_path / other, "false")):
            folder.mkdir()
            occurrence().write(folder)
            Occurrence.read(folder, rows).write(folder)
        assert (len(Occurrence.read(tmp_path / name)), len(Occurrence.read(folder))) == (2, 0)


@given(st.integers(1, 10_000))
def test_a_band_holds_the_counts_that_its_name_says(count):
    band = int(count_band(np.array([count]))[0])
    low, _, high = COUNT_BANDS[band - 1].replace(" or more", "-1000000").partition("-")
    assert int(low) <= count <= int(high or low)
    assert COUNT_BAND_FROM[band - 1] == int(low)


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"occurrence.parquet: the columns differ in length: .*'m"):
        occurrence(month=np.zeros(3, np.int8))


def test_a_column_of_another_type_is_refused():
    with pytest.raises(ValueError, match="column cell is int64; expected uint64"):
        occurrence(cell=np.array([1, 2]))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WorldError, match=r"taxa\.parquet: cannot be read as a table of a world"):
        Taxa.read(tmp_path)


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "taxa.parquet").write_text("class_index,species\n")
    with pytest.raises(WorldError, match=r"taxa\.parquet: cannot be read .*download the world"):
        Taxa.read(tmp_path)


def test_a_missing_column_is_named_with_its_type(tmp_path):
    occurrence().write(tmp_path)
    path = tmp_path / "occurrence.parquet"
    write_sql(tmp_path / "new", f"SELECT * EXCLUDE month FROM '{path}'")
    (tmp_path / "new").rename(path)
    with pytest.raises(WorldError, match="column month is missing; expected TINYINT"):
        Occurrence.read(tmp_path)


def test_a_column_that_nobody_knows_is_refused(tmp_path):
    occurrence().write(tmp_path)
    path = tmp_path / "occurrence.parquet"
    write_sql(tmp_path / "new", f"SELECT *, 1.5::DOUBLE AS latitude FROM '{path}'")
    (tmp_path / "new").rename(path)
    with pytest.raises(WorldError, match="column latitude is DOUBLE; expected no such column"):
        Occurrence.read(tmp_path)


def test_a_value_that_is_needed_and_missing_is_counted(tmp_path):
    occurrence(species=strings(["Panthera leo", None])).write(tmp_path)
    with pytest.raises(WorldError, match="1 of 2 rows have no species; every row needs one"):
        Occurrence.read(tmp_path)


def test_features_of_two_lengths_are_refused(tmp_path):
    evidence(np.ones((2, 1), np.float16)).write(tmp_path)
    path = tmp_path / "evidence.parquet"
    write_sql(
        tmp_path / "new",
        "SELECT * REPLACE (CASE class_index WHEN 0 THEN feature ELSE '\\x00'::BLOB || feature END "
        f"AS feature) FROM '{path}'",
    )
    (tmp_path / "new").rename(path)
    with pytest.raises(WorldError, match="feature has rows of 2 and of 3 bytes; expected one size"):
        Evidence.read(tmp_path)


def test_without_duckdb_the_command_that_installs_it_is_told(tmp_path, monkeypatch):
    real = builtins.__import__

    def without_duckdb(name):
        if name == "duckdb":
            raise ModuleNotFoundError("No module named 'duckdb'", name="duckdb")
        return real(name)

    monkeypatch.setattr("importlib.import_module", without_duckdb)
    with pytest.raises(ExtraNotInstalled, match=r"pip install '\.\[get\]'"):
        Taxa.read(tmp_path)
