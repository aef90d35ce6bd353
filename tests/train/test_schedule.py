"""The learning rate by hand: the paper's schedule, a usual one, and the odd ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homerange.train.schedule import rate_factor

PAPER = {"steps": 60, "warmup_steps": 40, "warmup_from": 0.8, "final_rate": 0.8}


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [
        (0, 0.8),
        (20, 0.9),  # half way up the straight line
        (40, 1.0),  # no jump where the cosine begins
        (45, 0.8 + 0.2 * (1 + 0.5**0.5) / 2),  # cos 45 degrees
        (50, 0.9),  # half way down the cosine: cos 90 degrees is 0
        (60, 0.8),
    ],
)
def test_the_papers_schedule_is_at_its_peak_at_epoch_40_and_at_0_8_at_both_ends(epoch, factor):
    assert rate_factor(epoch, **PAPER) == pytest.approx(factor)


def test_a_usual_schedule_by_hand():
    # 2 of 6 steps up from 0.1: 0.1, 0.55; then a cosine over 4 steps to 0:
    # (1 + cos 0) / 2 = 1, cos 45: 0.8536, cos 90: 0.5, cos 135: 0.1464.
    found = [
        rate_factor(step, steps=6, warmup_steps=2, warmup_from=0.1, final_rate=0)
        for step in range(6)
    ]
    assert found == pytest.approx([0.1, 0.55, 1, 0.853553, 0.5, 0.146447], abs=1e-6)


def test_without_warmup_the_first_step_has_the_peak_rate():
    assert rate_factor(0, steps=5, warmup_steps=0, warmup_from=0.1, final_rate=0.1) == 1.0


def test_a_training_shorter_than_its_warmup_stays_on_the_straight_line():
    found = rate_factor(3, steps=4, warmup_steps=8, warmup_from=0.0, final_rate=0.0)
    assert found == pytest.approx(3 / 8)


def test_a_warmup_as_long_as_the_training_divides_by_nothing():
    assert rate_factor(4, steps=4, warmup_steps=4, warmup_from=0.5, final_rate=0.5) == 1.0


@given(steps=st.integers(1, 50), warmup=st.integers(0, 50), final=st.floats(0, 1))
def test_the_rate_rises_to_the_peak_and_then_falls(steps, warmup, final):
    found = [
        rate_factor(step, steps=steps, warmup_steps=warmup, warmup_from=0.0, final_rate=final)
        for step in range(steps + 1)
    ]
    peak = min(warmup, steps)
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[peak:] == sorted(found[peak:], reverse=True)
    assert 0 <= min(found) <= max(found) <= 1
