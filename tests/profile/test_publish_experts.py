"""A world with experts, from a checkpoint to a place that keeps some of them."""

import dataclasses

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner
from fakes import SERENGETI
from tiny_training import CLASSES, tiny_config, tiny_manifest
from tiny_world import expert_network

from homerange.cli import main
from homerange.model.checkpoint import CheckpointConfig, save_weights
from homerange.model.experts import ExpertSpec
from homerange.profile.publish import publish
from homerange.specialize.choose import Choice, choose, use_of
from homerange.specialize.cut import cut_world
from homerange.specialize.specialize import specialize
from homerange.world.expert_tables import Drops
from homerange.world.place_package import read_package
from homerange.world.tables import Profile
from homerange.world.world import EXPERT_FILES, WORLD_FILES, open_world

SPEC = {"layers": (1, 5), "experts": 3, "hidden": 2}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    manifest = tiny_manifest(folder, train=4, val=8, test=8)
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir()
    config = CheckpointConfig(
        backbone="mobilevitv2_050",
        head="plain",
        classes=CLASSES,
        preprocessing=dataclasses.replace(tiny_config(input_px=32).preprocessing),
        experts=ExpertSpec(**SPEC),
    )
    config.write(checkpoint)
    save_weights(expert_network(len(CLASSES), **SPEC), checkpoint)
    publish(checkpoint, manifest, folder / "world", exact=1)
    return open_world(folder / "world")


def test_it_has_the_files_of_experts_and_names_their_layers(world):
    assert set(world.files) == {*WORLD_FILES, *EXPERT_FILES}
    assert world.description.architecture.expert_layers == (1, 5)
    assert [(layer.layer, layer.channels, layer.experts) for layer in world.graph.experts] == [
        (1, 64, 3),
        (5, 96, 3),
    ]


def test_every_token_of_the_judged_photos_is_counted_once(world):
    # 32 pixels: maps of 4 x 4 and 2 x 2 tokens; eight validation photos.
    used = use_of(world)
    assert {layer: int(tokens.sum()) for layer, tokens in used.tokens.items()} == {1: 128, 5: 32}
    assert int(used.edges[1].sum()) == 128  # each token of the finer map once


def test_drops_were_measured_on_one_photo_of_each_class(world):
    drops = Drops.read(world.path)
    whole = drops.layer == -1
    assert drops.photos[whole].sum() == len(CLASSES)
    assert len({(layer, e) for layer, e in zip(drops.layer, drops.expert, strict=True)}) == 1 + 6


@pytest.mark.parametrize("method", ["exact", "first-order", "reap", "random"])
def test_a_place_keeps_the_experts_that_were_chosen(world, method):
    kept = choose(world, np.array([0, 1]), Choice(method=method, number=3))
    assert sum(map(len, kept.values())) == 3
    model = cut_world(world, np.array([0, 1]), kept)
    photo = np.zeros((1, 32, 32, 3), np.uint8)
    logits = onnxruntime.InferenceSession(model).run(None, {"image": photo})[0]
    assert logits.shape == (1, 2)
    assert np.isfinite(logits).all()


def test_the_same_checkpoint_without_exact_drops_has_none(world, tmp_path):
    source = world.path.parent
    publish(source / "checkpoint", source / "manifest.parquet", tmp_path / "w")
    assert "drops.parquet" not in open_world(tmp_path / "w").files


def test_a_package_with_fewer_experts_shows_the_levers_apart(world, tmp_path):
    made = specialize(world.path, SERENGETI, tmp_path / "here.homerange", experts="first-order:3")
    whole = specialize(world.path, SERENGETI, tmp_path / "whole.homerange")
    figures = made.experts
    assert whole.experts is None
    assert (figures.dropped, sum(map(len, figures.kept.values()))) == (3, 3)
    head_only = made.figures.rows[2].size
    assert head_only == whole.figures.rows[2].size
    package = read_package(made.path)
    assert len(package.model) == figures.head_and_experts.bytes < head_only.bytes
    assert figures.experts_only.parameters < made.figures.rows[0].size.parameters
    # An expert of layer 1 has 2 x 64 x 2 + 2 + 64 = 322 parameters and 8 of the gate, one of
    # layer 5 has 482 and 8: three experts that leave save these.
    gone = {layer: 3 - len(kept) for layer, kept in figures.kept.items()}
    # One expert needs no gate at all: its own row and the lower half go too.
    channels = {"1": 64, "5": 96}
    gates = sum(8 * channels[n] + 8 for n, kept in figures.kept.items() if len(kept) == 1)
    saved = gone["1"] * 330 + gone["5"] * 490 + gates
    assert head_only.parameters - figures.head_and_experts.parameters == saved
    assert package.place["experts"]["choice"] == "first-order:3"
    assert "| experts dropped | 3 of 6 experts |" in made.card
    assert "this package: class rows cut, experts dropped" in made.card
    assert f"estimated: loss {figures.estimated_loss_rise:+.3f} a photo" in made.card


def test_the_estimate_is_the_rise_of_the_dropped_experts_for_each_validation_photo(world, tmp_path):
    made = specialize(world.path, SERENGETI, tmp_path / "p.homerange", experts="frequency:2")
    rise, photos = use_of(world, made.table.class_index_K).loss_rise, 0
    expected = sum(
        rise[int(layer)][e]
        for layer, kept in made.experts.kept.items()
        for e in range(3)
        if e not in kept
    )
    profile = Profile.read(world.path, "split = 'val'")
    photos = profile.photos[np.isin(profile.class_index, made.table.class_index_K)].sum()
    assert made.experts.estimated_loss_rise == pytest.approx(expected / photos)


def test_the_command_line_drops_experts_too(world, tmp_path):
    place = ["get", "--world", str(world.path), "--at", "-2.33,34.83"]
    output = ["-o", str(tmp_path / "here.homerange")]
    result = CliRunner().invoke(main, [*place, *output, "--experts", "threshold:50"])
    assert result.exit_code == 0, result.output
    assert "experts dropped" in result.output
    wrong = CliRunner().invoke(main, [*place, *output, "--experts", "most"])
    assert wrong.exit_code == 1
    assert "expected METHOD:AMOUNT" in wrong.output
