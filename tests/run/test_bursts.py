"""Bursts and pools: several looks become one answer, worked out by hand."""

import json

import numpy as np
import pytest
from PIL import Image

from homerange.run.folder import predict
from homerange.run.pooling import Pool, from_scores, to_scores


def pooled(labels, *looks):
    pool = Pool(labels)
    for number, look in enumerate(looks):
        pool.add(np.array(look, np.float32), number)
    return pool


def test_the_pool_is_the_mean_of_logarithms_worked_out_by_hand():
    # sqrt(0.8 * 0.5) = 0.632456, sqrt(0.2 * 0.5) = 0.316228; their sum is 0.948683.
    pool = pooled(["lion", "fox"], [0.8, 0.2], [0.5, 0.5])
    np.testing.assert_allclose(pool.probabilities(), [2 / 3, 1 / 3], atol=1e-6)


def test_looks_that_show_nothing_do_not_outvote_the_one_that_shows_an_animal():
    empty = [0.05, 0.95]
    pool = pooled(["lion", "blank"], empty, empty, [0.7, 0.3], empty)
    np.testing.assert_allclose(pool.probabilities(), [0.7, 0.3], atol=1e-6)
    assert pool.best_look(0) == 2


def test_where_nothing_shows_anything_the_answer_is_that_of_all():
    pool = pooled(["lion", "blank"], [0.1, 0.9], [0.3, 0.7])
    assert pool.probabilities().argmax() == 1
    assert pool.looks == 2


def test_scores_are_kept_to_within_a_percent():
    share_C = np.random.default_rng(0).dirichlet(np.full(50, 0.2)).astype(np.float32)
    back_C = from_scores(to_scores(share_C))
    np.testing.assert_allclose(back_C, np.maximum(share_C, 1e-8), rtol=0.01)
    assert len(to_scores(share_C)) == 100


def photo(path, colour, time=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if time:
        exif.get_ifd(0x8769)[0x9003] = time
    Image.new("RGB", (40, 30), colour).save(path, exif=exif)


@pytest.fixture
def card(tmp_path):
    """Camera oak: a burst whose names are not in the order of time, a later photo, one without
    a time. Camera elm: a photo of the very same second."""
    for name, colour, time in (
        ("oak/3.jpg", (250, 10, 10), "2024:05:06 07:00:00"),
        ("oak/1.jpg", (200, 60, 10), "2024:05:06 07:00:40"),
        ("oak/2.jpg", (10, 250, 10), "2024:05:06 07:01:00"),
        ("oak/4.jpg", (9, 9, 250), "2024:05:06 07:01:01"),
        ("oak/5.jpg", (9, 9, 250), None),
        ("elm/1.jpg", (10, 250, 10), "2024:05:06 07:00:00"),
    ):
        photo(tmp_path / "card" / name, colour, time)
    return tmp_path / "card"


def rows(path):
    import csv

    with path.open(newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_photos_of_one_camera_within_a_minute_of_the_first_get_one_answer(card, package, out):
    table = out.with_suffix(".csv")
    predict(card, model=package, output=table)
    found = rows(table)
    burst = {name: row["burst"] for name, row in found.items()}
    assert burst == {
        "elm/1.jpg": "",
        "oak/1.jpg": "oak/3.jpg",
        "oak/2.jpg": "oak/3.jpg",  # 60 s after the first, though only 20 s after the second
        "oak/3.jpg": "oak/3.jpg",
        "oak/4.jpg": "",
        "oak/5.jpg": "",
    }
    of_burst = [found[f"oak/{i}.jpg"] for i in (1, 2, 3)]
    assert {row["burst_photos"] for row in of_burst} == {"3"}
    assert len({(row["burst_prediction"], row["burst_confidence"]) for row in of_burst}) == 1
    assert all(row["prediction"] for row in found.values())  # each keeps its own


def test_the_answer_of_a_burst_is_the_pool_of_its_photos(card, package, out):
    from homerange.data.images import prepare
    from homerange.run.session import Session
    from homerange.world.place_package import read_package

    table = out.with_suffix(".csv")
    predict(card, model=package, output=table)
    place = read_package(package)
    pixels = [prepare(card / f"oak/{i}.jpg", place.preprocessing) for i in (3, 1, 2)]
    share_C = pooled(
        place.labels, *Session.open(place).probabilities(np.stack(pixels))
    ).probabilities()
    row = rows(table)["oak/1.jpg"]
    assert row["burst_prediction"] == place.labels[share_C.argmax()]
    assert float(row["burst_confidence"]) == pytest.approx(share_C.max(), abs=2e-3)


def test_other_seconds_make_other_bursts_without_looking_again(card, package, out):
    table = out.with_suffix(".csv")
    predict(card, model=package, output=table)
    again = predict(card, model=package, output=table, bursts_s=61)
    assert again.resumed == 6
    assert rows(table)["oak/4.jpg"]["burst"] == "oak/3.jpg"
    predict(card, model=package, output=table, bursts_s=0)
    assert {row["burst"] for row in rows(table).values()} == {""}


def test_a_photo_far_from_the_place_warns_once_for_its_folder_without_coordinates(
    tmp_path, package, out, capsys
):
    from homerange.show import print_summary

    gps = Image.Exif()
    gps.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 24.0, 0.0)})
    near = Image.Exif()
    near.get_ifd(0x8825).update({1: "S", 2: (2.0, 0.0, 0.0), 3: "E", 4: (34.0, 50.0, 0.0)})
    for name, exif in (("berlin/1", gps), ("berlin/2", gps), ("serengeti/1", near)):
        (tmp_path / "card" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), "red").save(tmp_path / f"card/{name}.jpg", exif=exif)
    summary = predict(tmp_path / "card", model=package, output=out)
    (warning,) = summary.warnings
    assert warning == (
        "berlin: 2 photos say that they were taken more than 1,000 km outside the place of "
        "testland. Is it the right package for this camera?"
    )
    print_summary(summary, out)
    assert warning in capsys.readouterr().err
    everything = out.read_bytes() + out.with_name("results.json.journal").read_bytes()
    assert b"52.5" not in everything
    assert b"13.4" not in everything
    assert json.loads(out.read_text())["images"][0]["file"] == "berlin/1.jpg"
