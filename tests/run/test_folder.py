"""Predict: from a source to results, past every bad photo, and on from every interruption."""

import json
import subprocess
import sys
import threading
import zlib

import pytest

from homerange.data.images import prepare
from homerange.run import pipeline
from homerange.run.folder import predict
from homerange.run.journal import Journal
from homerange.run.session import Session
from homerange.world.place_package import read_package

LABELS = ("Panthera leo", "Vulpes vulpes", "Loxodonta africana", "person", "vehicle", "blank")


def images(path):
    return {image["file"]: image for image in json.loads(path.read_text())["images"]}


def top(image):
    return image["detections"][0]["classifications"][0] if image["detections"] else None


def png_header(width, height):
    """The beginning of a PNG: all that a reader needs to know how much memory it asks for."""
    header = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 2, 0, 0, 0])
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)
        for kind, data in chunks
    )


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours may catch it."""


def kill_after(monkeypatch, batches, error=Killed):
    """Let ``batches`` batches through, then die in the middle of the next."""
    add, left = Journal.add, [batches]

    def dying(self, answers):
        if left[0] == 0:
            raise error
        left[0] -= 1
        add(self, answers)

    monkeypatch.setattr(Journal, "add", dying)


def test_every_photo_gets_the_answer_of_the_model_on_its_own(photos, package, out):
    summary = predict(photos, model=package, output=out)
    place = read_package(package)
    session = Session.open(place)
    found = images(out)
    assert list(found) == sorted(p.relative_to(photos).as_posix() for p in photos.rglob("*.JPG"))
    for name, image in found.items():
        rgb_1HW3 = prepare(photos / name, place.preprocessing)[None]
        share_C = session.probabilities(rgb_1HW3)[0]
        best = int(share_C.argmax())
        if place.labels[best] == "blank":
            assert image["detections"] == []
        else:
            index, share = top(image)
            assert int(index) == best
            assert share == pytest.approx(share_C[best], abs=1e-4)
    assert (summary.photos, summary.failures, summary.resumed) == (21, 0, 0)
    assert summary.exit_code == 0
    assert summary.photos_per_s == pytest.approx(21 / summary.seconds)
    assert sum(summary.labels.values()) == 21
    assert len(set(summary.labels)) > 2  # else the comparison above would prove little


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_an_interrupted_run_that_goes_on_gives_the_same_bytes_as_one_that_was_not(
    photos, package, out, monkeypatch, batches
):
    (photos / "north/bad.jpg").write_bytes(b"no photo")
    whole = out.with_name("whole.json")
    predict(photos, model=package, output=whole, batch_size=4)
    with monkeypatch.context() as patch:
        kill_after(patch, batches)
        with pytest.raises(Killed):
            predict(photos, model=package, output=out, batch_size=4)
    assert not out.exists()
    seen = []
    run = Session.probabilities
    monkeypatch.setattr(
        Session, "probabilities", lambda self, rgb: seen.append(len(rgb)) or run(self, rgb)
    )
    summary = predict(photos, model=package, output=out, batch_size=4)
    assert out.read_bytes() == whole.read_bytes()
    # The photo that cannot be read is the sixth batch's or earlier; failures are tried again.
    assert summary.photos == 22
    assert sum(seen) == 21 - (summary.resumed)
    assert summary.resumed in {batches * 4, batches * 4 - 1}


# Where a run is killed: a function of ours, and the call of it that it does not survive.
KILLED_AT = {
    "the listing": ("homerange.run.journal.Journal", "_forget_changed", 1),
    "the first answers": ("homerange.run.journal.Journal", "add", 1),
    "later answers": ("homerange.run.journal.Journal", "add", 4),
    "the bursts": ("homerange.run.journal.Journal", "set_bursts", 1),
    "the writing": ("homerange.run.folder", "write_results", 1),
    "the end of the file": ("os", "fsync", 1),
}


@pytest.mark.parametrize("where", KILLED_AT)
def test_a_run_that_was_killed_goes_on(photos, package, out, where):
    """A process that is really killed, not one that we ask to raise."""
    owner, name, call = KILLED_AT[where]
    code = f"""
import os, pydoc, signal
from pathlib import Path
from homerange.run.folder import predict
owner = pydoc.locate({owner!r})
function, left = getattr(owner, {name!r}), [{call}]
def last(*arguments, **options):
    result = function(*arguments, **options)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(owner, {name!r}, last)
photos, package, out = map(Path, {[str(photos), str(package), str(out)]!r})
predict(photos, model=package, output=out, batch_size=4)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == -9
    resumed = predict(photos, model=package, output=out, batch_size=4).resumed
    assert resumed == {"the listing": 0, "the first answers": 4, "later answers": 16}.get(where, 21)
    whole = out.with_name("whole.json")
    predict(photos, model=package, output=whole, batch_size=4)
    assert out.read_bytes() == whole.read_bytes()


