"""Opening a world: complete, unchanged and of a known version, or one clear line."""

import dataclasses
import json

import numpy as np
import pytest
from fakes import build_world, reseal
from hypothesis import given, settings
from hypothesis import strategies as st

from homerange.errors import WorldError
from homerange.world import world as world_module
from homerange.world.parquet import strings
from homerange.world.tables import Taxa
from homerange.world.world import WORLD_FILES, open_world, seal_world


@pytest.fixture
def folder(tmp_path):
    return build_world(tmp_path / "planet", outcomes=("blank", "person"))


def edit(folder, change):
    """Change what ``world.json`` holds."""
    path = folder / "world.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_world_says_what_it_was_made_with(folder):
    world = open_world(folder)
    assert world.labels[:4] == ("Panthera leo", "blank", "person", "Procyon lotor")
    assert world.outcomes == ("blank", "person")
    assert world.preprocessing.input_px == 16
    assert world.graph.class_weight == "head.classes.weight"
    assert world.description.architecture.expert_layers == ()
    assert world.description.provenance.sources == {"fake photos": 57}
    assert world.graph_path.name == "graph.onnx"
    world.verify()


def test_the_description_comes_back_as_it_was_written(folder):
    first = open_world(folder).description
    seal_world(folder, first)
    assert open_world(folder).description == first


def test_sealing_twice_gives_the_same_hash_and_that_is_the_identity(folder):
    sha256 = open_world(folder).sha256
    assert reseal(folder) == sha256
    assert reseal(folder, name="another") != sha256


@settings(max_examples=15)
@given(classes=st.integers(1, 40), features=st.integers(1, 9), seed=st.integers(0, 99))
def test_any_number_of_classes_is_a_world(tmp_path_factory, classes, features, seed):
    outcomes = ("blank",) if classes > 1 else ()
    folder = tmp_path_factory.mktemp("world")
    build_world(folder, classes=classes, features=features, seed=seed, outcomes=outcomes)
    world = open_world(folder)
    assert len(world.labels) == classes
    assert world.outcomes == outcomes


def test_a_folder_without_a_world_is_named(tmp_path):
    with pytest.raises(WorldError, match=r"nowhere: is no world .*as written by: homerange prof"):
        open_world(tmp_path / "nowhere")


def test_a_description_that_is_not_json_is_refused(folder):
    (folder / "world.json").write_text("{")
    with pytest.raises(WorldError, match=r"world\.json: is not JSON .*download the world again"):
        open_world(folder)


def test_another_format_is_refused(folder):
    edit(folder, lambda content: content.update(format="homerange-place"))
    with pytest.raises(WorldError, match='does not say "format": "homerange-world"'):
        open_world(folder)


def test_a_world_of_version_1_is_read_as_a_dense_one(folder):
    def to_version_1(content):
        content["version"] = 1
        del content["graph"]["experts"], content["graph"]["drop_rule"]

    edit(folder, to_version_1)
    assert open_world(folder).graph.experts == ()


def test_a_world_of_version_2_is_read_as_one_that_reroutes(folder):
    def to_version_2(content):
        content["version"] = 2
        del content["graph"]["drop_rule"]

    edit(folder, to_version_2)
    assert open_world(folder).graph.drop_rule == "reroute"


def test_another_version_is_refused_with_the_one_that_made_it(folder):
    edit(folder, lambda content: content.update(version=5, homerange="9.9"))
    with pytest.raises(
        WorldError, match=r"of version 5; homerange .* reads versions 1 to 4.*\(9\.9\)"
    ):
        open_world(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(colour=1), r"world\.json: colour is unknown; did you mean"),
        (lambda c: c["licence"].update(weight=1), "licence.weight is unknown; did you mean w"),
        (lambda c: c.pop("macs"), "macs is missing"),
        (lambda c: c["graph"].pop("input"), "graph.input is missing"),
        (lambda c: c["graph"].pop("drop_rule"), "graph.drop_rule is missing"),
        (
            lambda c: c["graph"].update(drop_rule="keep"),
            "graph.drop_rule is 'keep'; expected one of reroute, zero, literal, skip, mean",
        ),
        (lambda c: c["graph"].update(drop_rule=[]), r"graph.drop_rule is \[\]; expected one of"),
        (lambda c: c.update(parameters="many"), "parameters is 'many'; expected a whole number"),
        (lambda c: c.update(macs=True), "macs is True; expected a whole number"),
        (lambda c: c["architecture"].update(expert_layers=1), "is 1; expected a list"),
        (lambda c: c["licence"].update(rows=[]), r"licence.rows is \[\]; expected an object"),
        (lambda c: c.update(name=None), "name is None; expected a text"),
        (lambda c: c.update(graph=[]), r"graph is \[\]; expected an object"),
        (lambda c: c.update(preprocessing=3), "preprocessing is 3; expected an object"),
        (lambda c: c["preprocessing"].update(fit="zoom"), "preprocessing.fit is 'zoom'"),
    ],
)
def test_a_description_that_breaks_the_contract_says_where(folder, change, message):
    edit(folder, change)
    with pytest.raises(WorldError, match=message):
        open_world(folder)


