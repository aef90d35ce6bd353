"""The mean answers of experts: equal to a loop over tokens (law 5), and zero where none goes."""

import numpy as np
import pytest
import torch
from tiny_training import CLASSES, tiny_manifest
from tiny_world import expert_config, expert_network
from torch.nn import functional

from homerange.data.manifest import Manifest
from homerange.profile.expert_sums import expert_layers
from homerange.profile.mean_answers import fill_mean_answers
from homerange.train.dataset import PlainPhotos


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    path = tiny_manifest(tmp_path_factory.mktemp("photos"), train=0, val=6, test=4)
    (path.parent / "photos" / "2.jpg").write_bytes(b"")
    return Manifest.read(path)


def facts(shape):
    return expert_config(**shape)


def inputs_of_layers(network, photos, rows):
    """What enters each expert layer, token by token, photo by photo."""
    given = {number: [] for number in expert_layers(network)}
    handles = [
        mlp.register_forward_pre_hook(lambda _, x, n=number: given[n].append(x[0]))
        for number, mlp in expert_layers(network).items()
    ]
    with torch.no_grad():
        for row in rows:
            network(photos.pixels(row)[None].float() / 255)
    for handle in handles:
        handle.remove()
    return {
        number: torch.cat([x_1DPN.flatten(2)[0].T for x_1DPN in given[number]]) for number in given
    }


@pytest.mark.parametrize(
    "shape",
    [
        {"layers": (1, 7), "experts": 3, "hidden": 2},
        {"layers": (3,), "experts": 4, "hidden": 1, "shared": 2, "top_k": 2, "gate_rank": 0},
    ],
    ids=["one for a token", "two, and a shared one"],
)
def test_means_equal_a_loop_over_the_tokens_of_the_validation_photos(judged, shape):
    network, config = expert_network(len(CLASSES), **shape), facts(shape)
    fill_mean_answers(network, config, judged)
    photos = PlainPhotos(judged, config.classes, config.preprocessing)
    for number, x_TD in inputs_of_layers(network, photos, (0, 1, 3, 4, 5)).items():
        mlp = expert_layers(network)[number]
        answers = {e: [] for e in range(mlp.experts)}
        with torch.no_grad():
            for x_D in x_TD:
                score_E = mlp.gate(x_D[None, None])[0, 0]
                order = score_E.argsort(descending=True)[: mlp.top_k]
                e = int(order[0])
                hidden_H = functional.silu(mlp.w1_EHD[e] @ x_D + mlp.b1_EH[e])
                answer_D = hidden_H @ mlp.w2_EHD[e] + mlp.b2_ED[e]
                answers[e].append(answer_D * score_E[order].softmax(0)[0])
        assert sum(map(bool, answers.values())) > 1
        for e, of_expert in answers.items():
            expected_D = torch.stack(of_expert).mean(0) if of_expert else torch.zeros(mlp.channels)
            np.testing.assert_allclose(mlp.mean_ED[e], expected_D, atol=1e-4, rtol=1e-4)


def test_an_expert_that_no_token_chooses_answers_zero_on_average(judged):
    shape = {"layers": (3,), "experts": 3, "hidden": 2, "gate_rank": 0}
    network = expert_network(len(CLASSES), **shape)
    (mlp,) = expert_layers(network).values()
    with torch.no_grad():
        mlp.gate.up[2] = mlp.gate.up[0]  # always as good as the first, and later
    fill_mean_answers(network, facts(shape), judged)
    assert not mlp.mean_ED[2].any()
    assert mlp.mean_ED[:2].any()


def test_without_validation_photos_means_are_zero(judged):
    shape = {"layers": (3,), "experts": 3, "hidden": 2}
    network = expert_network(len(CLASSES), **shape)
    fill_mean_answers(network, facts(shape), judged.split("test"))
    (mlp,) = expert_layers(network).values()
    assert not mlp.mean_ED.any()
