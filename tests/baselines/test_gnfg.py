"""GNFG: what a place does to an answer, by hand, and what happens without one."""

import copy

import numpy as np
import pytest
import torch
from tiny_training import manifest_of

from homerange.baselines.gnfg import NARROW, GnfgConfig, GnfgLearner, GnfgNetwork, train_gnfg
from homerange.baselines.systems import network_of, read_recipe
from homerange.data.manifest import Manifest
from homerange.errors import ConfigError
from homerange.geo.sphere import to_xyz
from homerange.model.checkpoint import load_checkpoint
from homerange.model.network import build_network
from homerange.train.infer import infer
from homerange.train.losses import Mix, draw_mix, label_loss

MODES = ("prior", "post", "film", "add")
LN3, LN4 = np.log(3), np.log(4)
SOMEWHERE = torch.tensor([[-2.33, 34.83], [41.88, -87.63], [torch.nan, torch.nan]])


def gnfg(mode, *, learnt=False, classes=2, seed=0):
    """A network, with a random effect of the place where it has learnt something."""
    torch.manual_seed(seed)
    network = GnfgNetwork(build_network(classes=classes), mode).eval()
    if learnt:
        torch.nn.init.normal_(network.effect.weight)
    return network


def photos(number=3):
    return torch.rand(number, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def photo_alone(network, x_B3HW):
    """The answer of encoder and class rows, without any of the code about places."""
    logits_BC = network.head.classes(network.encoder(x_B3HW))
    return logits_BC.log_softmax(1) if network.mode == "prior" else logits_BC


# What a place does


@pytest.mark.parametrize("mode", MODES)
def test_before_anything_is_learnt_the_photo_answers_alone(mode):
    network = gnfg(mode)
    with torch.no_grad():
        found = network.classify(network.features(photos(), SOMEWHERE))
        uniform = np.log(2) if mode == "prior" else 0.0  # a prior that knows nothing: 1 / 2
        torch.testing.assert_close(found + uniform, photo_alone(network, photos()))


@pytest.mark.parametrize("mode", MODES)
def test_without_coordinates_the_photo_answers_alone_and_with_them_it_does_not(mode):
    network = gnfg(mode, learnt=True)
    with torch.no_grad():
        found = network.classify(network.features(photos(), SOMEWHERE)).log_softmax(1)
        alone = photo_alone(network, photos()).log_softmax(1)
        torch.testing.assert_close(found[2], alone[2])
        torch.testing.assert_close(network(photos()).log_softmax(1), alone)
        assert (found[:2] - alone[:2]).abs().min() > 1e-4


def unit(scale=1.0):
    """Features of a place of which only the first is not zero."""
    place_BF = torch.zeros(1, NARROW)
    place_BF[0, 0] = scale
    return place_BF


def test_film_by_hand():
    # The place says gamma = 0.5 and beta = 3 for the first feature, -1 and 0 for the second.
    # (1 + 0.5) * 2 + 3 = 6, (1 - 1) * 7 + 0 = 0; the others have gamma = beta = 0.
    network = gnfg("film")
    photo_BD = torch.full((1, 256), 2.0)
    photo_BD[0, 1] = 7.0
    with torch.no_grad():
        network.effect.weight[[0, 1, 256, 257], 0] = torch.tensor([0.5, -1.0, 3.0, 0.0])
        found = network.join(photo_BD, unit())
    assert found[0, :3].tolist() == [6, 0, 2]


def test_addition_by_hand():
    network = gnfg("add")
    with torch.no_grad():
        network.effect.weight[[0, 1], 0] = torch.tensor([0.5, -1.0])
        found = network.join(torch.full((1, 256), 2.0), unit(2.0))
    assert found[0, :3].tolist() == [3, 0, 2]  # 2 + 2 * 0.5, 2 - 2 * 1, 2


def answer_of(mode, place_logits):
    """The answer to a photo with logits (0, ln 3), probabilities 1/4 and 3/4."""
    network = gnfg(mode)
    with torch.no_grad():
        network.head.classes.weight.zero_()
        network.head.classes.bias.copy_(torch.tensor([0.0, LN3]))
        network.effect.weight[:, 0] = torch.tensor(place_logits)
        return network.classify(network.join(torch.ones(1, 256), unit()))[0]


def test_a_prior_is_a_product_of_probabilities_by_hand():
    # The place has logits (ln 4, 0): 4/5 and 1/5. Products 1/4 * 4/5 = 1/5, 3/4 * 1/5 = 3/20.
    torch.testing.assert_close(answer_of("prior", [LN4, 0.0]).exp(), torch.tensor([0.2, 0.15]))


def test_post_processing_is_a_sum_of_logits_by_hand():
    torch.testing.assert_close(answer_of("post", [0.5, -1.0]), torch.tensor([0.5, LN3 - 1]).float())


# Where a place is


def test_places_are_points_on_the_sphere_latitude_first():
    network = gnfg("add")
    network.place = torch.nn.Identity()
    latlon_B2 = np.array([[-2.33, 34.83], [41.88, -87.63], [0.0, 90.0]])
    found = network.place_features(torch.from_numpy(latlon_B2).float())
    np.testing.assert_allclose(found.numpy(), to_xyz(latlon_B2), atol=1e-6)


@pytest.mark.parametrize(
    ("one", "other"), [((10.0, 180.0), (10.0, -180.0)), ((90.0, 12.0), (90.0, -140.0))]
)
def test_the_dateline_and_the_pole_have_no_seam(one, other):
    network = gnfg("add")
    found_2F = network.place_features(torch.tensor([one, other]))
    torch.testing.assert_close(found_2F[0], found_2F[1])
    assert found_2F.abs().max() > 0.01


# What is learnt


def loss_of(mode, class_B, mix):
    network = gnfg(mode, learnt=True, classes=3)
    config = GnfgConfig(geo_mode=mode, label_smoothing=0.1)
    learner = GnfgLearner(network, config, teacher_size=0).eval()
    with torch.no_grad():
        loss, logits_BC = learner(photos(), class_B, None, mix, latlon_B2=SOMEWHERE)
    return network, loss, logits_BC


@pytest.mark.parametrize("mode", ["post", "film", "add"])
def test_the_loss_is_that_of_blended_photos_at_blended_places(mode):
    class_B, mix = torch.tensor([2, 0, 1]), Mix(torch.tensor([1, 2, 0]), 0.7)
    network, loss, logits_BC = loss_of(mode, class_B, mix)
    with torch.no_grad():
        x_B3HW, place_BF = photos(), network.place_features(SOMEWHERE)
        blended_BF = 0.7 * place_BF + 0.3 * place_BF[[1, 2, 0]]
        photo_BD = network.encoder(0.7 * x_B3HW + 0.3 * x_B3HW[[1, 2, 0]])
        expected = network.classify(network.join(photo_BD, blended_BF))
    torch.testing.assert_close(logits_BC, expected)
    torch.testing.assert_close(loss, label_loss(expected, class_B, mix=mix, smoothing=0.1))


def test_a_prior_learns_from_places_alone_and_answers_with_both():
    class_B, mix = torch.tensor([2, 0, -1]), draw_mix(3, alpha=0, seed=(0,))
    network, loss, logits_BC = loss_of("prior", class_B, mix)
    with torch.no_grad():
        place_BC = network.effect(network.place_features(SOMEWHERE))
        both_BC = photo_alone(network, photos()) + place_BC.log_softmax(1)
    torch.testing.assert_close(loss, label_loss(place_BC, class_B, mix=mix, smoothing=0.1))
    torch.testing.assert_close(logits_BC, both_BC)


def test_a_batch_without_labels_has_no_loss():
    _, loss, logits_BC = loss_of("film", torch.full((3,), -1), draw_mix(3, alpha=0, seed=(0,)))
    assert loss.item() == 0
    assert logits_BC.shape == (3, 3)


@pytest.mark.parametrize("mode", MODES)
def test_the_photos_network_rests_under_prior_and_post_and_learns_under_film_and_add(
    mode, manifest, dense, small, tmp_path
):
    config = read_recipe("gnfg", [*small, "epochs=1", f"geo_mode={mode}"])
    trained = train_gnfg(manifest, tmp_path / "c", config, from_checkpoint=dense)
    network, facts = load_checkpoint(trained.folder, network_of)
    before, start = load_checkpoint(dense)
    same = {n: torch.equal(t, network.state_dict()[n]) for n, t in before.state_dict().items()}
    assert (network.mode, facts.classes) == (mode, start.classes)
    assert all(same.values()) == (mode in ("prior", "post"))
    assert all(same.values()) or not any(same[n] for n in same if n.endswith("classes.weight"))
    assert network.effect.weight.abs().max() > 0


def test_a_trained_network_looks_at_the_place_when_it_is_evaluated(
    manifest, dense, small, tmp_path
):
    config = read_recipe("gnfg", [*small, "epochs=2", "geo_mode=post", "head_learning_rate=0.01"])
    folder = train_gnfg(manifest, tmp_path / "c", config, from_checkpoint=dense).folder
    network, facts = load_checkpoint(folder, network_of)
    test = Manifest.read(manifest).split("test")
    rows = test.table.to_pylist()
    nowhere = [row | {"latitude_deg": None, "longitude_deg": None} for row in rows]
    here, lost = (
        infer(copy.deepcopy(network), facts, manifest_of(r, test.root), title="t").logits_NC
        for r in (rows, nowhere)
    )
    plain = infer(*load_checkpoint(dense), test, title="t").logits_NC
    np.testing.assert_allclose(lost, plain, atol=1e-5)
    assert np.abs(here - plain).max() > 1e-3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"geo_mode": "films"}, "geo_mode is 'films'; it must be one of prior, post, film, add"),
        ({"compile": True}, "compile is True; gnfg does not use it, set it to false"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        GnfgConfig(**changes)


def test_another_head_than_that_of_the_checkpoint_is_refused(manifest, dense, tmp_path):
    with pytest.raises(ConfigError, match=r"head is 'bottleneck' but .* has 'plain'"):
        train_gnfg(manifest, tmp_path / "c", read_recipe("gnfg"), from_checkpoint=dense)
    assert not (tmp_path / "c").exists()
