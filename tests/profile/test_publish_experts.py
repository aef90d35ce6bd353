"""A world with experts, from a checkpoint to a place that keeps some of them."""

import dataclasses

import numpy as np
import onnxruntime
import pytest
from tiny_training import CLASSES, tiny_config, tiny_manifest
from tiny_world import expert_network

from homerange.model.checkpoint import CheckpointConfig, save_weights
from homerange.model.experts import ExpertSpec
from homerange.profile.publish import publish
from homerange.specialize.choose import choose, use_of
from homerange.specialize.cut import cut_world
from homerange.world.expert_tables import Drops
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
    kept = choose(world, np.array([0, 1]), method, number=3)
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
