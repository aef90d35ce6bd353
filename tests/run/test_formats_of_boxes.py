"""What the formats make of a photo whose animals, people and vehicles a detector found."""

import csv
import json
from pathlib import Path

import pytest
from camtrap_judges import judged_by_frictionless, judged_by_the_profile, standards

from homerange.run.answers import Answer
from homerange.run.looks import Box, Look
from homerange.run.results.fieldwork import Fieldwork, parse_utc_offset
from homerange.run.results.formats import write_results
from homerange.run.results.speciesnet import prediction
from homerange.run.sources import Photo
from homerange.world.place_package import read_package

LABELS = ("Panthera leo", "Canis lupaster", "Vulpes", "person", "blank")
LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.25, 0.5, 0.5)
LION = Look(Box("animal", 0.9, LEFT), sure=True, top=((0, 0.8), (1, 0.1)))
JACKAL = Look(Box("animal", 0.6, RIGHT), sure=True, top=((1, 0.7),))
RANGER = Look(Box("person", 0.95, RIGHT), sure=True)
SHADOW = Look(Box("animal", 0.05, LEFT), sure=False)
NAIROBI = Fieldwork(utc_offset=parse_utc_offset("+03:00"))
TIME = {"datetime": "2024-05-06T07:08:09"}
ANSWERS = [
    Answer("a/two.jpg", top=LION.top, looks=(LION, JACKAL, SHADOW), **TIME),
    Answer("a/ranger.jpg", looks=(RANGER,), **TIME),
    Answer("a/nobody.jpg", looks=(SHADOW,), **TIME),
]
PAIRS = [(Photo(a.file, Path("/photos") / a.file), a) for a in ANSWERS]


@pytest.fixture(scope="module")
def place(tmp_path_factory, make_package):
    folder = tmp_path_factory.mktemp("place")
    return read_package(make_package(folder / "here.homerange", labels=LABELS))


def written(format, place, folder, name="results"):
    write_results(format, folder / name, place, iter(PAIRS), NAIROBI)
    return folder / name


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_camtrap_dp_has_an_observation_for_each_box_that_is_believed(place, tmp_path):
    folder = written("camtrap-dp", place, tmp_path)
    rows = rows_of(folder / "observations.csv")
    found = [(r["mediaID"], r["observationType"], r["scientificName"], r["bboxX"]) for r in rows]
    assert found == [
        ("a/two.jpg", "animal", "Panthera leo", "0.0"),
        ("a/two.jpg", "animal", "Canis lupaster", "0.5"),
        ("a/ranger.jpg", "human", "", "0.5"),
        ("a/nobody.jpg", "blank", "", ""),
    ]
    assert [row["classificationProbability"] for row in rows] == [
        "0.8000", "0.7000", "0.9500", "0.9500",
    ]  # fmt: skip
    assert len({row["observationID"] for row in rows}) == 4
    if standards() is not None:
        assert judged_by_frictionless(folder) == []
        assert judged_by_the_profile(folder) == []


def test_speciesnet_has_a_detection_for_each_box(place):
    found = [prediction(photo, answer, place)["detections"] for photo, answer in PAIRS]
    assert [[one["label"] for one in of_photo] for of_photo in found] == [
        ["animal", "animal", "animal"], ["human"], ["animal"],
    ]  # fmt: skip
    lion, _, shadow = found[0]
    assert lion["processed_classification"]["class"] == ";;;;panthera;leo;lion"
    assert lion["bbox"] == list(LEFT)
    assert "processed_classification" not in shadow


def test_wildlife_insights_counts_what_is_believed(place, tmp_path):
    rows = rows_of(written("wildlife-insights", place, tmp_path))
    assert [(r["number_of_objects"], r["is_blank"], r["species"]) for r in rows] == [
        ("2", "0", "leo"), ("1", "0", "sapiens"), ("0", "1", ""),
    ]  # fmt: skip


def test_megadetector_keeps_boxes_as_they_were_and_csv_names_the_surest(place, tmp_path):
    results = json.loads(written("megadetector", place, tmp_path).read_text())
    boxes = results["images"][0]["detections"]
    assert [box["conf"] for box in boxes] == [0.9, 0.6, 0.05]
    assert ["classifications" in box for box in boxes] == [True, True, False]
    rows = rows_of(written("csv", place, tmp_path, name="table"))
    assert [(row["prediction"], row["confidence"]) for row in rows] == [
        ("Panthera leo", "0.8000"), ("person", "0.9500"), ("blank", "0.9500"),
    ]  # fmt: skip
