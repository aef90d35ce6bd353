"""The location loss: the numbers of its authors, a slow version, and who takes part."""

import math

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from tiny_encoder import SMALL
from tiny_training import tiny_location_config
from torch.nn import functional

from homerange.model.location import LocationEncoder, LocationSpec
from homerange.model.network import build_network
from homerange.train.contrast import LocationLoss, contrastive_loss
from homerange.train.losses import Mix

ALL_LAYERS = 9
BLOCK_OF_LAYER = (0, 0, 1, 1, 1, 1, 2, 2, 2)
CHANNELS = (64, 96, 128)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return build_network(classes=3).encoder


@pytest.fixture
def batch():
    """Tokens of every layer, coordinates and classes of six photos; the last has no place."""
    generator = torch.Generator().manual_seed(1)
    tokens = [
        torch.randn(6, 5, CHANNELS[BLOCK_OF_LAYER[layer]], generator=generator)
        for layer in range(ALL_LAYERS)
    ]
    latlon_B2 = torch.tensor([[-2.5, 35], [41.5, -87.5], [0.5, 37], [60, 5], [-17, 179.75]])
    latlon_B2 = torch.cat([latlon_B2, torch.full((1, 2), torch.nan)])
    return tokens, latlon_B2, torch.tensor([0, 1, 0, 2, 1, 0])


def loss_of(encoder, **changes):
    """In evaluation mode, so that no dropout enters."""
    torch.manual_seed(2)
    fabric = Fabric(accelerator="cpu", devices=1)
    config = tiny_location_config(**changes)
    return LocationLoss(encoder, config, fabric, LocationEncoder(SMALL)).eval()


def of_layers(loss, tokens):
    """Name the tokens of the layers that places supervise."""
    names = dict(zip(loss.layers, loss.config.supervised(ALL_LAYERS), strict=True))
    return {name: tokens[layer] for name, layer in names.items()}


def slowly(loss, tokens, latlon_B2, class_B, *, cross=False):
    """Equation 2 of Khosla et al. for each layer, one pair after the other."""
    total = 0.0
    rows = [i for i in range(len(class_B)) if class_B[i] >= 0 and not latlon_B2[i].isnan().any()]
    for layer in loss.config.supervised(ALL_LAYERS):
        block = {p.out_features: p for p in loss.project}[tokens[layer].shape[2]]
        views = []
        for i in rows:
            place_1F = loss.embed(latlon_B2[i : i + 1].double().numpy())
            projected = functional.relu(block(loss.norm(place_1F[0])))
            for kind, view in (("photo", tokens[layer][i].mean(0)), ("place", projected)):
                views.append((view / view.norm(), int(class_B[i]), kind))
        anchors = []
        for i, (anchor, label, kind) in enumerate(views):
            others = [v for j, v in enumerate(views) if j != i and (not cross or v[2] != kind)]
            sum_exp = sum(math.exp(float(anchor @ z) / loss.config.tau) for z, _, _ in others)
            positives = [
                float(anchor @ z) / loss.config.tau for z, own, _ in others if own == label
            ]
            anchors.append(-sum(p - math.log(sum_exp) for p in positives) / len(positives))
        total += sum(anchors) / len(anchors)
    return loss.config.location_weight * total


@pytest.mark.parametrize(("tau", "expected"), [(0.07, 6.194635), (0.1, 4.527737)])
def test_it_gives_the_numbers_of_the_code_of_its_authors(tau, expected):
    # Four samples with two views each, of classes 0, 1, 1, 2.
    z_BVD = np.random.RandomState(0).randn(4, 2, 3)  # as their test draws it
    z_AD = functional.normalize(torch.from_numpy(z_BVD), dim=-1).flatten(0, 1)
    class_A = torch.tensor([0, 0, 1, 1, 1, 1, 2, 2])
    loss_A = contrastive_loss(
        z_AD, z_AD, class_A[:, None] == class_A, ~torch.eye(8, dtype=torch.bool), tau=tau
    )
    assert loss_A.mean().item() == pytest.approx(expected, abs=1e-6)


def test_an_anchor_without_positives_or_candidates_adds_nothing_and_has_a_gradient():
    z_AD = functional.normalize(torch.randn(3, 4), dim=-1).requires_grad_()
    positive_AC = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]]).bool()
    allowed_AC = torch.tensor([[0, 1, 0], [0, 0, 0], [1, 1, 0]]).bool()
    loss_A = contrastive_loss(z_AD, z_AD, positive_AC, allowed_AC, tau=0.1)
    assert loss_A.tolist() == [0, 0, 0]  # the first has one candidate, which is its positive
    loss_A.sum().backward()
    assert torch.isfinite(z_AD.grad).all()


@pytest.mark.parametrize("contrast", ["all", "cross"])
@pytest.mark.parametrize("layers", ["all", "last-two", (1, 7)])
def test_the_loss_is_the_weighted_sum_of_its_equation_over_layers(encoder, batch, contrast, layers):
    tokens, latlon_B2, class_B = batch
    loss = loss_of(encoder, contrast=contrast, location_layers=layers, tau=0.2)
    with torch.no_grad():
        found = loss(of_layers(loss, tokens), latlon_B2, class_B)
        expected = slowly(loss, tokens, latlon_B2, class_B, cross=contrast == "cross")
    assert found.item() == pytest.approx(expected, rel=1e-4)
    assert expected > 1e-3


