"""Several experts gone: the answers are those of the network that drops them, photo by photo."""

import numpy as np
import pytest
import torch
from tiny_training import CLASSES, tiny_manifest
from tiny_world import expert_config, expert_network

from homerange.data.manifest import Manifest
from homerange.profile.expert_sums import expert_layers
from homerange.profile.simulate import logits_without, prepare
from homerange.train.dataset import PlainPhotos

SPEC = {"layers": (1, 3, 7), "experts": 3, "hidden": 2}
KEPT = {1: np.array([0, 2]), 7: np.array([1])}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    path = tiny_manifest(tmp_path_factory.mktemp("photos"), train=0, val=0, test=9)
    (path.parent / "photos" / "3.jpg").write_bytes(b"")
    return Manifest.read(path)


@pytest.fixture(scope="module")
def facts():
    return expert_config(CLASSES[:-1], **SPEC)  # photos of the last one are not judged


@pytest.fixture(scope="module")
def network():
    return expert_network(len(CLASSES) - 1, **SPEC)


@pytest.fixture(scope="module")
def prepared(network, facts, photos):
    return prepare(network, facts, photos)


def pixels(photos, facts, rows):
    plain = PlainPhotos(photos, facts.classes, facts.preprocessing)
    return torch.stack([plain.pixels(int(row)) for row in rows]).float() / 255


def test_photos_that_are_unreadable_or_of_no_known_class_are_left_out(prepared, photos):
    # Kinds take turns: 0 lion, 1 zebra, 2 raccoon, 3 blank; photo 3 is empty, 7 is blank again.
    assert prepared.row_N.tolist() == [0, 1, 2, 4, 5, 6, 8]
    species = photos.strings("species")
    assert [CLASSES[c] for c in prepared.class_N] == [species[row] for row in prepared.row_N]


def test_with_all_experts_the_answers_are_those_of_the_network(network, prepared, photos, facts):
    with torch.no_grad():
        expected = network(pixels(photos, facts, prepared.row_N)).numpy()
    np.testing.assert_allclose(logits_without(network, prepared, None), expected, atol=1e-5)


@pytest.mark.parametrize("rule", ["reroute", "zero", "literal", "skip"])
def test_dropped_experts_answer_as_in_the_whole_network(network, prepared, photos, facts, rule):
    found = logits_without(network, prepared, KEPT, rule=rule)
    layers = expert_layers(network)
    for layer, kept in KEPT.items():
        gone_E = torch.ones(3, dtype=torch.bool)
        gone_E[kept] = False
        layers[layer].drop(gone_E, rule)
    try:
        with torch.no_grad():
            expected = network(pixels(photos, facts, prepared.row_N)).numpy()
    finally:
        for layer in KEPT:
            layers[layer].drop(torch.zeros(3, dtype=torch.bool), "reroute")
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)
    assert np.abs(found - logits_without(network, prepared, None)).max() > 1e-3


def test_nothing_stays_dropped_afterwards(network, prepared):
    before = logits_without(network, prepared, None)
    logits_without(network, prepared, KEPT, rule="zero")
    assert np.array_equal(logits_without(network, prepared, None), before)
    assert {mlp.drop_rule for mlp in expert_layers(network).values()} == {"reroute"}


def test_a_part_of_the_photos_is_answered_alike(network, prepared):
    some_N = prepared.class_N == prepared.class_N[0]
    part = prepared.where(some_N)
    assert part.row_N.tolist() == prepared.row_N[some_N].tolist()
    np.testing.assert_allclose(
        logits_without(network, part, KEPT),
        logits_without(network, prepared, KEPT)[some_N],
        atol=1e-5,
    )
