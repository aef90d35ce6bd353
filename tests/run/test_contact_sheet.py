"""Contact sheets: what is chosen, what is drawn, and what must never be in them."""

import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFont

from homerange.run import contact_sheet
from homerange.run.answers import Answer
from homerange.run.contact_sheet import (
    GREEN,
    PAPER,
    RED,
    SheetEntry,
    is_contact_sheet,
    write_contact_sheet,
)
from homerange.run.sheet_entries import _quotas, _spread, choose_entries
from homerange.run.sources import Photo
from homerange.world.place_package import read_package

LABELS = ("Panthera leo", "Vulpes vulpes", "Loxodonta africana", "person", "vehicle", "blank")


@pytest.fixture(scope="module")
def place(tmp_path_factory, make_package):
    return read_package(make_package(tmp_path_factory.mktemp("place") / "testland.homerange"))


def answered(name, index, truth=None, share=0.5):
    return Photo(name, Path(name), truth), Answer(name, top=((index, share),))


def chosen(place, pairs):
    return choose_entries(lambda: iter(pairs), place)


def entry(path, **facts):
    known = {
        "label": "Vulpes vulpes",
        "is_species": True,
        "common_name": "red fox",
        "confidence": 0.75,
        "right": None,
        "truth": "",
    }
    return SheetEntry(path=path, **known | facts)


@pytest.fixture
def photo(tmp_path, make_photo):
    path = tmp_path / "a.jpg"
    path.write_bytes(make_photo((20, 30, 200), size=(400, 300)))
    return path


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def has_colour(rgb_HW3, colour):
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((rgb_HW3 == wanted).all(axis=-1).any())


def test_few_photos_are_all_shown_the_most_frequent_answer_first(place):
    pairs = [answered("a", 1), answered("b", 0), answered("c", 0), answered("d", 5)]
    # lion twice; then blank before fox, by name
    names = [e.path.name for e in chosen(place, pairs)]
    assert names == ["b", "c", "a", "d"]


def test_many_photos_are_shared_evenly_over_the_answers_and_over_the_run(place):
    pairs = [answered(f"lion{i}", 0) for i in range(1000)]
    pairs += [answered(f"fox{i}", 1) for i in range(30)] + [answered("elephant", 2)]
    entries = chosen(place, pairs)
    # 48 places for three answers: one elephant, and 47 = 24 + 23 for the other two.
    assert Counter(e.label for e in entries) == {
        "Panthera leo": 24,
        "Vulpes vulpes": 23,
        "Loxodonta africana": 1,
    }
    lions = [int(e.path.name.removeprefix("lion")) for e in entries if e.label == "Panthera leo"]
    assert lions[0] == 20  # the middle of the first of 24 stretches of 41.7 lions
    assert max(np.diff(lions)) <= 43


@given(st.dictionaries(st.integers(), st.integers(1, 60), max_size=60), st.integers(0, 48))
def test_quotas_use_every_place_and_differ_by_one_at_most_where_photos_last(counts, limit):
    quota = _quotas(counts, limit)
    assert sum(quota.values()) == min(limit, sum(counts.values()))
    assert all(quota[key] <= counts[key] for key in counts)
    most = max(quota.values(), default=0)
    assert all(quota[key] >= min(most - 1, counts[key]) for key in counts)


@given(st.integers(1, 500), st.data())
def test_spread_ranks_are_different_and_exist(count, data):
    quota = data.draw(st.integers(0, count))
    ranks = _spread(count, quota)
    assert len(ranks) == quota
    assert all(0 <= rank < count for rank in ranks)


def test_people_and_failures_are_not_shown(place):
    broken = (Photo("e", Path("e")), Answer("e", failure="damaged"))
    pairs = [answered("a", 3), answered("b", 0, "person"), answered("c", 4), broken]
    assert [e.path.name for e in chosen(place, pairs)] == ["c"]


def test_wrong_answers_carry_the_true_name(place):
    pairs = [
        answered("a", 0, "Panthera leo", share=0.9),
        answered("b", 0, "Vulpes vulpes"),
        answered("c", 0, "Lynx lynx"),
        answered("d", 5),
    ]
    found = {e.path.name: e for e in chosen(place, pairs)}
    assert [found[name].right for name in "abcd"] == [True, False, False, None]
    assert [found[name].truth for name in "abcd"] == [
        "",
        "Vulpes vulpes (red fox)",
        "Lynx lynx",
        "",
    ]
    assert (found["a"].common_name, found["a"].confidence) == ("lion", 0.9)
    assert [found[name].is_species for name in "ad"] == [True, False]


@pytest.mark.parametrize("count", [0, 1, 5, 48])
def test_any_number_of_photos_makes_a_picture(photo, tmp_path, count):
    path = tmp_path / "sheet.png"
    write_contact_sheet(path, [entry(photo)] * count, title="testland", subtitle="")
    rgb_HW3 = pixels(path)
    blue_HW = (abs(rgb_HW3.astype(int) - [20, 30, 200]) <= 3).all(axis=-1)
    # A 400 x 300 photo fills its frame of 232 x 174 but for the rounded corners.
    assert blue_HW.sum() == pytest.approx(count * 232 * 174, rel=0.02)
    assert has_colour(rgb_HW3, PAPER)


