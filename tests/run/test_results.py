"""Result files: the judge of the format accepts them, and our own checks of boxes and order."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from homerange import __version__
from homerange.run.answers import Answer
from homerange.run.ranking import ranked
from homerange.run.results.megadetector import image_entry, write_megadetector
from homerange.run.results.table import COLUMNS, write_table
from homerange.run.sources import Photo
from homerange.world.place_package import read_package

LABELS = ("Panthera leo", "Vulpes vulpes", "Loxodonta africana", "person", "vehicle", "blank")


@pytest.fixture(scope="module")
def place(tmp_path_factory, make_package):
    return read_package(make_package(tmp_path_factory.mktemp("place") / "testland.homerange"))


@pytest.fixture(scope="module")
def place_without_blank(tmp_path_factory, make_package):
    path = tmp_path_factory.mktemp("place") / "noblank.homerange"
    return read_package(make_package(path, labels=("Lynx lynx", "Martes sp.", "Canis")))


def answered(name, share_C, labels=LABELS, **facts):
    return Answer(name, (1, 2), **facts), np.array(share_C, np.float32), labels


def pairs(*answers):
    return [(Photo(a.file, Path("/photos") / a.file), a) for a in answers]


def megadetector(place, *answers):
    file = io.BytesIO()
    write_megadetector(file, place, pairs(*answers))
    return json.loads(file.getvalue().decode())


def table(place, *answers):
    file = io.BytesIO()
    write_table(file, place, pairs(*answers))
    return list(csv.DictReader(io.StringIO(file.getvalue().decode())))


def judge(results):
    """Ask the format's own validator, which does not look at boxes and order."""
    from megadetector.postprocessing.validate_batch_results import validate_batch_results

    verdict = validate_batch_results(results)["validation_results"]
    assert verdict["errors"] == []
    assert verdict["warnings"] == []


def check_boxes_and_order(results):
    for image in results["images"]:
        for box in image["detections"] or []:
            left, top, width, height = box["bbox"]
            assert left >= 0
            assert top >= 0
            assert 0 < left + width <= 1
            assert 0 < top + height <= 1
            assert 0 <= box["conf"] <= 1
            shares = [share for _, share in box["classifications"]]
            assert 1 <= len(shares) <= 5
            assert shares == sorted(shares, reverse=True)
            assert all(0 <= share <= 1 for share in shares)
            assert len({index for index, _ in box["classifications"]}) == len(shares)


LION = ranked(*answered("a/lion.jpg", [0.7, 0.1, 0.0005, 0.0001, 0.0, 0.1994]))
BLANK = ranked(*answered("é.jpg", [0.1, 0.1, 0.1, 0.0, 0.0, 0.7], datetime="2024-05-06T07:08:09"))
BROKEN = Answer("b.jpg", failure="the file is empty (0 bytes)")


def test_a_file_worked_out_by_hand(place):
    results = megadetector(place, LION, BLANK, BROKEN)
    judge(results)
    assert results["info"]["format_version"] == "1.6"
    assert results["info"]["detector"] == "none"
    assert results["info"]["classifier"] == f"testland homerange {__version__}"
    facts = results["info"]["classifier_metadata"]
    assert facts["package_sha256"] == place.sha256
    assert facts["place"]["radius_km"] == 100.0
    assert facts["preprocessing"]["input_px"] == 16
    assert results["detection_categories"] == {"1": "animal", "2": "person", "3": "vehicle"}
    assert results["classification_categories"] == {str(i): name for i, name in enumerate(LABELS)}
    assert results["images"] == [
        {
            "file": "a/lion.jpg",
            "detections": [
                {
                    "category": "1",
                    "conf": 0.8006,  # 1 - 0.1994
                    "bbox": [0.0, 0.0, 1.0, 1.0],
                    # 0.0005 and 0.0001 are below 0.001
                    "classifications": [["0", 0.7], ["5", 0.1994], ["1", 0.1]],
                }
            ],
        },
        {"file": "é.jpg", "datetime": "2024-05-06T07:08:09", "detections": []},
        {"file": "b.jpg", "failure": "the file is empty (0 bytes)", "detections": None},
    ]


def test_descriptions_have_seven_parts(place, place_without_blank):
    found = megadetector(place)["classification_category_descriptions"]
    assert found["0"] == ";;;;panthera;leo;lion"
    assert found["5"] == ";;;;;;blank"
    found |= megadetector(place_without_blank)["classification_category_descriptions"]
    assert found["1"] == ";;;;martes;sp.;"
    assert found["2"] == ";;;;canis;;"
    assert all(text.count(";") == 6 for text in found.values())


