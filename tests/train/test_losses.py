"""The losses: by hand, and mixup as what it is: a cross entropy with soft targets."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from homerange.train.losses import Mix, draw_mix, label_loss, teacher_loss

LN3 = math.log(3)  # logits (0, ln 3) are probabilities 1/4 and 3/4
ALONE = Mix(torch.tensor([0]), 1.0)


def test_label_smoothing_by_hand():
    # Smoothing 0.2 over 2 classes leaves 0.9 and 0.1:
    # -(0.1 * ln 1/4 + 0.9 * ln 3/4) = 0.1386294 + 0.2589139 = 0.3975433.
    loss = label_loss(torch.tensor([[0, LN3]]), torch.tensor([1]), mix=ALONE, smoothing=0.2)
    assert loss.item() == pytest.approx(0.3975433, abs=1e-6)


def test_mixup_by_hand():
    # Each photo has 3/4 of itself and 1/4 of the other. Photo 0 is of class 1:
    #   3/4 * -ln 3/4 + 1/4 * -ln 1/4 = 0.2157616 + 0.3465736 = 0.5623351.
    # Photo 1 has equal logits, so ln 2 = 0.6931472 whatever its class. Mean: 0.6277412.
    mix = Mix(torch.tensor([1, 0]), 0.75)
    logits_BC = torch.tensor([[0, LN3], [0.0, 0.0]])
    loss = label_loss(logits_BC, torch.tensor([1, 0]), mix=mix, smoothing=0.0)
    assert loss.item() == pytest.approx(0.6277412, abs=1e-6)


def test_a_blend_by_hand():
    mix = Mix(torch.tensor([1, 2, 0]), 0.75)
    assert mix.blend(torch.tensor([4.0, 8.0, 0.0])).tolist() == [5, 6, 1]


@given(
    seed=st.integers(0, 999),
    photos=st.integers(1, 9),
    classes=st.integers(2, 6),
    smoothing=st.floats(0, 1),
)
def test_mixup_is_the_cross_entropy_with_blended_soft_targets(seed, photos, classes, smoothing):
    generator = torch.Generator().manual_seed(seed)
    logits_BC = torch.randn(photos, classes, generator=generator, dtype=torch.float64)
    class_B = torch.randint(classes, (photos,), generator=generator)
    mix = draw_mix(photos, alpha=0.5, seed=(seed,))
    target_BC = torch.zeros(photos, classes, dtype=torch.float64)
    for i in range(photos):
        for who, share in ((i, mix.share), (int(mix.partner_B[i]), 1 - mix.share)):
            target_BC[i] += share * smoothing / classes
            target_BC[i, class_B[who]] += share * (1 - smoothing)
    expected = -(target_BC * logits_BC.log_softmax(1)).sum(1).mean()
    found = label_loss(logits_BC, class_B, mix=mix, smoothing=smoothing)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_photos_without_a_label_do_not_count():
    logits_BC = torch.tensor([[0, LN3], [5.0, -5.0], [0.0, 0.0]])
    mix = draw_mix(3, alpha=0, seed=(0,))
    loss = label_loss(logits_BC, torch.tensor([1, -1, 0]), mix=mix, smoothing=0.0)
    # -ln 3/4 and ln 2, over two photos: (0.2876821 + 0.6931472) / 2.
    assert loss.item() == pytest.approx(0.4904146, abs=1e-6)


def test_the_share_of_a_partner_without_a_label_does_not_count():
    # Photo 0 (class 1) is blended with photo 1, which has no label, and photo 1 with photo 0:
    # 3/4 of -ln 3/4 for the first, 1/4 of ln 2 for the second, over 3/4 + 1/4 labels.
    mix = Mix(torch.tensor([1, 0]), 0.75)
    logits_BC = torch.tensor([[0, LN3], [0.0, 0.0]])
    loss = label_loss(logits_BC, torch.tensor([1, -1]), mix=mix, smoothing=0.0)
    assert loss.item() == pytest.approx(0.75 * 0.2876821 + 0.25 * 0.6931472, abs=1e-6)


def test_the_teacher_loss_is_one_minus_the_mean_cosine():
    # (3, 4) and (4, 3): 24 / 25, so 0.04. (1, 0) and (-2, 0): opposite, so 2. Mean: 1.02.
    ours_BFGG = torch.tensor([[3.0, 4.0], [1.0, 0.0]])[..., None, None]
    teacher_BFGG = torch.tensor([[4.0, 3.0], [-2.0, 0.0]])[..., None, None]
    assert teacher_loss(ours_BFGG, teacher_BFGG).item() == pytest.approx(1.02)
    assert teacher_loss(10 * ours_BFGG, teacher_BFGG).item() == pytest.approx(1.02)


def test_on_a_grid_the_whole_and_the_positions_count_alike():
    # One photo, 2 x 2 positions. Ours: (1, 0) at three, (-1, 0) at the last; theirs: (1, 0)
    # everywhere. Whole: (0.5, 0) and (1, 0), cosine 1. Positions: (3 - 1) / 4 = 0.5.
    ours_BFGG = torch.zeros(1, 2, 2, 2)
    ours_BFGG[:, 0] = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    teacher_BFGG = torch.zeros(1, 2, 2, 2)
    teacher_BFGG[:, 0] = 1
    assert teacher_loss(ours_BFGG, teacher_BFGG).item() == pytest.approx((1 - 1) + (1 - 0.5))


def test_the_teacher_loss_is_computed_in_32_bit():
    ours_BFGG = torch.randn(4, 50, 1, 1, generator=torch.Generator().manual_seed(0))
    half = teacher_loss(ours_BFGG.bfloat16(), ours_BFGG.bfloat16())
    assert half.dtype == torch.float32
    assert abs(half.item()) < 1e-6


def test_a_draw_of_mixup_depends_on_its_numbers_alone():
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = (draw_mix(8, alpha=0.3, seed=(4, 2, 0)) for _ in range(2))
    assert first.share == again.share
    assert torch.equal(first.partner_B, again.partner_B)
    assert draw_mix(8, alpha=0.3, seed=(4, 3, 0)).share != first.share
    assert draw_mix(8, alpha=0.3, seed=(4, 2, 1)).share != first.share  # another process
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_every_photo_is_the_partner_of_one():
    for seed in range(20):
        mix = draw_mix(9, alpha=0.3, seed=(seed,))
        assert sorted(mix.partner_B.tolist()) == list(range(9))
        assert 0 <= mix.share <= 1


def test_alpha_0_blends_nothing():
    mix = draw_mix(5, alpha=0, seed=(1,))
    x_B = torch.randn(5)
    assert mix.share == 1.0
    assert torch.equal(mix.blend(x_B), x_B)


def test_the_share_follows_beta():
    # Beta(a, a) has mean 1/2 and variance 1 / (4 * (2 * a + 1)): 1/12 for a = 1.
    share_N = np.array([draw_mix(2, alpha=1.0, seed=(7, i)).share for i in range(2000)])
    assert share_N.mean() == pytest.approx(1 / 2, abs=0.02)
    assert share_N.var() == pytest.approx(1 / 12, abs=0.01)