def test_marks_and_bars_show_right_and_wrong_only_where_the_truth_is_known(photo, tmp_path):
    def colours(**facts):
        write_contact_sheet(tmp_path / "s.png", [entry(photo, **facts)], title="", subtitle="")
        # The footer explains both marks, so look above it.
        rgb_HW3 = pixels(tmp_path / "s.png")[:-74]
        return has_colour(rgb_HW3, GREEN), has_colour(rgb_HW3, RED)

    assert colours(right=None) == (False, False)
    assert colours(right=True) == (True, False)
    assert colours(right=False, truth="Lynx lynx") == (False, True)


def test_the_true_name_is_written_under_a_wrong_answer_and_no_other(photo, tmp_path):
    def drawn(right, truth):
        one = entry(photo, right=right, truth=truth)
        write_contact_sheet(tmp_path / "s.png", [one], title="", subtitle="")
        return (tmp_path / "s.png").read_bytes()

    assert drawn(False, "Lynx lynx") != drawn(False, "Puma concolor")
    assert drawn(True, "Lynx lynx") == drawn(True, "Puma concolor")
    assert drawn(None, "Lynx lynx") == drawn(None, "Puma concolor")


def test_the_bar_is_as_long_as_the_confidence(photo, tmp_path):
    def green(confidence):
        one = entry(photo, right=True, confidence=confidence)
        write_contact_sheet(tmp_path / "s.png", [one], title="", subtitle="")
        wanted = [int(GREEN[i : i + 2], 16) for i in (1, 3, 5)]
        return (pixels(tmp_path / "s.png")[:-74] == wanted).all(axis=-1).sum(axis=1).max()

    assert green(0.5) == pytest.approx(116, abs=2)  # of 232
    assert green(1.0) == pytest.approx(232, abs=2)


LONG = "Loxodonta africana var. " + "magna " * 40


def test_long_names_do_not_overflow(photo, tmp_path):
    one = entry(photo, label=LONG, common_name=LONG, truth=LONG, right=False)
    path = tmp_path / "sheet.png"
    write_contact_sheet(path, [one], title=LONG, subtitle=LONG * 3)
    paper = [int(PAPER[i : i + 2], 16) for i in (1, 3, 5)]
    rgb_HW3 = pixels(path)
    margins = np.concatenate([rgb_HW3[:, :50], rgb_HW3[:, -50:]], axis=1)
    assert (margins == paper).all()
    # Right of the only photo (52 + 232 px) and between header and footer there is nothing.
    below_header = rgb_HW3[-74 - 300 : -74, 52 + 232 + 2 :]
    assert (below_header == paper).all()


@given(st.text(max_size=60), st.integers(20, 300))
def test_a_fitted_text_is_as_narrow_as_asked_and_begins_as_the_text(text, width):
    font = ImageFont.load_default(16)
    got = contact_sheet._fitted(text, font, width)
    assert font.getlength(got) <= width
    assert " ".join(text.split()).startswith(got.removesuffix("…"))


def test_nothing_but_pixels_gets_into_the_sheet(tmp_path, make_photo):
    exif = Image.Exif()
    exif[0x010E] = "secret-den"  # ImageDescription
    exif.get_ifd(0x8825)[1] = "S"  # GPS
    path = tmp_path / "a.jpg"
    path.write_bytes(make_photo((1, 2, 3), exif=exif, comment=b"secret-den"))
    write_contact_sheet(tmp_path / "sheet.png", [entry(path)], title="t", subtitle="s")
    data = (tmp_path / "sheet.png").read_bytes()
    kinds, at = [], 8
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        kinds.append(kind)
        at += 12 + length
    assert set(kinds) == {b"IHDR", b"tEXt", b"IDAT", b"IEND"}
    assert b"secret" not in data
    assert str(tmp_path).encode() not in data
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.info == {"Software": "homerange contact sheet"}


def test_a_photo_that_is_gone_is_an_empty_frame(tmp_path):
    write_contact_sheet(tmp_path / "s.png", [entry(tmp_path / "no.jpg")], title="t", subtitle="s")
    assert has_colour(pixels(tmp_path / "s.png"), contact_sheet.TRAY)


@pytest.mark.parametrize("size", [(3000, 1), (1, 3000), (1, 1)])
def test_photos_of_any_shape_fit(tmp_path, make_photo, size):
    path = tmp_path / "a.png"
    path.write_bytes(make_photo((1, 2, 3), size=size, format="PNG"))
    write_contact_sheet(tmp_path / "s.png", [entry(path)], title="t", subtitle="s")
    assert is_contact_sheet(tmp_path / "s.png")


def test_only_our_own_sheets_are_taken_for_sheets(tmp_path, photo, make_photo):
    png, text = tmp_path / "b.png", tmp_path / "c.png"
    png.write_bytes(make_photo((1, 2, 3), format="PNG"))
    text.write_text("diary")
    bad = tmp_path / "d.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n" + zlib.compress(b"junk"))
    write_contact_sheet(tmp_path / "s.png", [], title="t", subtitle="s")
    found = [is_contact_sheet(p) for p in (photo, png, text, bad, tmp_path, tmp_path / "s.png")]
    assert found == [False] * 5 + [True]


def test_the_same_entries_give_the_same_picture(photo, tmp_path):
    one, two = tmp_path / "1.png", tmp_path / "2.png"
    for path in (one, two):
        entries = [entry(photo), replace(entry(photo), right=True)]
        write_contact_sheet(path, entries, title="t", subtitle="s")
    assert one.read_bytes() == two.read_bytes()
