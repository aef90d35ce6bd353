"""The licence of a world: the strictest of its photos'."""

import pytest

from homerange.errors import WorldError
from homerange.profile.licence import ORDER, licence_of


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("CC BY-NC-ND 4.0", "CC BY-NC-ND"),
        ("cc-by-nc-sa", "CC BY-NC-SA"),
        ("CC-BY-NC", "CC BY-NC"),
        ("http://creativecommons.org/licenses/by-nc/4.0/", "CC BY-NC"),
        ("non-commercial use only", "CC BY-NC"),
        ("CC BY-ND 4.0", "CC BY-ND"),
        ("https://creativecommons.org/licenses/by-nd/4.0/", "CC BY-ND"),
        ("GPL-3.0", "GPL"),
        ("AGPL-3.0", "GPL"),
        ("CC BY-SA 3.0", "CC BY-SA"),
        ("CC_BY_SA", "CC BY-SA"),
        ("CC BY 4.0", "CC BY"),
        ("CC-BY-4.0", "CC BY"),
        ("https://creativecommons.org/licenses/by/4.0/", "CC BY"),
        ("ODC-BY", "CC BY"),
        ("CDLA-Permissive-1.0", "CDLA-Permissive"),
        ("Apache-2.0", "Apache-2.0"),
        ("MIT", "MIT"),
        ("CC0-1.0", "CC0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0"),
    ],
)
def test_the_words_of_a_source_are_understood(words, found):
    assert licence_of([words]).weights == found


@pytest.mark.parametrize("rank", range(len(ORDER) - 1))
def test_of_two_licences_the_stricter_one_wins_whatever_their_order(rank):
    stricter, freer = ORDER[rank][0], ORDER[rank + 1][0]
    assert licence_of([freer, stricter, freer]).weights == stricter
    assert licence_of([stricter, freer]).weights == stricter


def test_one_strict_photo_among_many_is_enough():
    assert licence_of(["CC0"] * 1000 + ["CC BY-NC 4.0"]).weights == "CC BY-NC"


def test_a_licence_that_nobody_knows_counts_as_the_strictest_in_its_own_words():
    assert licence_of(["CC BY-NC-ND", "all rights reserved"]).weights == "all rights reserved"


def test_photos_are_counted_by_the_words_of_their_source():
    assert licence_of(["MIT", "CC0", "MIT"]).rows == {"MIT": 2, "CC0": 1}


def test_the_publisher_can_state_the_licence_of_photos_without_one():
    found = licence_of(["CC0", None, ""], otherwise="CC BY 4.0")
    assert found.weights == "CC BY"
    assert found.rows == {"CC0": 1, "CC BY 4.0": 2}


@pytest.mark.parametrize("otherwise", [None, ""])
def test_photos_without_a_licence_are_refused_and_counted(otherwise):
    with pytest.raises(
        WorldError, match=r"2 of 3 photos state no licence, .* or state one with --lic"
    ):
        licence_of(["CC0", None, ""], otherwise=otherwise)
