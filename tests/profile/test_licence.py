"""The licence of a world: the strictest of its photos'."""

import pytest
from tiny_training import manifest_of

from homerange.errors import WorldError
from homerange.profile.licence import ORDER, licence_of, licence_rows


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
        ("GNU General Public License v3", "GPL"),
        ("AGPL-3.0", "AGPL"),
        ("GNU Affero General Public License", "AGPL"),
        ("ODbL 1.0", "ODbL"),
        ("Open Database License", "ODbL"),
        ("CC BY-SA 3.0", "CC BY-SA"),
        ("CC_BY_SA", "CC BY-SA"),
        ("CC BY 4.0", "CC BY"),
        ("CC-BY-4.0", "CC BY"),
        ("https://creativecommons.org/licenses/by/4.0/", "CC BY"),
        ("CC BY", "CC BY"),
        ("ccby4.0", "CC BY"),
        ("ODC-BY", "ODC-By"),
        ("Open Data Commons Attribution License", "ODC-By"),
        ("CDLA-Sharing-1.0", "CDLA-Sharing"),
        ("Community Data License Agreement - Sharing", "CDLA-Sharing"),
        ("CDLA-Permissive-1.0", "CDLA-Permissive"),
        ("https://cdla.dev/permissive-2-0/", "CDLA-Permissive"),
        ("Community Data License Agreement (permissive variant)", "CDLA-Permissive"),
        ("Apache-2.0", "Apache-2.0"),
        ("BSD-3-Clause", "BSD"),
        ("MIT", "MIT"),
        ("CC0-1.0", "CC0"),
        ("CC0 1.0 Universal Public Domain Dedication", "CC0"),
        ("Creative Commons Zero", "CC0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0"),
        ("PDDL-1.0", "PDDL"),
        ("http://creativecommons.org/publicdomain/mark/1.0/", "public domain"),
    ],
)
def test_the_words_of_a_source_are_understood(words, found):
    assert licence_of([words]).weights == found


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("Attribution-NonCommercial-NoDerivatives 4.0", "CC BY-NC-ND"),
        ("Creative Commons Attribution-NonCommercial-NoDerivs 3.0 Unported", "CC BY-NC-ND"),
        ("by-nd-nc", "CC BY-NC-ND"),  # the order of the first version
        ("ccbyncnd", "CC BY-NC-ND"),
        ("Attribution-NoDerivatives", "CC BY-ND"),
        ("Attribution - Non-Commercial - Share Alike", "CC BY-NC-SA"),
        ("NonCommercial-ShareAlike", "CC BY-NC-SA"),
        ("Attribution-NonCommercial", "CC BY-NC"),
        ("CC BY 4.0, not for commercial use", "CC BY-NC"),
        ("Attribution-ShareAlike 4.0 International", "CC BY-SA"),
        ("Creative Commons Attribution 4.0", "CC BY"),
        ("Attribution 4.0 International", "CC BY"),
        ("attribution", "CC BY"),
    ],
)
def test_names_spelt_out_are_understood(words, found):
    assert licence_of([words]).weights == found


@pytest.mark.parametrize(
    "words",
    [
        "by John Smith",
        "attribution required",
        "CDLA",  # which of the two?
        "GNU Lesser General Public License",
        "research only",
        "summit",
    ],
)
def test_words_that_only_look_like_a_licence_stay_what_they_are(words):
    assert licence_of([words, "CC BY-NC-ND"]).weights == words


@pytest.mark.parametrize("rank", range(len(ORDER) - 1))
def test_of_two_licences_the_stricter_one_wins_whatever_their_order(rank):
    stricter, freer = ORDER[rank][0], ORDER[rank + 1][0]
    assert licence_of([freer, stricter, freer]).weights == stricter
    assert licence_of([stricter, freer]).weights == stricter


def test_one_strict_photo_among_many_is_enough():
    assert licence_of(["CC0"] * 1000 + ["CC BY-NC 4.0"]).weights == "CC BY-NC"


def test_a_licence_that_nobody_knows_counts_as_the_strictest_in_its_own_words():
    assert licence_of(["CC BY-NC-ND", "ask the park"]).weights == "ask the park"


def test_reserved_rights_are_not_freed_by_another_word_beside_them():
    assert licence_of(["All rights reserved (not CC BY)", "CC0"]).weights == "all rights reserved"


def test_photos_are_counted_by_the_words_of_their_source():
    assert licence_of(["MIT", "CC0", "MIT"]).rows == {"MIT": 2, "CC0": 1}
    words = "Attribution-NonCommercial-NoDerivatives 4.0"
    assert licence_of([words]).rows == {words: 1}


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


def test_added_records_count_like_photos_and_are_told_apart():
    found = licence_of(["CC0"], records={"CC_BY_NC_4_0": 7, "": 2}, otherwise="CC BY 4.0")
    assert found.weights == "CC BY-NC"
    assert found.rows == {
        "CC0": 1,
        "occurrences: CC_BY_NC_4_0": 7,
        "occurrences: CC BY 4.0": 2,
    }
    assert licence_of(["CC0"], records={"CC0_1_0": 9}).weights == "CC0"
    assert licence_of(["CC0"], records={"ask the park": 1}).weights == "ask the park"


@pytest.mark.parametrize(
    ("words", "short"),
    [
        ("CC0_1_0", "CC0"),
        ("CC_BY_4_0", "CC BY"),
        ("CC_BY_NC_4_0", "CC BY-NC"),
        ("http://creativecommons.org/licenses/by-nc/4.0/legalcode", "CC BY-NC"),
    ],
)
def test_the_words_of_gbif_are_known(words, short):
    assert licence_of(["CC0"], records={words: 1}).weights == short


def test_added_records_without_a_licence_are_refused_and_counted():
    with pytest.raises(WorldError, match="5 of 7 photos and records state no licence"):
        licence_of(["CC0", None], records={"": 4, "CC0": 1})


@pytest.mark.parametrize(
    ("teacher", "licences"),
    [
        (False, ["labelled train", "labelled test"]),
        (True, ["labelled train", "train", "val", "labelled test"]),
    ],
)
def test_photos_without_a_label_count_where_a_teacher_made_them_worth_learning_from(
    teacher, licences
):
    lion = {"species": "Panthera leo"}
    photos = manifest_of(
        [
            lion | {"split": "train", "licence": "labelled train"},
            {"split": "train", "licence": "train"},
            {"split": "val", "licence": "val"},
            {"split": "test", "licence": "test"},
            {"licence": "no split"},
            lion | {"split": "test", "licence": "labelled test"},
        ],
        None,
    )
    assert licence_rows(photos, teacher=teacher) == licences
