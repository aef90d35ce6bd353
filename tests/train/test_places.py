"""Any-subset training: which places are drawn, what they keep, and what is learnt for them."""

import copy

import numpy as np
import pytest
import torch
from tiny_training import CLASSES, manifest_of, tiny_config, tiny_manifest
from torch.nn import functional

from homerange.data.manifest import Manifest
from homerange.errors import ConfigError
from homerange.geo.sphere import great_circle_km
from homerange.model.experts import ExpertMlp, ExpertSpec
from homerange.model.network import build_network
from homerange.train import loop
from homerange.train.dense import train_dense
from homerange.train.learner import Learner
from homerange.train.losses import Mix, draw_mix
from homerange.train.places import ExpertUse, TrainingPlace, TrainingPlaces, as_cut
from homerange.train.state import STATE

LAYER = "encoder.stages.2.1.transformer.1.mlp"
SPEC = ExpertSpec(layers=(1,), experts=4, gate_rank=0)


def photos(*rows):
    """Photos of (species, latitude, longitude)."""
    names = ("species", "latitude_deg", "longitude_deg")
    return manifest_of([dict(zip(names, row, strict=True)) for row in rows], ".")


def places_of(*rows, radius_km=100.0, share=1.0):
    return TrainingPlaces(photos(*rows), CLASSES, radius_km=radius_km, expert_share_min=share)


def drawn(places, number=40):
    """The different lists of classes among so many draws."""
    return {tuple(CLASSES[c] for c in places.draw((7, i)).class_K) for i in range(number)}


# Places


def test_a_place_has_the_species_within_its_radius_and_all_outcomes():
    rows = [
        ("Panthera leo", -2.33, 34.83),
        ("Equus quagga", -2.6, 35.0),
        ("Procyon lotor", 41.88, -87.63),
    ]
    savanna, city = ("Equus quagga", "Panthera leo", "blank"), ("Procyon lotor", "blank")
    assert drawn(places_of(*rows)) == {savanna, city}
    assert drawn(places_of(*rows, radius_km=5.0)) == {
        ("Panthera leo", "blank"),
        ("Equus quagga", "blank"),
        city,
    }


def test_a_place_reaches_over_the_dateline():
    rows = [("Panthera leo", 0.0, 179.9), ("Equus quagga", 0.0, -179.9)]
    assert drawn(places_of(*rows)) == {("Equus quagga", "Panthera leo", "blank")}


def test_photos_without_label_or_coordinates_make_no_place():
    rows = [("Panthera leo", None, None), (None, 0.0, 0.0), ("Equus quagga", 50.0, 0.0)]
    assert drawn(places_of(*rows)) == {("Equus quagga", "blank")}
    with pytest.raises(ConfigError, match="no labelled training photo has coordinates"):
        places_of(*rows[:2])


def test_the_same_numbers_draw_the_same_place_and_shares_lie_above_the_smallest():
    places = places_of(("Panthera leo", 0.0, 0.0), ("Equus quagga", 50.0, 0.0), share=0.25)
    shares = [places.draw((1, i)).expert_share for i in range(200)]
    assert shares == [places.draw((1, i)).expert_share for i in range(200)]
    assert 0.25 <= min(shares) < 0.3
    assert 0.95 < max(shares) <= 1


# Experts of a place


def routed_network(*, seed=0):
    """A network with four experts in one layer, whose answers differ."""
    torch.manual_seed(seed)
    network = build_network(classes=len(CLASSES), experts=SPEC)
    mlp = network.get_submodule(LAYER)
    torch.nn.init.normal_(mlp.w2_EHD, std=2.0)
    return network, mlp


def send(mlp, token, *, experts):
    """Let the gate send tokens of each photo to experts: by the channel that the photo has."""
    mlp.gate.up.data = torch.zeros_like(mlp.gate.up)
    for channel, expert in enumerate(experts):
        mlp.gate.up.data[expert, channel] = 1.0
    x_BTD = torch.zeros(len(token), 1, mlp.channels)
    for row, channel in enumerate(token):
        x_BTD[row, 0, channel] = 1.0
    mlp.gate(x_BTD)


