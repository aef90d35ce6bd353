"""The page of photos to check: which are on it, that it is safe, and that it gives a list back."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from homerange.errors import ConfigError, RunError
from homerange.run.answers import Answer, Burst
from homerange.run.folder import predict
from homerange.run.review import CORRECTIONS, is_review, least_sure, review_path, write_review
from homerange.run.sources import Photo, find_photos
from homerange.world.place_package import read_package

LABELS = ("Panthera leo", "Vulpes vulpes", "Loxodonta africana", "person", "vehicle", "blank")


@pytest.fixture(scope="module")
def place(tmp_path_factory, make_package):
    return read_package(make_package(tmp_path_factory.mktemp("place") / "testland.homerange"))


def pair(folder, name, confidence, label=0, burst=None, **facts):
    of = None if burst is None else Burst(burst, 2, "t", "t", ((0, 0.5),))
    answer = Answer(name, top=((label, confidence), (5, 0.001)), burst=of, **facts)
    return Photo(name, folder / name), answer


def test_the_least_sure_are_chosen_one_of_each_burst_and_no_people(place, tmp_path):
    pairs = [
        pair(tmp_path, "sure.jpg", 0.99),
        pair(tmp_path, "a1.jpg", 0.4, burst="a1.jpg"),
        pair(tmp_path, "a2.jpg", 0.2, burst="a1.jpg"),
        pair(tmp_path, "a3.jpg", 0.3, burst="a1.jpg"),
        pair(tmp_path, "half.jpg", 0.5),
        pair(tmp_path, "person.jpg", 0.1, label=3),
        (Photo("bad.jpg", tmp_path / "bad.jpg"), Answer("bad.jpg", failure="damaged")),
    ]
    chosen = least_sure(pairs, place, count=2)
    assert [photo.file for _, _, photo, _ in chosen] == ["a2.jpg", "half.jpg"]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 20)), max_size=40), st.integers(1, 8))
def test_the_choice_is_that_of_a_slow_sort(place, tmp_path_factory, drawn, count):
    folder = tmp_path_factory.getbasetemp()
    pairs = [
        pair(folder, f"{i}.jpg", confidence / 20, burst=f"burst{burst}")
        for i, (burst, confidence) in enumerate(drawn)
    ]
    slow, seen = [], set()
    for confidence, i, burst in sorted((c / 20, i, b) for i, (b, c) in enumerate(drawn)):
        if burst not in seen and len(slow) < count:
            seen.add(burst)
            slow.append((confidence, i))
    assert [one[:2] for one in least_sure(pairs, place, count=count)] == slow


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def test_the_page_is_whole_safe_and_without_exif(place, tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "S", 2: (2.0, 20.0, 0.0), 3: "E", 4: (34.0, 50.0, 0.0)})
    name = '"><script>alert(1)<!--.jpg'
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / name, exif=exif)
    page = tmp_path / "page.html"
    write_review(page, [pair(tmp_path, name, 0.3), pair(tmp_path, "gone.jpg", 0.2)], place, count=9)
    text = page.read_text()
    parsed = Page()
    parsed.feed(text)
    figures = [found for tag, found in parsed.tags if tag == "figure"]
    assert [figure["data-file"] for figure in figures] == ["gone.jpg", name]
    assert [figure["data-said"] for figure in figures] == ["Panthera leo"] * 2
    assert [tag for tag, _ in parsed.tags].count("script") == 1
    (image,) = [found for tag, found in parsed.tags if tag == "img"]
    data = base64.b64decode(image["src"].removeprefix("data:image/jpeg;base64,"))
    with Image.open(io.BytesIO(data)) as thumbnail:
        assert max(thumbnail.size) == 320
        assert not thumbnail.getexif()
    assert "photo is gone" in text
    links = re.findall(r'(?:src|href)="?([^" >]+)', text)
    assert all(link.startswith("data:") for link in links)  # nothing is loaded from elsewhere
    assert is_review(page)


def test_the_corrections_are_a_list_that_predict_reads(place, tmp_path):
    row = ("oak/1.jpg", "Vulpes vulpes", "Panthera leo", "0.4000", place.sha256)
    (tmp_path / "corrections.csv").write_text(f"{','.join(CORRECTIONS)}\n{','.join(row)}\n")
    (photo,) = find_photos(tmp_path / "corrections.csv")
    assert (photo.file, photo.truth) == ("oak/1.jpg", "Vulpes vulpes")


def test_predict_writes_the_page_beside_the_results(photos, package, out):
    summary = predict(photos, model=package, output=out, review=5)
    page = review_path(out)
    assert summary.review == page
    assert page.read_text().count("<figure") == 5
    predict(photos, model=package, output=out, review=3)
    assert page.read_text().count("<figure") == 3


def test_a_page_that_is_not_ours_is_left_alone(photos, package, out):
    review_path(out).write_text("my diary")
    with pytest.raises(RunError, match="is no review page of homerange, so it is left alone"):
        predict(photos, model=package, output=out, review=5)
    assert review_path(out).read_text() == "my diary"
    with pytest.raises(ConfigError, match="review is 0; expected at least 1"):
        predict(photos, model=package, output=out, review=0)