def test_stopping_by_hand_keeps_the_answers(photos, package, out, monkeypatch):
    kill_after(monkeypatch, 2, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        predict(photos, model=package, output=out, batch_size=4)
    monkeypatch.undo()
    assert predict(photos, model=package, output=out, batch_size=4).resumed == 8


def test_a_second_run_looks_only_at_what_is_new_or_changed(photos, package, out, make_photo):
    predict(photos, model=package, output=out)
    before = images(out)
    (photos / "north/new.jpg").write_bytes(make_photo((255, 0, 0)))
    changed = photos / next(iter(before))
    changed.write_bytes(make_photo((0, 0, 255), size=(60, 60)))
    summary = predict(photos, model=package, output=out)
    assert (summary.photos, summary.resumed) == (22, 20)
    after = images(out)
    assert after["north/new.jpg"]["detections"] is not None
    name = changed.relative_to(photos).as_posix()
    assert after[name] != before[name]
    del before[name], after[name], after["north/new.jpg"]
    assert after == before


def test_bad_photos_are_failures_with_their_reason_and_the_others_are_answered(
    tmp_path, package, out, make_photo
):
    folder = tmp_path / "card"
    folder.mkdir()
    good = make_photo((200, 30, 30), size=(400, 300))
    (folder / "cmyk.jpg").write_bytes(make_photo((200, 30, 30), mode="CMYK"))
    (folder / "empty.jpg").touch()
    (folder / "folder.jpg").mkdir()
    (folder / "good.jpg").write_bytes(good)
    (folder / "huge.png").write_bytes(png_header(20_000, 11_000))
    (folder / "text.png").write_text("hello")
    (folder / "truncated.jpg").write_bytes(good[: len(good) // 2])
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    summary = predict(folder, model=package, output=out)
    found = images(out)
    assert top(found["good.jpg"]) is not None
    assert top(found["cmyk.jpg"]) is not None
    reasons = {name: image["failure"] for name, image in found.items() if "failure" in image}
    assert set(reasons) == {"empty.jpg", "huge.png", "text.png", "truncated.jpg", "gone.jpg"}
    assert reasons["empty.jpg"] == "the file is empty (0 bytes)"
    assert reasons["gone.jpg"] == "there is no such file"
    assert "more than 200 megapixels" in reasons["huge.png"]
    assert "not an image" in reasons["text.png"]
    assert "damaged" in reasons["truncated.jpg"]
    assert not any(str(tmp_path) in reason for reason in reasons.values())
    assert (summary.photos, summary.failures, summary.exit_code) == (7, 5, 3)


def test_a_row_without_a_file_is_a_failure_that_names_the_row(photos, package, out):
    (photos / "list.csv").write_text("file,species\nnorth/IMG_0001.JPG,\n,Lynx lynx\n")
    summary = predict(photos / "list.csv", model=package, output=out)
    assert images(out)["list.csv:2"]["failure"] == "row 2 of list.csv names no file"
    assert (summary.photos, summary.failures, summary.accuracy) == (2, 1, None)


def test_what_nobody_foresaw_is_a_failure_of_one_photo(photos, package, out, monkeypatch):
    def broken(path, preprocessing):
        if path.name == "IMG_0004.JPG":
            raise ZeroDivisionError
        return prepare(path, preprocessing)

    monkeypatch.setattr(pipeline, "prepare", broken)
    assert predict(photos, model=package, output=out).failures == 1
    assert images(out)["north/IMG_0004.JPG"]["failure"] == "ZeroDivisionError"


def test_all_photos_failing_still_writes_the_results(tmp_path, package, out):
    (tmp_path / "card").mkdir()
    (tmp_path / "card/a.jpg").touch()
    summary = predict(tmp_path / "card", model=package, output=out)
    assert (summary.failures, summary.exit_code, summary.accuracy) == (1, 1, None)
    assert images(out)["a.jpg"]["detections"] is None


def test_a_failure_is_tried_again_by_the_next_run(tmp_path, package, out, make_photo):
    path = tmp_path / "card/a.jpg"
    path.parent.mkdir()
    (tmp_path / "card/list.txt").write_text("a.jpg\n")
    assert predict(tmp_path / "card/list.txt", model=package, output=out).failures == 1
    path.write_bytes(make_photo((9, 9, 9)))
    assert predict(tmp_path / "card/list.txt", model=package, output=out).failures == 0


def test_the_time_that_the_camera_wrote_is_in_the_results(tmp_path, package, out, make_photo):
    from PIL import Image

    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"  # DateTimeOriginal
    (tmp_path / "card").mkdir()
    (tmp_path / "card/a.jpg").write_bytes(make_photo((200, 30, 30), exif=exif))
    (tmp_path / "card/b.jpg").write_bytes(make_photo((200, 30, 30)))
    predict(tmp_path / "card", model=package, output=out)
    assert images(out)["a.jpg"]["datetime"] == "2024-05-06T07:08:09"
    assert "datetime" not in images(out)["b.jpg"]


def test_a_table_with_the_truth_gives_accuracy_beside_chance_and_majority(
    tmp_path, package, photos, out
):
    predict(photos, model=package, output=out)
    best = {
        name: LABELS[int(top(image)[0])] if top(image) else "blank"
        for name, image in images(out).items()
    }
    # 12 right answers in any spelling, 4 wrong, one species off the list, 4 unknown.
    names = sorted(best)
    truth = [best[name].upper().replace(" ", "_") for name in names[:12]]
    truth += ["Panthera leo" if best[n] != "Panthera leo" else "blank" for n in names[12:16]]
    truth += ["Lynx lynx", "unknown", "", "?", "unknown"]
    rows = "\n".join(f"{n},{t}" for n, t in zip(names, truth, strict=True))
    (photos / "list.csv").write_text(f"file,species\n{rows}\n")
    summary = predict(photos / "list.csv", model=package, output=out.with_name("b.json"))
    known = [t.replace("_", " ").capitalize() for t in truth[:17]]
    got = summary.accuracy
    assert (got.photos, got.right, got.top1) == (17, 12, 12 / 17)
    assert got.chance == 1 / 6
    assert got.majority == max(map(known.count, known)) / 17
    # Wilson: p = 12/17, z = 1.96; centre (p + z^2/34) / (1 + z^2/17) = 0.66798,
    # half width z * sqrt(p(1-p)/17 + z^2/1156) / (1 + z^2/17) = 0.19924
    assert (got.low, got.high) == pytest.approx((0.46874, 0.86722), abs=1e-4)


def test_a_repeated_photo_counts_once(photos, package, out):
    names = [p.relative_to(photos).as_posix() for p in photos.rglob("*.JPG")][:3]
    (photos / "list.txt").write_text("\n".join(names + names[:2]))
    summary = predict(photos / "list.txt", model=package, output=out)
    assert (summary.photos, summary.repeated) == (3, 2)
    assert len(json.loads(out.read_text())["images"]) == 3


def test_csv_goes_by_the_suffix_or_the_format(photos, package, out):
    predict(photos, model=package, output=out.with_suffix(".csv"))
    predict(photos, model=package, output=out.with_suffix(".txt"), format="csv")
    text = out.with_suffix(".csv").read_text()
    assert text.startswith("file,datetime,prediction,")
    assert text == out.with_suffix(".txt").read_text()


def test_a_contact_sheet_is_drawn_and_is_not_a_photo_of_the_next_run(photos, package):
    sheet, out = photos / "sheet.png", photos / "results.json"
    for resumed in (0, 21):
        summary = predict(photos, model=package, output=out, contact_sheet=sheet)
        assert sheet.exists()
        assert (summary.photos, summary.resumed) == (21, resumed)


def test_the_model_works_on_few_photos_at_once_and_decoding_stays_near(
    photos, package, out, monkeypatch
):
    """Memory is flat: with batches of one, decoding is never far ahead of the answers."""
    lock, decoded, answered, ahead = threading.Lock(), [0], [0], []
    add = Journal.add

    def counted(path, preprocessing):
        with lock:
            decoded[0] += 1
            ahead.append(decoded[0] - answered[0])
        return prepare(path, preprocessing)

    def slow(self, answers):
        answered[0] += len(answers)
        add(self, answers)

    monkeypatch.setattr(pipeline, "prepare", counted)
    monkeypatch.setattr(Journal, "add", slow)
    predict(photos, model=package, output=out, batch_size=1, workers=2)
    assert decoded == [21]
    assert max(ahead) <= 6  # 4 batches ahead, the one at work and the one just asked for


def test_the_runner_needs_the_base_install_only():
    code = (
        "import sys, homerange.run.folder\n"
        "heavy = {'torch', 'pyarrow', 'duckdb', 'onnx', 'safetensors', 'pandas', 'scipy', 'timm'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_the_number_of_workers_does_not_change_the_results(request_, out):
    predict(**request_, workers=1)
    predict(**request_ | {"output": out.with_name("b.json")}, workers=4)
    assert out.read_bytes() == out.with_name("b.json").read_bytes()
