"""The model of a place for ExecuTorch: it answers as the package does, or it is not written."""

import dataclasses
import importlib.util
import sys

import numpy as np
import pytest
import torch
from fakes import SERENGETI
from tiny_training import tiny_manifest
from tiny_world import expert_checkpoint

from homerange.errors import CheckpointError, ExtraNotInstalled, PackageError
from homerange.export import executorch as module
from homerange.export.executorch import TOLERANCE, cut_network, export_executorch, program_logits
from homerange.model.checkpoint import load_checkpoint
from homerange.model.network import pixels_to_input
from homerange.profile.fold import fold_batch_norm
from homerange.profile.publish import publish
from homerange.run.session import Session
from homerange.specialize.specialize import specialize
from homerange.world.place_package import read_package

torch.set_num_threads(1)
HAS_EXECUTORCH = importlib.util.find_spec("executorch") is not None
needs_executorch = pytest.mark.skipif(
    not HAS_EXECUTORCH, reason="the extra executorch is not installed (hundreds of megabytes)"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A world with three experts in each of two layers, and its package of a place."""
    folder = tmp_path_factory.mktemp("made")
    manifest = tiny_manifest(folder, train=4, val=8, test=8)
    expert_checkpoint(folder / "checkpoint", layers=(1, 5), experts=3, hidden=2)
    publish(folder / "checkpoint", manifest, folder / "world")
    specialize(folder / "world", SERENGETI, folder / "all.homerange")
    specialize(folder / "world", SERENGETI, folder / "few.homerange", experts="frequency:3")
    return folder


def logits(network, photos_BHW3):
    with torch.no_grad():
        return network(pixels_to_input(torch.from_numpy(photos_BHW3))).numpy()


@pytest.mark.parametrize("name", ["all", "few"])
def test_the_network_cut_in_torch_answers_as_the_package_does(made, name):
    package = read_package(made / f"{name}.homerange")
    assert bool(package.place["experts"]) == (name == "few")
    network, config = load_checkpoint(made / "checkpoint")
    cut = cut_network(fold_batch_norm(network), config, package)
    photos_BHW3 = module._drawn_photos(package.preprocessing.input_px)
    found_BK = logits(cut, photos_BHW3)
    expected_BK = module._package_logits(package, photos_BHW3)
    assert found_BK.shape[1] == len(package.labels) < len(config.classes)
    np.testing.assert_allclose(found_BK, expected_BK, atol=1e-4)
    if name == "few":
        whole = cut_network(fold_batch_norm(network), config, read_package(made / "all.homerange"))
        assert np.abs(logits(whole, photos_BHW3) - expected_BK).max() > 1e-4  # dropping shows


@pytest.fixture
def pretend(monkeypatch):
    """An ExecuTorch that is not there: lowering gives bytes, running them gives ``answers``."""
    monkeypatch.setattr(module, "need", lambda name: None)
    monkeypatch.setattr(module, "_lower", lambda network, px: b"program")

    def give(change):
        monkeypatch.setattr(module, "program_logits", change)

    return give


def test_a_program_that_answers_otherwise_is_not_written(made, tmp_path, pretend):
    package = made / "all.homerange"
    right_BK = module._package_logits(read_package(package), module._drawn_photos(32))
    output = tmp_path / "x.pte"
    pretend(lambda data, photos: right_BK + 2 * TOLERANCE)
    with pytest.raises(CheckpointError, match=r"the program answers otherwise.* differs by 0\.002"):
        export_executorch(package, made / "checkpoint", output)
    assert not output.exists()
    pretend(lambda data, photos: right_BK + TOLERANCE / 2)
    done = export_executorch(package, made / "checkpoint", output)
    assert (done.size_bytes, output.read_bytes()) == (7, b"program")
    assert done.largest_difference == pytest.approx(TOLERANCE / 2, rel=0.01)


def test_another_checkpoint_is_found_out_before_the_work(made, tmp_path, pretend):
    package = made / "all.homerange"
    other = tmp_path / "other"
    expert_checkpoint(other, layers=(1, 5), experts=3, hidden=2, seed=1)
    with pytest.raises(CheckpointError, match="the checkpoint answers otherwise than the package"):
        export_executorch(package, other, tmp_path / "x.pte")


def test_experts_dropped_by_a_rule_without_a_program_are_refused(made):
    package = read_package(made / "few.homerange")
    dropped = dict(package.place["experts"]) | {"drop_rule": "zero"}
    place = dict(package.place) | {"experts": dropped}
    network, config = load_checkpoint(made / "checkpoint")
    with pytest.raises(PackageError, match="rule 'zero'; a program can be made for 'reroute' only"):
        cut_network(network, config, dataclasses.replace(package, place=place))


def test_without_executorch_the_command_that_installs_it_is_named(made, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "executorch", None)
    with pytest.raises(ExtraNotInstalled, match=r"pip install '\.\[executorch\]'"):
        export_executorch(made / "all.homerange", made / "checkpoint", tmp_path / "x.pte")


@needs_executorch
@pytest.mark.slow
@pytest.mark.parametrize("name", ["all", "few"])
def test_the_program_answers_as_the_package_does(made, tmp_path, name):
    package = made / f"{name}.homerange"
    done = export_executorch(package, made / "checkpoint", tmp_path / "x.pte")
    assert done.largest_difference <= TOLERANCE
    place = read_package(package)
    rng = np.random.default_rng(5)
    px = place.preprocessing.input_px
    photos_BHW3 = rng.integers(0, 256, (3, px, px, 3), dtype=np.uint8)
    found_BK = program_logits((tmp_path / "x.pte").read_bytes(), photos_BHW3)
    share_BK = Session.open(place).probabilities(photos_BHW3)
    assert found_BK.argmax(1).tolist() == share_BK.argmax(1).tolist()
