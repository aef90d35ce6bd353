"""Name a place, get the model: the package holds what the parts say, for any world and place."""

import hashlib
import json
import subprocess
import sys
import tomllib

import numpy as np
import onnxruntime
import pytest
from fakes import (
    CHICAGO,
    EMPTY_OCEAN,
    NORTH_POLE,
    SERENGETI,
    TAVEUNI,
    build_world,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from homerange.data.images import Preprocessing
from homerange.errors import ConfigError, PackageError, PlaceError, SpeciesError, WorldError
from homerange.geo.place import Circle, SpeciesList, place_from_json
from homerange.specialize.sparrow import sparrow_manifest
from homerange.specialize.specialize import specialize
from homerange.specialize.species import species_at
from homerange.world.place_package import read_package
from homerange.world.world import open_world


@pytest.fixture
def world(tmp_path):
    return build_world(tmp_path / "planet", outcomes=("blank", "person"))


def test_the_package_is_what_the_runner_reads(world, tmp_path):
    made = specialize(world, SERENGETI, tmp_path / "serengeti.homerange")
    package = read_package(made.path)
    assert package.sha256 == made.sha256
    assert package.name == made.name == "serengeti"
    assert package.labels == made.table.labels
    assert package.outcomes == ("blank", "person")
    assert package.common_names["Panthera leo"] == "lion"
    assert package.preprocessing == open_world(world).preprocessing
    assert made.seconds > 0


def test_the_model_inside_answers_as_the_world_does(world, tmp_path):
    made = specialize(world, SERENGETI, tmp_path / "serengeti.homerange")
    package = read_package(made.path)
    photos = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)
    feed = {package.input_name: photos}
    full = onnxruntime.InferenceSession(world / "graph.onnx").run(["logits"], feed)[0]
    got = onnxruntime.InferenceSession(package.model).run([package.output_name], feed)[0]
    labels = open_world(world).labels
    rows = [labels.index(label) for label in package.labels]
    np.testing.assert_allclose(got, full[:, rows], rtol=1e-6, atol=1e-6)


def test_place_json_says_where_why_and_from_what(world, tmp_path):
    made = specialize(world, TAVEUNI, tmp_path / "x.homerange", name="taveuni")
    place = read_package(made.path).place
    assert place["name"] == "taveuni"
    assert place_from_json(place["place"]) == TAVEUNI
    assert place["species"] == [row.to_json() for row in made.table.species]
    assert place["species"][0]["reason"] == "recorded within 50 km (2-5 records)"
    sha256 = hashlib.sha256((world / "world.json").read_bytes()).hexdigest()
    assert place["parent"] == {"name": "planet", "sha256": sha256}
    assert place["experts"] == place["thresholds"] == {}
    assert place["figures"] == json.loads(json.dumps(made.figures.to_json()))
    assert place["figures"]["rows"][2]["name"] == "this package"


def test_species_and_get_agree(world, tmp_path):
    choice = {"include": ["Procyon lotor"], "exclude": ["Panthera leo"]}
    made = specialize(world, SERENGETI, tmp_path / "x.homerange", **choice)
    assert made.table == species_at(open_world(world), SERENGETI, **choice)


