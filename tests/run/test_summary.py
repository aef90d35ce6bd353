"""Summaries: counts, exit codes, and accuracy that never stands alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from homerange.run.answers import Answer
from homerange.run.sources import Photo
from homerange.run.summary import Accuracy, PredictSummary, count_answers, is_right
from homerange.world.place_package import read_package

DONE = PredictSummary(
    photos=10, failures=0, resumed=4, repeated=0, seconds=2.0, labels={}, accuracy=None
)
MANY = Accuracy(photos=395, right=290, low=0.689, high=0.7756, chance=1 / 84, majority=0.0911)


@pytest.fixture
def place(package):
    return read_package(package)


def pair(name, index=None, truth=None):
    answer = Answer(name, failure="damaged") if index is None else Answer(name, top=((index, 0.5),))
    return Photo(name, Path(name), truth), answer


@pytest.mark.parametrize(("failures", "code"), [(0, 0), (1, 3), (9, 3), (10, 1)])
def test_the_exit_code_tells_all_some_or_none(failures, code):
    assert replace(DONE, failures=failures).exit_code == code


def test_the_speed_counts_the_photos_of_this_run_only():
    assert DONE.photos_per_s == 3.0  # (10 - 4) / 2 s


def test_counts_worked_out_by_hand(place):
    pairs = [
        pair("a", 1),
        pair("b", 1, "Vulpes vulpes"),  # right
        pair("c", 0, "Vulpes vulpes"),  # wrong
        pair("d", 5, "Lynx lynx"),  # wrong: not a species of this package
        pair("e", None, "Panthera leo"),  # could not be read: counts as failure only
    ]
    failures, labels, accuracy = count_answers(iter(pairs), place)
    assert failures == 1
    assert list(labels.items()) == [("Vulpes vulpes", 2), ("Panthera leo", 1), ("blank", 1)]
    assert (accuracy.photos, accuracy.right) == (3, 1)
    assert accuracy.majority == 2 / 3
    assert accuracy.chance == 1 / 6


def test_without_truth_there_is_no_accuracy(place):
    assert count_answers([pair("a", 1)], place)[2] is None
    assert is_right(*pair("a", 1), place) is None
    assert is_right(*pair("a", None, "blank"), place) is None


def test_accuracy_is_said_with_its_interval_and_beside_what_comes_for_nothing():
    # 290 / 395 = 0.734
    assert str(MANY) == (
        "73.4% right of 395 photos with a known answer (95% interval 68.9% to 77.6%); "
        "guessing 1.2%, always the commonest 9.1%"
    )


def test_few_photos_give_no_percentage():
    # 29 * 1/84 = 0.3 and 29 * 36/395 = 2.6
    few = (
        "7 right of 29 photos with a known answer, too few for a percentage; "
        "guessing would get 0.3, always the commonest 3"
    )
    assert str(replace(MANY, photos=29, right=7)) == few
    assert "%" in str(replace(MANY, photos=30, right=7))
    assert str(replace(MANY, photos=1, right=1)).startswith("1 right of 1 photo with")