@pytest.mark.parametrize(("index", "category"), [(0, "1"), (3, "2"), (4, "3")])
def test_people_and_vehicles_have_categories_of_their_own(place, index, category):
    answer = ranked(*answered("a.jpg", np.eye(6)[index] * 0.9 + np.eye(6)[5] * 0.1))
    (box,) = image_entry("a.jpg", answer, place)["detections"]
    assert box["category"] == category
    assert box["conf"] == 0.9


def test_a_model_without_blank_is_sure_of_its_box(place_without_blank):
    answer = ranked(*answered("a.jpg", [0.3, 0.4, 0.3], place_without_blank.labels))
    (box,) = image_entry("a.jpg", answer, place_without_blank)["detections"]
    assert box["conf"] == 1.0
    assert isinstance(box["conf"], float)


def test_the_best_answer_is_kept_however_small_its_probability(place):
    answer = Answer("a.jpg", top=((2, 0.0005), (0, 0.0004)), blank=0.0001)
    (box,) = image_entry("a.jpg", answer, place)["detections"]
    assert box["classifications"] == [["2", 0.0005]]


def test_a_file_without_photos_is_valid(place):
    results = megadetector(place)
    judge(results)
    assert results["images"] == []


shares = arrays(np.float64, 6, elements=st.floats(0, 1)).filter(lambda v: v.sum() > 0)
answers = st.one_of(
    shares.map(lambda v: ranked(*answered("a.jpg", v / v.sum()))),
    st.text(st.characters(codec="utf-8")).map(lambda why: Answer("a.jpg", failure=why)),
)


@given(answers=st.lists(answers, max_size=5))
def test_any_answers_make_a_valid_file_and_table(place, answers):
    results = megadetector(place, *answers)
    judge(results)
    check_boxes_and_order(results)
    assert len(results["images"]) == len(answers)
    for answer, image in zip(answers, results["images"], strict=True):
        best = None if answer.failure is not None else LABELS[answer.top[0][0]]
        assert (image["detections"] == []) == (best == "blank")
        assert (image["detections"] is None) == (best is None)
        assert image.get("failure") == answer.failure
    rows = table(place, *answers)
    assert [row["prediction"] for row in rows] == [
        "" if answer.failure is not None else LABELS[answer.top[0][0]] for answer in answers
    ]


@given(shares)
def test_ranked_keeps_the_five_best_in_order_as_a_slow_sort_does(values):
    share_C = (values / values.sum()).astype(np.float32)
    slow = sorted(range(6), key=lambda i: (-share_C[i], i))[:5]
    got = ranked(Answer("a.jpg"), share_C, LABELS)
    assert [index for index, _ in got.top] == slow
    np.testing.assert_allclose([p for _, p in got.top], share_C[slow], atol=1e-6)
    assert got.blank == pytest.approx(share_C[5], abs=1e-6)


def test_an_answer_that_is_no_number_is_a_failure():
    got = ranked(*answered("a.jpg", [np.nan] * 6))
    assert got == Answer("a.jpg", (1, 2), failure="the model gave no finite answer")


def test_a_table_worked_out_by_hand(place):
    rows = table(place, LION, BLANK, BROKEN)
    assert list(rows[0]) == list(COLUMNS)
    assert list(rows[0].values())[:10] == [
        *("a/lion.jpg", "", "Panthera leo", "lion", "0.7000"),
        *("blank", "0.1994", "Vulpes vulpes", "0.1000", ""),
    ]
    assert list(rows[1].values())[:5] == ["é.jpg", "2024-05-06T07:08:09", "blank", "", "0.7000"]
    assert list(rows[2].values())[:10] == ["b.jpg", *[""] * 8, "the file is empty (0 bytes)"]
    files = place.place["files"]
    assert [list(row.values())[10:] for row in rows] == [
        [
            *("", "", "", ""),
            f"testland homerange {__version__}",
            place.sha256,
            files["model.onnx"]["sha256"],
            files["labels.txt"]["sha256"],
            "within 100 km of -2.3300, 34.8300",
        ]
    ] * 3


def test_a_table_of_a_model_with_two_labels_has_no_third(tmp_path, make_package):
    labels = ("Lynx lynx", "blank")
    two = read_package(make_package(tmp_path / "two.homerange", labels=labels))
    (row,) = table(two, ranked(*answered("a.jpg", [0.25, 0.75], labels)))
    assert (row["second"], row["third"], row["third_confidence"]) == ("Lynx lynx", "", "")


@pytest.mark.parametrize("write", [write_megadetector, write_table])
def test_answers_are_taken_and_written_one_by_one(place, write):
    file = io.BytesIO()
    written_before = []

    def stream():
        for i in range(2000):
            written_before.append(file.tell())
            yield Photo(f"{i}.jpg", Path(f"/{i}.jpg")), LION

    write(file, place, stream())
    assert written_before[-1] > file.tell() / 2
