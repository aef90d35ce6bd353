"""Law: the range model of a world answers as in torch, without torch, and says nothing finer."""

import dataclasses
import json
import re
import shutil

import numpy as np
import onnx
import pytest
import torch
from fakes import build_world
from tiny_ranges import HOMES, occurrence_table, tiny_range_config
from tiny_training import CLASSES

from homerange.errors import CheckpointError, CoordinateError, WorldError
from homerange.geo.sphere import to_latlon
from homerange.model.range import load_range
from homerange.profile.export_range import export_range, load_publishable
from homerange.train.range import train_range
from homerange.world.range_model import RangeModel
from homerange.world.world import open_world, seal_world

PLACES = np.concatenate(
    [
        np.array([[90.0, 0.0], [-90.0, 180.0], [0.0, -180.0], [-16.8, 179.98]]),
        to_latlon(np.random.default_rng(0).normal(size=(200, 3))),
    ]
)


def trained(folder, **changes):
    """A range model of three species, beside a world's classes in another order."""
    table = occurrence_table(folder / "records.csv")
    return train_range(table, folder / "ranges", tiny_range_config(**changes)).folder


def exported(source, folder, classes=CLASSES):
    ranges = load_publishable(source, classes)
    folder.mkdir()
    export_range(ranges, folder)
    return folder


@pytest.fixture(scope="module")
def ranges(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("ranges"))


@pytest.fixture(scope="module")
def world(ranges, tmp_path_factory):
    return exported(ranges, tmp_path_factory.mktemp("worlds") / "world")


def torch_scores(folder, species):
    network, facts = load_range(folder)
    feature_NF = torch.from_numpy(facts.encoder.space2vec.encode(PLACES))
    with torch.no_grad():
        score_NC = network(feature_NF).sigmoid().numpy()
    return score_NC[:, [facts.species.index(name) for name in species]]


def test_the_graph_answers_as_torch_does(ranges, world):
    model = RangeModel.open(world)
    assert model.species == ("Equus quagga", "Panthera leo", "Procyon lotor")
    expected_NK = torch_scores(ranges, model.species)
    np.testing.assert_allclose(model.scores(PLACES), expected_NK, atol=1e-5)
    assert expected_NK.std(axis=0).min() > 0.01


@pytest.mark.parametrize("changes", [{"encoding": "raw"}, {"encoding": "theory"}])
def test_so_do_other_encodings_at_fine_scales(tmp_path, changes):
    source = trained(tmp_path, epochs=1, min_radius_deg=0.005, **changes)
    model = RangeModel.open(exported(source, tmp_path / "world"))
    expected_NK = torch_scores(source, model.species)
    np.testing.assert_allclose(model.scores(PLACES), expected_NK, atol=1e-5)


def test_species_of_the_world_stand_in_the_order_of_its_classes(ranges, tmp_path):
    world = exported(ranges, tmp_path / "world", ("Procyon lotor", "blank", "Equus quagga"))
    model = RangeModel.open(world)
    assert model.species == ("Procyon lotor", "Equus quagga")
    np.testing.assert_allclose(model.scores(PLACES), torch_scores(ranges, model.species), atol=1e-5)


def test_what_is_expected_at_a_place_reaches_the_threshold_the_best_first(ranges, world):
    model = RangeModel.open(world)
    assert model.threshold == json.loads((ranges / "metrics.json").read_text())["threshold"]
    latitude, longitude = HOMES["Procyon lotor"]
    found = model.expected_at(latitude, longitude)
    scores = dict(
        zip(model.species, model.scores(np.array([[latitude, longitude]]))[0].tolist(), strict=True)
    )
    assert found == {n: s for n, s in scores.items() if s >= model.threshold}
    assert list(found.values()) == sorted(found.values(), reverse=True)
    strict = dataclasses.replace(model, threshold=0.5 * (max(scores.values()) + 1))
    assert strict.expected_at(latitude, longitude) == {}
    whole = dataclasses.replace(model, threshold=None)
    assert whole.expected_at(latitude, longitude).keys() == scores.keys()


def test_a_model_without_records_kept_aside_has_no_threshold(tmp_path):
    source = trained(tmp_path, epochs=1, val_share=0.0)
    assert RangeModel.open(exported(source, tmp_path / "world")).threshold is None


def test_places_are_checked_and_none_gives_none(world):
    model = RangeModel.open(world)
    assert model.scores(np.empty((0, 2))).shape == (0, 3)
    with pytest.raises(CoordinateError, match="latitude 95"):
        model.expected_at(95.0, 0.0)


def test_a_graph_says_nothing_of_the_machine_that_made_it(world):
    data = (world / "range.onnx").read_bytes()
    assert not re.search(rb"/(?:home|root|tmp|work)/", data)
    said = {prop.key: prop.value for prop in onnx.load(world / "range.onnx").metadata_props}
    assert said.keys() == {"species", "finest_level", "threshold"}


# What is refused


def test_records_finer_than_a_world_may_say_are_not_published(tmp_path):
    source = trained(tmp_path, epochs=1, finest_level=9)
    with pytest.raises(CheckpointError, match="cells of level 9, which may lead to an animal"):
        load_publishable(source, CLASSES)


def test_nor_read(world, tmp_path):
    model = onnx.load(world / "range.onnx")
    for prop in model.metadata_props:
        prop.value = "9" if prop.key == "finest_level" else prop.value
    onnx.save(model, tmp_path / "range.onnx")
    with pytest.raises(WorldError, match="learnt from cells of level 9; worlds say nothing finer"):
        RangeModel.open(tmp_path)


def test_a_range_model_of_other_species_is_refused(ranges):
    with pytest.raises(
        CheckpointError, match="knows none of the 2 classes of the world, the first"
    ):
        load_publishable(ranges, ("Ursus maritimus", "blank"))


def test_one_whose_training_did_not_finish_is_refused(ranges, tmp_path):
    shutil.copytree(ranges, tmp_path / "copy")
    (tmp_path / "copy" / "metrics.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no metrics\.json. Train the range model again"):
        load_publishable(tmp_path / "copy", CLASSES)


def test_a_world_without_one_says_how_to_get_it(tmp_path):
    with pytest.raises(WorldError, match=r"has no range\.onnx. Publish it again with"):
        RangeModel.open(tmp_path)
    (tmp_path / "range.onnx").write_bytes(b"no graph")
    with pytest.raises(WorldError, match=r"range\.onnx: cannot be loaded"):
        RangeModel.open(tmp_path)


def test_the_file_is_sealed_with_the_others_where_it_is_there(world, tmp_path):
    folder = build_world(tmp_path / "world")
    assert "range.onnx" not in open_world(folder).files
    (folder / "range.onnx").write_bytes((world / "range.onnx").read_bytes())
    seal_world(folder, open_world(folder).description)
    assert "range.onnx" in open_world(folder).files
    (folder / "range.onnx").write_bytes(b"another")
    with pytest.raises(WorldError, match=r"range\.onnx: has 7 bytes"):
        open_world(folder)
