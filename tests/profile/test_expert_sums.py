"""Routing, edges, scores and drops: equal to slow counts, and exact where they say so."""

import copy

import numpy as np
import pytest
import torch
from tiny_training import CLASSES, tiny_manifest
from tiny_world import expert_config, expert_network
from torch.nn import functional

from homerange.data.manifest import Manifest
from homerange.model.backbone import transformer_layers
from homerange.model.experts import ExpertMlp
from homerange.profile.drops import exact_drops, run_from
from homerange.profile.expert_sums import expert_layers, expert_sums
from homerange.profile.routing import edges_between, first_order, on_the_map, traced
from homerange.train.dataset import PlainPhotos

SPEC = {"layers": (1, 3, 7), "experts": 3, "hidden": 2}


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    path = tiny_manifest(tmp_path_factory.mktemp("photos"), train=0, val=10, test=4)
    return Manifest.read(path)


@pytest.fixture(scope="module")
def facts():
    return expert_config(**SPEC)


@pytest.fixture(scope="module")
def network():
    return expert_network(len(CLASSES), **SPEC)


@pytest.fixture(scope="module")
def sums(network, facts, judged):
    return expert_sums(network, facts, judged)


def pixels_of(judged, facts):
    photos = PlainPhotos(judged, facts.classes, facts.preprocessing)
    x_B3HW = torch.stack([photos.pixels(i) for i in range(len(judged))]).float() / 255
    return x_B3HW, torch.tensor(photos.class_of_photo)