def test_tokens_are_counted_by_class_and_expert_and_fade():
    network, mlp = routed_network()
    use = ExpertUse(network, len(CLASSES))
    send(mlp, [0, 1, 1, 0], experts=[2, 0])
    use.count(torch.tensor([1, 1, 3, -1]))
    (count_CE,) = use.buffers()
    expected = torch.zeros(4, 4)
    expected[1, 2] = expected[1, 0] = expected[3, 0] = 1.0
    assert torch.equal(count_CE, expected)
    send(mlp, [0], experts=[2, 0])
    use.count(torch.tensor([3]))
    expected = 0.99 * expected
    expected[3, 2] = 1.0
    torch.testing.assert_close(count_CE, expected)


def test_a_place_keeps_the_experts_that_its_classes_use_most_each_class_alike():
    network, _ = routed_network()
    use = ExpertUse(network, len(CLASSES))
    (count_CE,) = use.buffers()
    count_CE.copy_(torch.tensor([[900.0, 100, 0, 0], [0, 3, 7, 0], [0, 0, 0, 50], [0, 0, 0, 0]]))

    def kept(share, *classes):
        (kept_E,) = use.kept(TrainingPlace(torch.tensor(classes), share)).values()
        return kept_E.nonzero().flatten().tolist()

    # Shares 0.9, 0.1 + 0.3, 0.7: the many tokens of the first class do not count for more.
    assert kept(0.25, 0, 1) == [0]
    assert kept(0.5, 0, 1) == [0, 2]
    assert kept(0.75, 0, 1) == [0, 1, 2]
    assert kept(0.2, 2) == [3]  # never less than one
    assert kept(0.5, 3) == [0, 1]  # nothing is known of this class yet
    assert kept(1.0, 0) == [0, 1, 2, 3]


def test_as_cut_the_network_answers_like_one_that_dropped_the_experts_and_then_as_before():
    network, mlp = routed_network()
    x_B3HW = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    kept_E = torch.tensor([True, False, False, True])
    other = copy.deepcopy(network).eval()
    other.get_submodule(LAYER).drop(~kept_E, "reroute")
    network.train()
    network.head.dropout.p = 0.0
    statistics = copy.deepcopy(network.state_dict())
    with as_cut(network, {LAYER: kept_E}):
        torch.testing.assert_close(network(x_B3HW), other(x_B3HW))
    assert mlp.kept_E.all()
    assert all(module.training for module in network.modules())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, statistics[name]), name  # running statistics did not move
    with pytest.raises(AssertionError):
        torch.testing.assert_close(network.eval()(x_B3HW), other(x_B3HW))


# The loss


def learner_of(**changes):
    network, mlp = routed_network()
    settings = {"label_smoothing": 0.0, "place_dropout": 0.5} | changes
    return Learner(network, tiny_config(**settings), teacher_size=0).eval(), mlp


def test_the_loss_of_the_cut_network_on_photos_of_the_place_is_added():
    learner, mlp = learner_of()
    x_B3HW = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    class_B, no_mix = torch.tensor([2, 0, 1]), draw_mix(3, alpha=0, seed=(0,))
    place = TrainingPlace(torch.tensor([1, 2]), 0.5)
    with torch.no_grad():
        whole, _ = learner(x_B3HW, class_B, None, no_mix)
        both, _ = learner(x_B3HW, class_B, None, no_mix, None, place)
        (kept_E,) = learner.use.kept(place).values()
        mlp.drop(~kept_E, "reroute")
        logits_BC = learner.network(x_B3HW[[0, 2]])
    expected = functional.cross_entropy(logits_BC[:, [1, 2]], torch.tensor([1, 0]))
    assert kept_E.sum() == 2
    torch.testing.assert_close(both - whole, 0.5 * expected)


def test_the_cut_network_may_see_smaller_photos():
    learner, _ = learner_of(place_px=32)
    seen = []
    learner.network.encoder.stem.register_forward_hook(lambda _, x, __: seen.append(x[0].shape))
    place = TrainingPlace(torch.tensor([0]), 1.0)
    no_mix = draw_mix(1, alpha=0, seed=(0,))
    learner(torch.rand(1, 3, 64, 64), torch.tensor([0]), None, no_mix, None, place)
    assert seen == [(1, 3, 64, 64), (1, 3, 32, 32)]


