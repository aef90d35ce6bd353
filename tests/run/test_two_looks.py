"""Two looks: a detector says where an animal is, the model of the place says which."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from homerange.data.images import prepare
from homerange.errors import ConfigError, RunError
from homerange.run.contact_sheet import is_contact_sheet
from homerange.run.detections import CHUNK_CHARACTERS, Detections
from homerange.run.detector import Detector, letterbox, suppress
from homerange.run.folder import predict
from homerange.run.session import Session
from homerange.run.sources import Photo
from homerange.world.place_package import read_package

CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}
LEFT_HALF = [0.0, 0.0, 0.5, 1.0]
RIGHT_HALF = [0.5, 0.0, 0.5, 1.0]
REAL_DETECTOR = os.environ.get("HOMERANGE_DETECTOR", "")


def box(category="1", conf=0.9, bbox=LEFT_HALF):
    return {"category": category, "conf": conf, "bbox": bbox}


def boxes_file(path, boxes_of, *, categories=CATEGORIES, order=("images", "categories", "info")):
    """Write results as MegaDetector does: photos first. A text stands for a failure."""
    images = [
        {"file": file, "failure": boxes, "detections": None}
        if isinstance(boxes, str)
        else {"file": file, "detections": boxes}
        for file, boxes in boxes_of.items()
    ]
    parts = {
        "images": ("images", images),
        "categories": ("detection_categories", categories),
        "info": ("info", {"detector": "md_v5a.0.0.pt", "format_version": "1.6"}),
    }
    path.write_text(json.dumps(dict(parts[name] for name in order), indent=1))
    return path


def two_colours(path, left, right, *, size=(80, 40)):
    picture = Image.new("RGB", size, right)
    picture.paste(left, (0, 0, size[0] // 2, size[1]))
    picture.save(path)


@pytest.fixture
def card(tmp_path):
    """Photos whose left half has another colour than the right half."""
    folder = tmp_path / "card"
    folder.mkdir()
    for i in range(8):
        two_colours(folder / f"{i}.png", (250, 10 * i, 20), (10, 40, 255 - 20 * i))
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "results.json"


def images(out):
    return {image["file"]: image for image in json.loads(out.read_text())["images"]}


def answer_to(package, path, bbox):
    """What the model says of a part of a photo."""
    place = read_package(package)
    (share_C,) = Session.open(place).probabilities(
        prepare(path, place.preprocessing, bbox=tuple(bbox))[None]
    )
    return share_C


def test_each_animal_is_looked_at_in_its_own_box(card, package, out, tmp_path):
    both = [box(conf=0.5), box(bbox=RIGHT_HALF)]
    md = boxes_file(tmp_path / "md.json", {f"{i}.png": both for i in range(8)})
    summary = predict(card, model=package, output=out, detections=md, batch_size=3)
    differ = 0
    for name, image in images(out).items():
        surest, other = image["detections"]
        assert (surest["bbox"], surest["conf"]) == (RIGHT_HALF, 0.9)
        assert (other["bbox"], other["conf"]) == (LEFT_HALF, 0.5)
        for one in (surest, other):
            share_C = answer_to(package, card / name, one["bbox"])
            index, share = one["classifications"][0]
            assert int(index) == share_C.argmax()
            assert share == pytest.approx(share_C.max(), abs=1e-4)
        differ += surest["classifications"][0] != other["classifications"][0]
    assert differ == 8
    # The photo is named after the animal that was seen most surely.
    first = images(out)["0.png"]["detections"][0]["classifications"][0][0]
    first = read_package(package).labels[int(first)]
    assert first in summary.labels
    assert sum(summary.labels.values()) == 8


def test_empties_people_vehicles_and_doubtful_boxes_pass_through_without_a_second_look(
    card, package, out, tmp_path, monkeypatch
):
    seen = {
        "0.png": [],
        "1.png": [box("2", 0.8)],
        "2.png": [box("3", 0.7, RIGHT_HALF)],
        "3.png": [box("1", 0.19)],
        "4.png": [box("1", 0.1), box("2", 0.6), box("3", 0.9)],
    }
    for i in (5, 6, 7):
        (card / f"{i}.png").unlink()
    looked = []
    monkeypatch.setattr(Session, "probabilities", lambda self, rgb: looked.append(rgb))
    md = boxes_file(tmp_path / "md.json", seen)
    summary = predict(card, model=package, output=out, detections=md)
    assert looked == []
    found = {name: image["detections"] for name, image in images(out).items()}
    assert found == {n: sorted(boxes, key=lambda b: -b["conf"]) for n, boxes in seen.items()}
    assert summary.labels == {"blank": 2, "person": 2, "vehicle": 1}
    assert summary.exit_code == 0


def test_a_table_says_what_the_detector_says_where_nobody_looked_twice(
    card, package, out, tmp_path
):
    boxes_of = {f"{i}.png": [] for i in range(8)} | {"3.png": [box("2", 0.8)]}
    boxes_of["4.png"] = [box("1", 0.1)]
    md = boxes_file(tmp_path / "md.json", boxes_of)
    table = out.with_suffix(".csv")
    predict(card, model=package, output=table, detections=md)
    rows = table.read_text().splitlines()
    assert rows[4].startswith("3.png,,person,,0.8000,")
    assert rows[5].startswith("4.png,,blank,,0.9000,")
    assert rows[6].startswith("5.png,,blank,,1.0000,")


def test_photos_that_the_detector_missed_or_failed_on_are_failures_with_the_reason(
    card, package, out, tmp_path
):
    boxes_of = {f"{i}.png": [box()] for i in range(5)}
    boxes_of |= {"5.png": "Failure image access", "6.png": [box(bbox=[0.9, 0, 0.5, 1])]}
    md = boxes_file(tmp_path / "md.json", boxes_of)
    summary = predict(card, model=package, output=out, detections=md)
    reasons = {n: i["failure"] for n, i in images(out).items() if "failure" in i}
    assert reasons["5.png"] == "the detector failed: Failure image access"
    assert reasons["6.png"].startswith("md.json has a box that is none")
    assert reasons["7.png"] == "md.json does not name this photo"
    assert (summary.failures, summary.exit_code) == (3, 3)
    assert all(image["detections"] is None for n, image in images(out).items() if n in reasons)


def test_results_of_another_folder_are_refused_before_anything_runs(card, package, out, tmp_path):
    md = boxes_file(tmp_path / "md.json", {"card/0.png": [], "card/1.png": []})
    with pytest.raises(RunError, match=r"names none of these photos.*'\d\.png'.*'card/0\.png'"):
        predict(card, model=package, output=out, detections=md)
    assert not list(tmp_path.glob("*.journal"))


def test_names_with_backslashes_are_those_of_the_same_photos(tmp_path, package, out, make_photo):
    (tmp_path / "card/a").mkdir(parents=True)
    (tmp_path / "card/a/b.jpg").write_bytes(make_photo((1, 2, 3)))
    md = boxes_file(tmp_path / "md.json", {"a\\b.jpg": []})
    assert predict(tmp_path / "card", model=package, output=out, detections=md).failures == 0


def test_a_journal_goes_on_with_the_same_first_look_only(card, package, out, tmp_path):
    md = boxes_file(tmp_path / "md.json", {f"{i}.png": [box()] for i in range(8)})
    predict(card, model=package, output=out, detections=md)
    before = out.read_bytes()
    assert predict(card, model=package, output=out, detections=md).resumed == 8
    assert out.read_bytes() == before
    with pytest.raises(
        RunError, match=r"belongs to a run with md_v5a.*and this is one with no det"
    ):
        predict(card, model=package, output=out)
    with pytest.raises(RunError, match=r"from 0\.2, and this is one with md_v5a.* from 0\.5"):
        predict(card, model=package, output=out, detections=md, box_threshold=0.5)


def test_a_photo_with_a_person_beside_an_animal_is_not_on_the_contact_sheet(
    tmp_path, package, out, make_photo, monkeypatch
):
    from homerange.run import folder, sheet_entries

    (tmp_path / "card").mkdir()
    for name in ("alone", "together"):
        (tmp_path / f"card/{name}.jpg").write_bytes(make_photo((200, 30, 30)))
    drawn = []
    choose = sheet_entries.choose_entries
    monkeypatch.setattr(folder, "choose_entries", lambda *a: drawn.extend(choose(*a)) or drawn)
    md = boxes_file(
        tmp_path / "md.json", {"alone.jpg": [box()], "together.jpg": [box(), box("2", 0.3)]}
    )
    sheet = tmp_path / "sheet.png"
    predict(tmp_path / "card", model=package, output=out, detections=md, contact_sheet=sheet)
    assert [entry.path.name for entry in drawn] == ["alone.jpg"]
    assert is_contact_sheet(sheet)


@pytest.mark.parametrize(
    "order", [("images", "categories", "info"), ("info", "categories", "images")]
)
def test_a_long_file_of_boxes_is_read_piece_by_piece(tmp_path, order):
    boxes_of = {f"folder/{i}.jpg": [box(conf=round(i / 5000, 4))] for i in range(5000)}
    md = boxes_file(tmp_path / "md.json", boxes_of, order=order)
    assert md.stat().st_size > 5 * CHUNK_CHARACTERS
    found = Detections.open(md)
    assert all(file in found for file in boxes_of)
    assert "folder/5000.jpg" not in found
    (one,) = found.find(Photo("folder/4321.jpg", Path("x")))
    assert (one.category, one.confidence, one.bbox) == ("animal", 0.8642, tuple(LEFT_HALF))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected '{', found 'the end'"),
        ("[1]", "expected '{', found '\\['"),
        ('{"images": [{"file": "a.jpg"', "does not end"),
        ('{"images": [{"detections": []}]}', "an image without a file"),
        ('{"images": [{"file": "a", "x": NaN}]}', "NaN is no JSON number"),
        ('{"images": []}', "lacks 'info' or 'detection_categories'"),
        ('{"info": {"format_version": "2.0"}, "detection_categories": {}}', "format version 2.0"),
        ('{"info": {}, "detection_categories": {"1": "bird"}}', "has the category 'bird'"),
    ],
)
def test_what_is_no_file_of_boxes_is_refused_with_what_is_wrong(tmp_path, text, message):
    (tmp_path / "md.json").write_text(text)
    with pytest.raises(RunError, match=message):
        Detections.open(tmp_path / "md.json")


def test_a_missing_file_of_boxes_a_wrong_threshold_and_two_first_looks_are_refused(
    card, package, out, tmp_path
):
    with pytest.raises(RunError, match="cannot be read"):
        predict(card, model=package, output=out, detections=tmp_path / "none.json")
    with pytest.raises(ConfigError, match="box_threshold is 20"):
        predict(card, model=package, output=out, box_threshold=20)
    with pytest.raises(ConfigError, match="expected one of the two"):
        predict(card, model=package, output=out, detections=out, detector=out)


# A detector that runs now.


def write_detector(path, boxes_A5, *, side_px=64, columns=5):
    """A detector that gives the same boxes for every photo."""
    shape = ["batch", side_px, side_px, 3]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "all"], ["mean"], keepdims=1),
            helper.make_node("Squeeze", ["mean", "one"], ["flat"]),
            helper.make_node("Mul", ["flat", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "given"], ["boxes"]),
        ],
        "detector",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["batch", None, columns])],
        [
            numpy_helper.from_array(np.array([1, 2, 3], np.int64), "all"),
            numpy_helper.from_array(np.array([3], np.int64), "one"),
            numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
            numpy_helper.from_array(np.array(boxes_A5, np.float32)[None], "given"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_detector_of_ones_own_finds_the_boxes_and_its_name_is_in_the_results(
    card, package, out, tmp_path
):
    # 80 x 40 photos lie in the square of 64 px as 64 x 32: its left half is 0 to 32, 0 to 32.
    detector = write_detector(
        tmp_path / "finder.onnx", [[0, 0, 32, 32, 0.9], [1, 0, 32, 32, 0.8], [0, 0, 64, 32, 0.01]]
    )
    predict(card, model=package, output=out, detector=detector)
    for name, image in images(out).items():
        (only,) = image["detections"]
        assert (only["bbox"], only["conf"]) == (LEFT_HALF, 0.9)
        share_C = answer_to(package, card / name, LEFT_HALF)
        assert int(only["classifications"][0][0]) == share_C.argmax()
    head = json.loads(out.read_text())["info"]
    assert head["detector"].startswith("finder.onnx ")
    assert head["detector"].endswith(" from 0.2")


def test_a_photo_that_cannot_be_read_fails_alone_with_a_detector_too(card, package, out, tmp_path):
    (card / "0.png").write_text("hello")
    detector = write_detector(tmp_path / "finder.onnx", [[0, 0, 32, 32, 0.9]])
    assert predict(card, model=package, output=out, detector=detector).failures == 1
    assert "not an image" in images(out)["0.png"]["failure"]


def test_what_is_no_detector_is_refused_with_what_it_takes_and_gives(tmp_path, make_model):
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(RunError, match="is no model that onnxruntime can load"):
        Detector.open(tmp_path / "text.onnx")
    with pytest.raises(RunError, match="cannot be read"):
        Detector.open(tmp_path / "none.onnx")
    (tmp_path / "classes.onnx").write_bytes(make_model())
    with pytest.raises(RunError, match=r"expected a detector from uint8"):
        Detector.open(tmp_path / "classes.onnx")


def test_boxes_of_one_animal_become_one_and_neighbours_stay():
    boxes_A5 = np.array(
        [
            [0, 0, 10, 10, 0.5],
            [1, 0, 11, 10, 0.9],  # shares 90 of 110 with the first: the same animal, surer
            [6, 0, 16, 10, 0.6],  # shares 50 of 150 with the second: another
            [0, 0, 10, 10, 0.04],  # noise
            [np.nan, 0, 10, 10, 0.8],
        ],
        np.float32,
    )
    np.testing.assert_array_equal(suppress(boxes_A5), boxes_A5[[1, 2]])
    assert suppress(np.zeros((0, 5), np.float32)).shape == (0, 5)


def test_boxes_come_back_from_the_square_to_the_photo(tmp_path):
    # A tall photo of 40 x 80 px: the square of 64 px holds it as 32 x 64.
    Image.new("RGB", (40, 80)).save(tmp_path / "tall.png")
    file = write_detector(tmp_path / "d.onnx", [[8, 16, 40, 48, 0.9], [40, 0, 50, 9, 0.8]])
    (one,) = Detector.open(file).find(Photo("tall.png", tmp_path / "tall.png"))
    assert one.bbox == (0.25, 0.25, 0.75, 0.5)  # cut at the right edge; the other lies outside
    square_HW3, scale = letterbox(np.zeros((80, 40, 3), np.uint8), 64)
    assert scale == 0.8
    assert (square_HW3[:, :32] == 0).all()
    assert (square_HW3[:, 32:] == 114).all()


@pytest.mark.skipif(not REAL_DETECTOR, reason="HOMERANGE_DETECTOR names no exported detector")
def test_the_real_detector_finds_nothing_on_a_grey_wall(tmp_path):
    found = Detector.open(Path(REAL_DETECTOR))
    grey = tmp_path / "grey.png"
    Image.new("RGB", (640, 400), (90, 90, 90)).save(grey)
    assert not [box for box in found.find(Photo("grey", grey)) if box.confidence > 0.2]


def test_two_looks_work_without_torch(card, package, out, tmp_path):
    detector = write_detector(tmp_path / "finder.onnx", [[0, 0, 32, 32, 0.9]])
    code = f"""
import sys
from pathlib import Path
from homerange.run.folder import predict
card, package, out, detector = map(Path, {[str(p) for p in (card, package, out, detector)]!r})
predict(card, model=package, output=out, detector=detector)
sys.exit(any(name in sys.modules for name in ("torch", "onnx", "pyarrow")))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
