"""Metrics: by hand, and the same numbers as scikit-learn's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from homerange.data.metrics import chance, in_top, macro_f1, majority, wilson_interval


@st.composite
def answers(draw):
    """True and answered classes of some photos; classes may be missing on either side."""
    photos = draw(st.integers(1, 40))
    some = st.lists(st.integers(0, 6), min_size=photos, max_size=photos)
    return np.array(draw(some)), np.array(draw(some))


@given(answers())
def test_macro_f1_is_scikit_learns_over_the_classes_that_occur(pair):
    true_N, answer_N = pair
    expected = f1_score(true_N, answer_N, labels=np.unique(true_N), average="macro")
    assert macro_f1(true_N, answer_N) == pytest.approx(expected, abs=1e-12)


def test_macro_f1_by_hand():
    # Class 0: 2 photos, answered 3 times, 2 right: 2*2 / (2 + 3) = 4/5.
    # Class 2: 2 photos, answered once, once right: 2*1 / (2 + 1) = 2/3.
    # Class 5 is answered once but occurs in no photo: it does not count. Mean: 11/15.
    true_N, answer_N = np.array([0, 0, 2, 2]), np.array([0, 0, 0, 2])
    assert macro_f1(true_N, answer_N) == pytest.approx((4 / 5 + 2 / 3) / 2)
    # One photo of class 1 more, answered 5: its F1 is 0 and it counts; class 5 does not.
    assert macro_f1(np.append(true_N, 1), np.append(answer_N, 5)) == pytest.approx(
        (4 / 5 + 2 / 3 + 0) / 3
    )


@given(
    seed=st.integers(0, 999),
    photos=st.integers(1, 30),
    classes=st.integers(1, 8),
    k=st.integers(1, 5),
)
def test_in_top_is_the_place_in_a_stable_sort(seed, photos, classes, k):
    # Few different values, so that ties are common; a stable sort puts the lower class first.
    rng = np.random.default_rng(seed)
    logits_NC = rng.integers(0, 3, (photos, classes)).astype(np.float32)
    class_N = rng.integers(0, classes, photos)
    best_NC = np.argsort(-logits_NC, axis=1, kind="stable")
    expected = [class_N[i] in best_NC[i, :k] for i in range(photos)]
    assert in_top(logits_NC, class_N, k).tolist() == expected


@given(seed=st.integers(0, 99))
def test_top_1_is_argmax_ties_included(seed):
    rng = np.random.default_rng(seed)
    logits_NC, class_N = rng.integers(0, 2, (20, 4)), rng.integers(0, 4, 20)
    assert in_top(logits_NC, class_N, 1).mean() == accuracy_score(class_N, logits_NC.argmax(axis=1))


def test_no_photos_have_no_top():
    assert in_top(np.empty((0, 3)), np.empty(0, np.int64), 1).tolist() == []


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        # z = 1.96, z^2 = 3.8416. 8 of 10: middle 0.8 + 0.19208 = 0.99208,
        # half = 1.96 * sqrt(0.8*0.2/10 + 3.8416/400) = 1.96 * 0.16 = 0.3136, scale 1.38416:
        # 0.67848 / 1.38416 = 0.4902 and 1.30568 / 1.38416 = 0.9433.
        (8, 10, 0.4902, 0.9433),
        # 0 of 4: middle 3.8416/8 = 0.4802, half = 1.96 * sqrt(3.8416/64) = 0.4802, scale 1.9604:
        # 0 and 0.9604 / 1.9604 = 0.4899.
        (0, 4, 0.0, 0.4899),
        (4, 4, 0.5101, 1.0),
        # 500 of 1000: half = 1.96 * sqrt(0.25/1000 + 3.8416/4e6) = 0.031049, scale 1.0038416,
        # the middle is 0.5: 0.5 -+ 0.03093.
        (500, 1000, 0.46907, 0.53093),
    ],
)
def test_wilson_by_hand(right, total, low, high):
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=2e-4)


@given(total=st.integers(1, 500), share=st.floats(0, 1))
def test_wilson_holds_the_share_and_stays_between_0_and_1(total, share):
    right = round(share * total)
    low, high = wilson_interval(right, total)
    assert 0 <= low <= right / total + 1e-15
    assert right / total - 1e-15 <= high <= 1
    mirrored = wilson_interval(total - right, total)
    assert (low, high) == pytest.approx((1 - mirrored[1], 1 - mirrored[0]))


def test_without_photos_anything_is_possible_and_nothing_is_measured():
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert math.isnan(macro_f1(np.empty(0, int), np.empty(0, int)))
    assert math.isnan(majority([]))
    assert math.isnan(chance(0))


def test_chance_and_majority_by_hand():
    assert chance(4) == 0.25
    assert majority(["lion", "hare", "hare", "fox", "hare"]) == 3 / 5
    assert majority([2, 2, 7]) == pytest.approx(2 / 3)