def test_a_batch_without_photos_of_the_place_trains_the_whole_network_only():
    learner, _ = learner_of()
    x_B3HW, class_B = torch.rand(2, 3, 64, 64), torch.tensor([0, -1])
    no_mix = draw_mix(2, alpha=0, seed=(0,))
    place = TrainingPlace(torch.tensor([1, 2]), 0.5)
    with torch.no_grad():
        whole, _ = learner(x_B3HW, class_B, None, no_mix)
        both, _ = learner(x_B3HW, class_B, None, no_mix, None, place)
    torch.testing.assert_close(both, whole)


def test_a_blended_photo_counts_for_the_class_that_weighs_more():
    learner, _ = learner_of()
    x_B3HW, class_B = torch.rand(2, 3, 64, 64), torch.tensor([0, 3])
    mix = Mix(torch.tensor([1, 1]), 0.2)  # both photos are mostly the second
    learner(x_B3HW, class_B, None, mix, None, TrainingPlace(torch.tensor([1]), 1.0))
    (count_CE,) = learner.use.buffers()
    assert count_CE.sum(1).tolist() == [0, 0, 0, 2 * 64]  # tokens of two photos in the layer


# Training


def test_places_change_what_is_learnt_and_a_resume_goes_on_with_the_same_counts(
    tmp_path, monkeypatch
):
    manifest = tiny_manifest(tmp_path)
    config = tiny_config(input_px=32, place_dropout=1.0)
    plain = train_dense(manifest, tmp_path / "plain", tiny_config(input_px=32)).folder
    whole = train_dense(manifest, tmp_path / "whole", config).folder
    calls, original = [], loop._Run.select

    def stopping(self, *given):
        original(self, *given)
        calls.append(given)
        if len(calls) == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "select", stopping)
        with pytest.raises(KeyboardInterrupt):
            train_dense(manifest, tmp_path / "parts", config)
    parts = train_dense(manifest, tmp_path / "parts", config, resume=True).folder
    states = [torch.load(f / STATE, weights_only=True)["learner"] for f in (whole, parts, plain)]
    assert all(torch.equal(states[1][name], tensor) for name, tensor in states[0].items())
    assert any(not torch.equal(states[2][name], tensor) for name, tensor in states[0].items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compile": True}, "works with compile = false only"),
        ({"place_radius_km": 0.0}, "place_radius_km is 0.0; it must be above 0"),
        ({"place_expert_share_min": 1.5}, "it must be between 0 and 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        tiny_config(place_dropout=1.0, **changes)


def test_a_manifest_without_places_is_refused_before_any_step(tmp_path):
    manifest = tiny_manifest(tmp_path, latitude_deg=None, longitude_deg=None)
    assert len(Manifest.read(manifest))
    with pytest.raises(ConfigError, match="use --set place_dropout=0"):
        train_dense(manifest, tmp_path / "checkpoint", tiny_config(place_dropout=1.0))


def test_only_expert_layers_are_watched():
    network, _ = routed_network()
    assert list(ExpertUse(network, 4)._names) == [LAYER]
    assert isinstance(network.get_submodule(LAYER), ExpertMlp)
    dense = ExpertUse(build_network(classes=4), 4)
    assert dense.kept(TrainingPlace(torch.tensor([0]), 0.5)) == {}


@pytest.mark.parametrize("radius_km", [1.0, 300.0, 5000.0, 20_000.0])
def test_a_place_has_the_classes_that_measuring_every_photo_gives(radius_km):
    rng = np.random.default_rng(3)
    latitude = np.degrees(np.arcsin(rng.uniform(-1, 1, 400)))
    latitude[:4] = 90, -90, 89.99, -89.99
    longitude = rng.uniform(-180, 180, 400)
    names = [CLASSES[i % 3] for i in range(400)]
    places = places_of(*zip(names, latitude, longitude, strict=True), radius_km=radius_km)
    for i in range(60):
        centre_2 = places.latlon_N2[i]
        slow = places.class_N[great_circle_km(centre_2, places.latlon_N2) <= radius_km]
        assert sorted(places._classes_around(centre_2)) == sorted(slow)