def test_photos_without_a_place_or_a_label_change_nothing(encoder, batch):
    tokens, latlon_B2, class_B = batch
    loss = loss_of(encoder)
    with torch.no_grad():
        whole = loss(of_layers(loss, tokens), latlon_B2, class_B)
        shorter = [token_BTD[:5] for token_BTD in tokens]
        without_place = loss(of_layers(loss, shorter), latlon_B2[:5], class_B[:5])
        unlabelled_B = torch.tensor([0, 1, 0, 2, -1, 0])
        without_label = loss(of_layers(loss, tokens), latlon_B2, unlabelled_B)
        shorter = [token_BTD[:4] for token_BTD in tokens]
        torch.testing.assert_close(whole, without_place)
        kept = loss(of_layers(loss, shorter), latlon_B2[:4], class_B[:4])
        torch.testing.assert_close(without_label, kept)
    assert not torch.isclose(whole, without_label)


def test_a_batch_without_any_place_has_no_loss_and_moves_nothing(encoder, batch):
    tokens, latlon_B2, class_B = batch
    loss = loss_of(encoder)
    tokens = [token_BTD.requires_grad_() for token_BTD in tokens]
    found = loss(of_layers(loss, tokens), torch.full_like(latlon_B2, torch.nan), class_B)
    found.backward()
    assert found.item() == 0
    assert all(token_BTD.grad.abs().max() == 0 for token_BTD in tokens)
    assert all(p.grad is not None and p.grad.abs().max() == 0 for p in loss.parameters())


def test_dropout_may_leave_a_place_without_any_number(encoder, batch):
    tokens, latlon_B2, class_B = batch
    loss = loss_of(encoder, location_dropout=0.99).train()
    found = loss(of_layers(loss, tokens), latlon_B2, class_B)
    found.backward()
    assert torch.isfinite(found)
    assert all(torch.isfinite(p.grad).all() for p in loss.parameters())


def test_projections_have_the_size_of_the_paper_and_serve_all_layers_of_their_block(encoder):
    # 256 x 64 + 64, 256 x 96 + 96, 256 x 128 + 128, and a norm of 2 x 256.
    fabric = Fabric(accelerator="cpu", devices=1)
    full = LocationEncoder(LocationSpec())
    loss = LocationLoss(encoder, tiny_location_config(), fabric, full)
    assert sum(p.numel() for p in loss.parameters()) == 16_448 + 24_672 + 32_896 + 512
    assert loss.block_of_layer == list(BLOCK_OF_LAYER)
    two = loss_of(encoder, location_layers="last-two")
    assert [p.out_features for p in two.project] == [96, 128]


def test_tokens_are_views_of_their_own_where_they_are_asked_for(encoder, batch):
    tokens, latlon_B2, class_B = batch
    loss = loss_of(encoder, pooling="tokens", pooled_tokens=3, location_layers=(4,))
    views_BVD = loss._photos(tokens[4])
    assert views_BVD.shape == (6, 3, 96)
    for found_VD, photo_TD in zip(views_BVD, tokens[4], strict=True):
        unit_TD = photo_TD / photo_TD.norm(dim=1, keepdim=True)
        same_VT = (found_VD[:, None] - unit_TD).abs().amax(2) < 1e-6
        assert same_VT.sum(1).tolist() == [1, 1, 1]  # each is one of the tokens
        assert len(same_VT.nonzero()[:, 1].unique()) == 3  # and no two are the same
    # The same token five times is the mean of them.
    same = [photo_BTD[:, :1].expand(-1, 5, -1) for photo_BTD in tokens]
    one = loss_of(encoder, pooling="tokens", pooled_tokens=1)
    with torch.no_grad():
        torch.testing.assert_close(
            one(of_layers(one, same), latlon_B2, class_B),
            loss_of(encoder)(of_layers(one, same), latlon_B2, class_B),
        )


def test_views_of_other_processes_are_candidates_and_no_anchors(encoder, batch, monkeypatch):
    """What two processes give, each with three photos, is on average what one gives with six."""
    tokens, latlon_B2, class_B = batch
    loss = loss_of(encoder)
    shares = [slice(0, 3), slice(3, 6)]
    with torch.no_grad():
        one = loss(of_layers(loss, tokens), latlon_B2, class_B)
        sent = [[], []]  # what each process hands over, in its order
        for rank, share in enumerate(shares):
            monkeypatch.setattr(loss, "_gather", lambda x, rank=rank: sent[rank].append(x) or x)
            loss(of_layers(loss, [t[share] for t in tokens]), latlon_B2[share], class_B[share])
        parts = []
        for rank, share in enumerate(shares):
            both = iter([torch.stack(pair) for pair in zip(*sent, strict=True)])
            monkeypatch.setattr(loss, "_gather", lambda x, both=both: next(both))
            monkeypatch.setattr(loss, "fabric", Rank(rank))
            parts.append(
                loss(of_layers(loss, [t[share] for t in tokens]), latlon_B2[share], class_B[share])
            )
    torch.testing.assert_close(sum(parts) / 2, one)
    assert abs(parts[0] - parts[1]) > 1e-3


class Rank:
    world_size = 2

    def __init__(self, rank):
        self.global_rank = rank


def test_the_dominant_photo_of_a_blend_gives_label_and_place():
    x_B = torch.tensor([10.0, 20.0, 30.0])
    assert Mix(torch.tensor([1, 2, 0]), 0.7).dominant(x_B).tolist() == [10, 20, 30]
    assert Mix(torch.tensor([1, 2, 0]), 0.3).dominant(x_B).tolist() == [20, 30, 10]
