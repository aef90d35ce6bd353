"""The learner: which losses count, and which parameters the optimizer moves how."""

import pytest
import torch
from tiny_training import tiny_config

from homerange.model.network import build_network
from homerange.train.learner import Learner
from homerange.train.loop import make_optimizer
from homerange.train.losses import Mix, draw_mix, label_loss, teacher_loss

TEACHER = {"teacher": "lite0", "teacher_weight": 4.0}


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(2)
    return (
        torch.rand(3, 3, 64, 64, generator=generator),
        torch.tensor([2, 0, 1]),
        torch.randn(3, 5, 1, 1, generator=generator),
    )


def learner_of(head="plain", **changes):
    """In evaluation mode, so that neither dropout nor the batch enters."""
    config = tiny_config(head=head, label_smoothing=0.1, **changes)
    return Learner(build_network(classes=3, head=head), config, teacher_size=5).eval()


NO_MIX = draw_mix(3, alpha=0, seed=(0,))


def test_the_loss_is_the_weighted_sum_of_both_losses_of_the_blended_photos(batch):
    x_B3HW, class_B, teacher_BFGG = batch
    learner = learner_of(labels_weight=0.5, **TEACHER)
    mix = Mix(torch.tensor([1, 2, 0]), 0.7)
    with torch.no_grad():
        loss, logits_BC = learner(*batch, mix)
        blended_B3HW = 0.7 * x_B3HW + 0.3 * x_B3HW[[1, 2, 0]]
        blended_BFGG = 0.7 * teacher_BFGG + 0.3 * teacher_BFGG[[1, 2, 0]]
        pooled_BD = learner.network.encoder(blended_B3HW)
        ours_BF = learner.projection(pooled_BD)
        taught = teacher_loss(ours_BF[..., None, None], blended_BFGG)
        labels = label_loss(learner.network(blended_B3HW), class_B, mix=mix, smoothing=0.1)
    torch.testing.assert_close(loss, 0.5 * labels + 4.0 * taught)
    torch.testing.assert_close(logits_BC, learner.network(blended_B3HW))


def test_the_bottleneck_stands_between_features_and_classes(batch):
    learner = learner_of("bottleneck")
    with torch.no_grad():
        _, logits_BC = learner(batch[0], batch[1], None, NO_MIX)
        torch.testing.assert_close(logits_BC, learner.network(batch[0]))


def test_photos_without_labels_learn_from_the_teacher_alone(batch):
    x_B3HW, _, teacher_BFGG = batch
    learner = learner_of(**TEACHER)
    with torch.no_grad():
        loss, _ = learner(x_B3HW, torch.full((3,), -1), teacher_BFGG, NO_MIX)
        ours_BF = learner.projection(learner.network.encoder(x_B3HW))
        taught = teacher_loss(ours_BF[..., None, None], teacher_BFGG)
    torch.testing.assert_close(loss, 4.0 * taught)


def test_labelled_and_unlabelled_photos_can_share_a_batch(batch):
    x_B3HW, _, teacher_BFGG = batch
    learner = learner_of(**TEACHER)
    with torch.no_grad():
        mixed, _ = learner(x_B3HW, torch.tensor([2, -1, -1]), teacher_BFGG, NO_MIX)
        taught, _ = learner(x_B3HW, torch.full((3,), -1), teacher_BFGG, NO_MIX)
        alone, _ = learner(x_B3HW[:1], torch.tensor([2]), None, draw_mix(1, alpha=0, seed=(0,)))
    torch.testing.assert_close(mixed, taught + alone)


def test_positions_are_projected_each_for_itself(batch):
    x_B3HW, class_B, _ = batch
    learner = learner_of("none", labels_weight=0.0, **TEACHER)
    teacher_BFGG = torch.randn(3, 5, 2, 2, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        loss, _ = learner(x_B3HW, class_B, teacher_BFGG, NO_MIX)
        map_BDHW = learner.network.encoder.forward_features(x_B3HW)
        ours_BDGG = torch.nn.functional.adaptive_avg_pool2d(map_BDHW, 2)
        positions = [[learner.projection(ours_BDGG[:, :, i, j]) for j in (0, 1)] for i in (0, 1)]
        ours_BFGG = torch.stack([torch.stack(row, -1) for row in positions], -2)
    torch.testing.assert_close(loss, 4.0 * teacher_loss(ours_BFGG, teacher_BFGG))


def test_compiling_changes_nothing_but_the_speed(batch, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda f, **_: compiled.append(f) or f)
    learner, plain = learner_of(compile=True), learner_of()
    assert compiled == [learner.network.maps]
    assert learner.state_dict().keys() == plain.state_dict().keys()
    learner.load_state_dict(plain.state_dict())
    loss, _ = learner(batch[0], batch[1], None, NO_MIX)
    torch.testing.assert_close(loss, plain(batch[0], batch[1], None, NO_MIX)[0])


def test_an_encoder_has_a_loss_but_no_logits(batch):
    learner = learner_of("none", labels_weight=0.0, **TEACHER)
    loss, logits_BC = learner(*batch, NO_MIX)
    assert logits_BC is None
    assert loss.item() > 0


def test_every_parameter_is_moved_once_at_the_rate_of_its_part():
    learner = learner_of(learning_rate=1e-3, head_learning_rate=1e-2, weight_decay=0.05, **TEACHER)
    optimizer = make_optimizer(learner, learner.config)
    found = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(found)
    for name, p in learner.named_parameters():
        group = found.pop(id(p))
        assert group["peak"] == (1e-3 if name.startswith("network.encoder.") else 1e-2), name
        # Vectors hold no scale to shrink: biases, batch norm and group norm.
        is_vector = name.endswith("bias") or ".bn." in name or "norm" in name
        assert group["weight_decay"] == (0.0 if is_vector else 0.05), name
    assert not found


def test_an_encoder_alone_has_no_empty_group():
    learner = Learner(build_network(classes=0, head="none"), tiny_config(), teacher_size=0)
    assert all(group["params"] for group in make_optimizer(learner, learner.config).param_groups)