def maps_of(network, x_B3HW):
    """The expert of each token as a map, found token by token through timm's own folding."""
    found = {}
    with torch.no_grad(), traced(expert_layers(network)) as traces:
        network(x_B3HW)
    for layer, trace in traces.items():
        chosen_BPN = trace.chosen_BPN
        batch, _, patches = chosen_BPN.shape
        side = int(patches**0.5)
        map_BHW = np.zeros((batch, 2 * side, 2 * side), np.int64)
        for n in range(patches):
            for p in range(4):
                row, column = 2 * (n // side) + p // 2, 2 * (n % side) + p % 2
                map_BHW[:, row, column] = chosen_BPN[:, p, n].numpy()
        found[layer] = map_BHW
    return found


# Maps and edges


def test_tokens_lie_on_the_map_where_they_are_in_the_photo(network, judged, facts):
    x_B3HW, _ = pixels_of(judged, facts)
    with torch.no_grad(), traced(expert_layers(network)) as traces:
        network(x_B3HW)
    for layer, expected in maps_of(network, x_B3HW).items():
        chosen_BPN = traces[layer].chosen_BPN
        rows = int(chosen_BPN.shape[2] ** 0.5)
        assert np.array_equal(on_the_map(chosen_BPN, rows), expected)


def test_edges_by_hand():
    # A map of 2 x 2 tokens and the single token that covers them: 0 goes to 1 three times, 1 once.
    fine, coarse = np.array([[[0, 0], [0, 1]]]), np.array([[[1]]])
    assert edges_between(fine, coarse, 2).tolist() == [[[0, 3], [0, 1]]]
    assert edges_between(coarse, fine, 2).tolist() == [[[0, 0], [3, 1]]]


def test_grids_that_do_not_divide_are_paired_by_position():
    # 3 tokens in a row against 2: the first two stand at 0, the third at 1 (0, 2/3 and 4/3).
    three, two = np.array([[[0, 0, 0]]]), np.array([[[1, 2]]])
    assert edges_between(three, two, 3)[0, 0].tolist() == [0, 2, 1]


def test_edges_of_the_profile_equal_a_count_token_by_token(sums, network, judged, facts):
    judged = judged.split("val")
    x_B3HW, class_B = pixels_of(judged, facts)
    maps, expected = maps_of(network, x_B3HW), {}
    for layer, following in ((1, 3), (3, 7)):
        a, b = maps[layer], maps[following]
        scale = a.shape[1] // b.shape[1]
        for photo, i, j in np.ndindex(a.shape):
            split = judged.strings("split")[photo]
            key = (
                int(class_B[photo]),
                split,
                layer,
                a[photo, i, j],
                b[photo, i // scale, j // scale],
            )
            expected[key] = expected.get(key, 0) + 1
    edges, found = sums[1], {}
    for row in zip(
        edges.class_index, edges.split, edges.layer, edges.expert, edges.next_expert, edges.tokens,
        strict=True,
    ):  # fmt: skip
        key = tuple(row[:-1])
        found[key] = found.get(key, 0) + int(row[-1])
    assert found == expected


# Sums by class (law 5)


def test_tokens_of_any_species_are_those_of_its_own_photos(sums, network, judged, facts):
    x_B3HW, class_B = pixels_of(judged, facts)
    split = np.array(judged.strings("split"))
    routing = sums[0]
    maps = maps_of(network, x_B3HW)
    for place in ([0], [1, 3], [0, 1, 2, 3]):
        photos = np.isin(class_B.numpy(), place) & (split == "val")
        rows = np.isin(routing.class_index, place) & (routing.split == "val")
        for layer, map_BHW in maps.items():
            own = rows & (routing.layer == layer)
            found_E = np.bincount(routing.expert[own], weights=routing.tokens[own], minlength=3)
            assert found_E.tolist() == np.bincount(map_BHW[photos].ravel(), minlength=3).tolist()


def test_sums_are_of_validation_photos_one_row_for_each_expert_that_is_visited(sums, judged):
    routing = sums[0]
    assert "test" in judged.strings("split")
    assert set(routing.split) == set(sums[1].split) == {"val"}
    keys = list(zip(routing.class_index, routing.layer, routing.expert, strict=True))
    assert len(keys) == len(set(keys))
    assert (routing.tokens > 0).all()


def test_scores_do_not_depend_on_the_batch(sums, network, facts, judged, monkeypatch):
    monkeypatch.setattr("homerange.profile.expert_sums.BATCH", 3)
    monkeypatch.setattr("homerange.profile.expert_sums.COMPACT_AFTER", 2)
    again, _ = expert_sums(network, facts, judged)
    np.testing.assert_allclose(again.loss_rise, sums[0].loss_rise, atol=1e-4)
    np.testing.assert_allclose(again.answer_norm, sums[0].answer_norm, rtol=1e-5)


def test_the_length_of_answers_by_hand(sums, network, judged, facts):
    x_B3HW, _ = pixels_of(judged.split("val"), facts)
    with torch.no_grad(), traced(expert_layers(network)) as traces:
        network(x_B3HW)
    norm = float(traces[3].output_BDPN.flatten(2).norm(dim=1).sum())
    assert sums[0].answer_norm[sums[0].layer == 3].sum() == pytest.approx(norm, rel=1e-5)


# The first-order score


@pytest.mark.parametrize("shape", [{}, {"top_k": 2, "shared": 2}], ids=["one", "two and shared"])
@pytest.mark.parametrize("rule", ["reroute", "skip", "zero", "mean", "literal"])
def test_for_a_small_change_the_first_order_score_is_the_change_of_the_loss(rule, shape):
    """The answer of one layer is made a thousand times smaller, so that the loss is straight."""
    network = expert_network(4, layers=(3,), experts=3, hidden=2, seed=5, **shape)
    (mlp,) = expert_layers(network).values()
    x_B3HW = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    class_B = torch.tensor([0, 2])
    mlp.drop(torch.zeros(3, dtype=torch.bool), rule)
    mlp.mean_ED = torch.randn(3, 96, generator=torch.Generator().manual_seed(2)) * 1e-3
    with torch.no_grad():
        for name in ("w2_EHD", "b2_ED"):
            getattr(mlp, name).mul_(1e-3)
    for parameter in network.parameters():
        parameter.requires_grad = False
    with traced({3: mlp}) as traces:
        loss = functional.cross_entropy(network(x_B3HW), class_B, reduction="sum")
        loss.backward()
    rise_BE = first_order(traces[3])
    assert (np.abs(rise_BE).max(axis=0) > 1e-6).all()  # every expert answers for some token
    double = copy.deepcopy(network).double()
    (exact,) = expert_layers(double).values()
    for expert in range(3):
        if rule in ("zero", "literal"):  # no small change: the score is gradient times change
            mlp.drop(torch.arange(3) == expert, rule)
            with torch.no_grad():
                without = mlp(traces[3].input_BDPN, traces[3].residual_BDPN)
            change = (without - traces[3].output_BDPN) * traces[3].nudge_BDPN.grad
            expected_B = change.double().flatten(1).sum(1)
        else:
            exact.drop(torch.arange(3) == expert, rule)
            after_B = losses(double, x_B3HW.double(), class_B)
            exact.drop(torch.zeros(3, dtype=torch.bool), rule)
            expected_B = after_B - losses(double, x_B3HW.double(), class_B)
        np.testing.assert_allclose(rise_BE[:, expert], expected_B.numpy(), rtol=0.05, atol=1e-7)


def losses(network, x_B3HW, class_B):
    with torch.no_grad():
        return functional.cross_entropy(network(x_B3HW), class_B, reduction="none")


def test_without_a_backward_pass_there_is_no_score(network):
    with torch.no_grad(), traced(expert_layers(network)) as traces:
        network(torch.rand(1, 3, 32, 32))
    with pytest.raises(ValueError, match="have no gradient; hand the loss back first"):
        first_order(traces[3])


@pytest.mark.parametrize("shared", [0, 2])
def test_where_the_only_expert_goes_nothing_but_the_shared_one_answers(shared):
    network = expert_network(4, layers=(3,), experts=1, hidden=2, shared=shared)
    for parameter in network.parameters():
        parameter.requires_grad = False
    with traced(expert_layers(network)) as traces:
        network(torch.rand(2, 3, 32, 32)).sum().backward()
    trace = traces[3]
    without = trace.mlp.shared(trace.input_BDPN) if shared else torch.zeros(())
    change = (without - trace.output_BDPN) * trace.nudge_BDPN.grad
    np.testing.assert_allclose(first_order(trace)[:, 0], change.flatten(1).sum(1), rtol=1e-4)


# Exact drops


def test_the_rest_of_the_network_gives_the_logits_of_the_whole(network):
    x_B3HW = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = network(x_B3HW)
        for layer, name in transformer_layers(network.encoder).items():
            seen = []
            block = network.encoder.get_submodule(name)
            handle = block.register_forward_pre_hook(
                lambda _, given, seen=seen: seen.append(given[0])
            )
            network(x_B3HW)
            handle.remove()
            torch.testing.assert_close(run_from(network, layer, seen[0]), expected)


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize(("rule", "compact_after"), [("reroute", 256), ("skip", 2)])
def test_exact_drops_equal_whole_passes_with_one_expert_dropped(
    facts, judged, monkeypatch, rule, compact_after, top_k
):
    network = expert_network(len(CLASSES), **SPEC, top_k=top_k)
    monkeypatch.setattr("homerange.profile.expert_sums.COMPACT_AFTER", compact_after)
    for mlp in expert_layers(network).values():
        mlp.drop(torch.zeros(3, dtype=torch.bool), rule)
    found = exact_drops(network, facts, judged, photos_per_class=2)
    val = judged.split("val")
    x_B3HW, class_B = pixels_of(val, facts)
    first = [i for i in range(len(val)) if int((class_B[:i] == class_B[i]).sum()) < 2]
    x_B3HW, class_B = x_B3HW[first], class_B[first]

    def expected_of():
        with torch.no_grad():
            logits_BC = network(x_B3HW)
        loss = functional.cross_entropy(logits_BC.double(), class_B, reduction="sum")
        return int((logits_BC.argmax(1) == class_B).sum()), float(loss)

    def found_of(layer, expert):
        rows = (found.layer == layer) & (found.expert == expert)
        assert found.photos[rows].sum() == len(first)
        return int(found.correct[rows].sum()), float(found.loss_sum[rows].sum())

    whole = expected_of()
    assert found_of(-1, -1) == (whole[0], pytest.approx(whole[1], rel=1e-5))
    for layer, mlp in expert_layers(network).items():
        for expert in range(3):
            mlp.drop(torch.arange(3) == expert, rule)
            correct, loss = expected_of()
            assert found_of(layer, expert) == (correct, pytest.approx(loss, rel=1e-5))
            mlp.drop(torch.zeros(3, dtype=torch.bool), rule)
    assert all(mlp.kept_E.all() for mlp in network.modules() if isinstance(mlp, ExpertMlp))