def test_with_the_time_given_packages_are_equal_to_the_last_byte(world, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    paths = [tmp_path / name / "here.homerange" for name in "ab"]
    for path in paths:
        path.parent.mkdir()
        specialize(world, SERENGETI, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert read_package(paths[0]).place["created"] == "1970-01-02T00:00:00+00:00"


@pytest.mark.parametrize("epoch", ["today", "", "1e9", "9" * 30])
def test_a_time_that_is_none_is_refused(world, tmp_path, monkeypatch, epoch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(ConfigError, match=r"expected seconds since 1970, a whole number"):
        specialize(world, SERENGETI, tmp_path / "here.homerange")


def test_progress_rises_while_a_package_is_made(world, tmp_path):
    shares = []
    specialize(world, SERENGETI, tmp_path / "here.homerange", on_progress=shares.append)
    assert shares == sorted(set(shares))
    assert len(shares) > 2
    assert 0 < shares[0] < shares[-1] < 1


def test_two_places_give_two_models(world, tmp_path):
    serengeti = specialize(world, SERENGETI, tmp_path / "a.homerange")
    chicago = specialize(world, CHICAGO, tmp_path / "b.homerange")
    species = [{row.species for row in made.table.species} for made in (serengeti, chicago)]
    assert not species[0] & species[1]


@settings(max_examples=12)
@given(
    classes=st.integers(1, 30),
    features=st.integers(1, 9),
    seed=st.integers(0, 999),
    head=st.sampled_from(["gemm", "gemm columns", "matmul", "transpose"]),
    place=st.sampled_from(
        [
            Circle(-2.33, 34.83, 100.0),
            Circle(-16.8, 180.0, 20000.0),
            Circle(90.0, 0.0, 12000.0),
            Circle(-90.0, -180.0, 20000.0),
            SpeciesList(("Panthera leo",)),
        ]
    ),
)
def test_any_world_gives_a_package_for_any_place(
    tmp_path_factory, classes, features, seed, head, place
):
    folder = tmp_path_factory.mktemp("world")
    build_world(
        folder,
        classes=classes,
        features=features,
        seed=seed,
        head=head,
        outcomes=("blank",) if classes > 1 else (),
    )
    made = specialize(folder, place, folder / "x.homerange")
    package = read_package(made.path)
    session = onnxruntime.InferenceSession(package.model)
    logits = session.run(None, {"image": np.zeros((2, 16, 16, 3), np.uint8)})[0]
    assert logits.shape == (2, len(package.labels))
    assert "Panthera leo" in package.labels


@pytest.mark.parametrize("place", [NORTH_POLE, TAVEUNI], ids=["pole", "dateline"])
def test_the_ends_of_the_map_have_packages(world, tmp_path, place):
    made = specialize(world, place, tmp_path / "x.homerange")
    assert len(made.table.species) == 1


def test_a_place_without_records_makes_no_package(world, tmp_path):
    with pytest.raises(PlaceError, match="no record counts for within 100 km of -45"):
        specialize(world, EMPTY_OCEAN, tmp_path / "x.homerange")
    assert not (tmp_path / "x.homerange").exists()


def test_an_unknown_species_leaves_the_last_package_as_it_was(world, tmp_path):
    path = tmp_path / "x.homerange"
    specialize(world, SERENGETI, path)
    before = path.read_bytes()
    with pytest.raises(SpeciesError, match="'Panthera lea'"):
        specialize(world, SERENGETI, path, include=["Panthera lea"])
    assert path.read_bytes() == before


def test_a_damaged_world_makes_no_package(world, tmp_path):
    (world / "taxa.parquet").write_bytes(b"")
    with pytest.raises(WorldError, match=r"taxa\.parquet: has 0 bytes; world\.json says"):
        specialize(world, SERENGETI, tmp_path / "x.homerange")


def test_a_missing_folder_is_said_before_any_work(tmp_path):
    with pytest.raises(PackageError, match=r"there is no folder .*nowhere; make it first"):
        specialize(tmp_path / "no world", SERENGETI, tmp_path / "nowhere" / "x.homerange")


def test_a_folder_and_files_that_are_no_package_are_left_alone_before_any_work(world, tmp_path):
    with pytest.raises(PackageError, match=r"is a folder; expected the name of a file to write"):
        specialize(tmp_path / "no world", SERENGETI, tmp_path)
    names = tmp_path / "names.txt"
    names.write_text("Panthera leo\n")
    for path in (names, world / "graph.onnx", world / "world.json"):
        before = path.read_bytes()
        with pytest.raises(PackageError, match=r"exists and is no place package\. Choose another"):
            specialize(world, SERENGETI, path)
        assert path.read_bytes() == before


def test_a_package_that_cannot_be_written_is_an_error_of_ours(world, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("homerange.specialize.specialize.write_package", full)
    with pytest.raises(PackageError, match=r"x\.homerange: cannot be written \(No space left"):
        specialize(world, SERENGETI, tmp_path / "x.homerange")


def test_getting_a_model_loads_no_torch_pyarrow_or_pandas(world, tmp_path):
    code = (
        "import sys\n"
        "from homerange.geo.place import Circle\n"
        "from homerange.specialize.specialize import specialize\n"
        f"specialize({str(world)!r}, Circle(-2.33, 34.83), {str(tmp_path / 'x.homerange')!r})\n"
        "print({'torch', 'pyarrow', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


@given(name=st.text(min_size=1), input_px=st.integers(1, 4096))
def test_the_sparrow_manifest_is_toml_for_any_name(name, input_px):
    found = tomllib.loads(sparrow_manifest(name, Preprocessing(input_px=input_px)))
    assert found["model"] == {"id": name, "format": "onnx", "file": "model.onnx"}
    assert found["preprocessing"] == {
        "method": "resize",
        "input_size": [input_px, input_px],
        "layout": "nhwc",
        "normalization": "none",
        "interpolation": "bicubic",
    }
    assert found["labels"] == {"file": "labels.txt", "format": "one_per_line"}
    assert found["postprocessing"]["method"] == "softmax"
    assert found["inference"]["strategy"] == "single"