@pytest.mark.parametrize("name", WORLD_FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(WorldError, match=f"planet: lacks {name}; world.json lists 6 files"):
        open_world(folder)


@pytest.mark.parametrize("name", WORLD_FILES)
def test_one_changed_byte_in_any_file_is_found(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(WorldError, match=f"{name}: is not the file that was published: expected"):
        open_world(folder)


def test_a_file_cut_short_is_told_by_its_size(folder):
    data = (folder / "evidence.parquet").read_bytes()
    (folder / "evidence.parquet").write_bytes(data[:-1])
    with pytest.raises(WorldError, match=f"has {len(data) - 1:,} bytes; world.json says "):
        open_world(folder)


def test_a_large_file_is_hashed_when_asked_only(folder, monkeypatch):
    monkeypatch.setattr(world_module, "HASH_ON_OPENING_UP_TO_BYTES", 10)
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    world = open_world(folder)
    with pytest.raises(WorldError, match=r"weights\.safetensors: is not the file"):
        world.verify()


def test_hashes_of_too_few_files_are_refused(folder):
    edit(folder, lambda content: content["files"].pop("taxa.parquet"))
    with pytest.raises(WorldError, match="'files' must give SHA-256 and bytes of each of graph"):
        open_world(folder)


def test_a_file_outside_the_folder_is_refused(folder):
    edit(folder, lambda c: c["files"].update({"../secret": {"sha256": "", "bytes": 0}}))
    with pytest.raises(WorldError, match=r"names the file '\.\./secret'; the files of a world lie"):
        open_world(folder)


def test_an_entry_without_a_hash_is_refused(folder):
    edit(folder, lambda content: content["files"].update({"range.onnx": {"bytes": 3}}))
    with pytest.raises(WorldError, match=r"an entry of 'files' is not \{sha256, bytes\}"):
        open_world(folder)


def test_a_world_is_sealed_only_when_all_files_are_there(folder):
    description = open_world(folder).description
    (folder / "taxa.parquet").unlink()
    with pytest.raises(WorldError, match=r"lacks taxa\.parquet; a world is sealed when all are"):
        seal_world(folder, description)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {name: column[:-1] for name, column in t.items()}, "has 9 rows; .* 10 classes"),
        (lambda t: {"class_index": t["class_index"][::-1].copy()}, "class_index must count the ro"),
        (lambda t: {"species": strings(["Panthera leo"] * 10)}, "'Panthera leo' occurs twice"),
    ],
    ids=["too few", "out of order", "twice"],
)
def test_classes_that_do_not_fit_the_head_are_refused(tmp_path, change, message):
    folder = build_world(tmp_path)
    taxa = Taxa.read(folder)
    columns = {f.name: getattr(taxa, f.name) for f in dataclasses.fields(taxa)}
    Taxa(**columns | change(columns)).write(folder)
    reseal(folder)
    with pytest.raises(WorldError, match=message):
        open_world(folder)


def test_a_world_without_classes_is_refused(tmp_path):
    folder = build_world(tmp_path)
    Taxa.read(folder, "false").write(folder)
    architecture = json.loads((folder / "world.json").read_text())["architecture"]
    reseal(folder, architecture=architecture | {"classes": 0})
    with pytest.raises(WorldError, match=r"has 0 rows; world\.json says 0 classes"):
        open_world(folder)


def test_opening_changes_nothing(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    open_world(folder).verify()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert np.all([(folder / name).exists() for name in WORLD_FILES])
