"""Photos of a place are answered by the rule of its world, with what only the world knows."""

import numpy as np
import pytest
import torch
from tiny_training import tiny_config, tiny_manifest
from tiny_world import expert_checkpoint, expert_world

from homerange.data.manifest import Manifest
from homerange.errors import CheckpointError
from homerange.geo.place import SpeciesList
from homerange.profile.expert_sums import expert_layers
from homerange.profile.simulate import logits_without
from homerange.report.place_photos import place_photos
from homerange.specialize.species import species_at
from homerange.train.dataset import PlainPhotos
from homerange.world.world import open_world

SPEC = {"layers": (1, 5), "experts": 3, "hidden": 2}
NONE_LEFT = {1: np.array([], np.int64), 5: np.array([1])}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A world under the rule mean, the network that it holds, and its checkpoint and photos."""
    folder = tmp_path_factory.mktemp("mean")
    path, network = expert_world(folder / "world", rule="mean", **SPEC)
    world = open_world(path)
    manifest = tiny_manifest(folder, train=0, val=0, test=8)
    return world, network, checkpoint(folder / "checkpoint", world.labels), manifest


def checkpoint(folder, classes, **spec):
    expert_checkpoint(folder, classes, **(SPEC | spec))
    return folder


def species(world):
    return species_at(world, SpeciesList(("Panthera leo", "Procyon lotor")))


def test_mean_answers_come_from_the_world_and_are_given(made):
    world, network, checkpoint, manifest = made
    photos = place_photos(world, species(world), checkpoint, manifest)
    for number, mlp in expert_layers(network).items():
        assert torch.equal(expert_layers(photos.network)[number].mean_ED, mlp.mean_ED)
        gone_E = torch.ones(3, dtype=torch.bool)
        gone_E[NONE_LEFT[number]] = False
        mlp.drop(gone_E, "mean")
    # Kinds take turns: 0 and 4 are lions, 2 and 6 raccoons; blanks and zebras are not asked.
    plain = PlainPhotos(
        Manifest.read(manifest), world.labels, tiny_config(input_px=32).preprocessing
    )
    pixels_B3HW = torch.stack([plain.pixels(row) for row in (0, 2, 4, 6)])
    with torch.no_grad():
        expected_NC = network(pixels_B3HW.float() / 255).numpy()
    assert photos.prepared.class_N.tolist() == [0, 2, 0, 2]  # blank is class 1
    found_NC = logits_without(photos.network, photos.prepared, NONE_LEFT, rule=photos.rule)
    np.testing.assert_allclose(found_NC, expected_NC, rtol=1e-4, atol=1e-4)
    right = photos.judge(NONE_LEFT)
    assert right.every_class.correct == (expected_NC.argmax(axis=1) == [0, 2, 0, 2]).sum()
    assert right.every_class.photos == 4
    assert photos.commonest == 0.5


@pytest.mark.parametrize(
    ("labels", "spec", "difference"),
    [
        (4, {}, "its 4 classes are not the 5 of the world"),
        (5, {"layers": (1,)}, r"its experts by layer are {1: 3}, those of the world {1: 3, 5: 3}"),
    ],
)
def test_a_checkpoint_that_is_not_of_the_world_is_told_by_its_difference(
    made, tmp_path, labels, spec, difference
):
    world, _, _, manifest = made
    other = checkpoint(tmp_path / "other", world.labels[:labels], **spec)
    with pytest.raises(CheckpointError) as caught:
        place_photos(world, species(world), other, manifest)
    assert f"was published from: {difference}. Give that one" in str(caught.value)
