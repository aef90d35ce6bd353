"""Watching: photos are answered once they are fully written, and nothing stops it but you."""

import json
import threading
import time

import pytest
from watched import Watched

from homerange.errors import ConfigError, RunError, SpeciesError
from homerange.run import watch as watch_module
from homerange.run.folder import predict
from homerange.run.watch import watch


def images(path):
    return {image["file"]: image for image in json.loads(path.read_text())["images"]}


def test_photos_that_come_are_answered_as_predict_answers_them(photos, package, out, make_photo):
    watched = Watched(photos, package, out)
    watched.until(lambda: len(watched.said) == 21)
    (photos / "north/new.jpg").write_bytes(make_photo((255, 0, 0)))
    (photos / "north/bad.jpg").write_bytes(b"no photo")
    watched.until(lambda: len(watched.said) == 23)
    watched.stop()
    assert watched.count == 23
    assert any(line.startswith("north/new.jpg: ") and "%" in line for line in watched.said)
    assert any(line.startswith("north/bad.jpg: this is not an image") for line in watched.said)
    found = images(out)
    other = out.with_name("other.json")
    predict(photos, model=package, output=other)
    assert images(other) == found
    # predict goes on from the journal of the watch: only the bad photo is looked at again
    assert predict(photos, model=package, output=out).resumed == 22


def test_a_file_that_still_grows_is_left_alone_until_whole(tmp_path, package, out, make_photo):
    folder = tmp_path / "card"
    folder.mkdir()
    whole = make_photo((200, 30, 30), size=(400, 300))
    (folder / "first.jpg").write_bytes(whole)
    watched = Watched(folder, package, out, every_s=0.4)
    with (folder / "slow.jpg").open("wb") as file:
        for start in range(0, len(whole), len(whole) // 8 + 1):
            file.write(whole[start : start + len(whole) // 8 + 1])
            file.flush()
            time.sleep(0.15)
    watched.until(lambda: any("slow.jpg" in line for line in watched.said))
    watched.stop()
    assert len(watched.said) == 2
    assert images(out)["slow.jpg"]["detections"] is not None


def test_a_photo_that_is_replaced_is_answered_again(tmp_path, package, out, make_photo):
    folder = tmp_path / "card"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"not yet")
    watched = Watched(folder, package, out)
    watched.until(lambda: len(watched.said) == 1)
    (folder / "a.jpg").write_bytes(make_photo((200, 30, 30)))
    watched.until(lambda: len(watched.said) == 2)
    watched.stop()
    assert "failure" not in images(out)["a.jpg"]


def test_many_files_wait_in_turns_and_none_is_lost(photos, package, out, monkeypatch):
    monkeypatch.setattr(watch_module, "MOST_WAITING", 4)
    watched = Watched(photos, package, out)
    watched.until(lambda: len(watched.said) == 21)
    watched.stop()
    assert len(images(out)) == 21


def test_results_are_written_while_the_watch_goes_on(photos, package, out, monkeypatch):
    monkeypatch.setattr(watch_module, "WRITE_EVERY_S", 0.0)
    watched = Watched(photos, package, out)
    watched.until(lambda: out.exists() and len(images(out)) == 21)
    watched.stop()


def test_a_folder_that_vanishes_and_comes_back_is_a_warning(
    photos, package, out, tmp_path, make_photo
):
    watched = Watched(photos, package, out)
    watched.until(lambda: len(watched.said) == 21)
    photos.rename(tmp_path / "away")
    watched.until(lambda: any("no such file or folder" in line for line in watched.warned))
    (tmp_path / "away/new.jpg").write_bytes(make_photo((1, 2, 3)))
    (tmp_path / "away").rename(photos)
    watched.until(lambda: len(watched.said) == 22)
    watched.stop()
    assert len(watched.warned) == 1


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"every_s": 0}, ConfigError, "every_s is 0"),
        ({"webhook": "ftp://here"}, ConfigError, "--webhook is 'ftp://here'; expected an address"),
        (
            {"sensitive": "missing.txt"},
            SpeciesError,
            "the list of sensitive species cannot be read",
        ),
    ],
)
def test_a_watch_that_cannot_work_is_refused(photos, package, out, tmp_path, options, error, text):
    if "sensitive" in options:
        options = {"sensitive": tmp_path / options["sensitive"]}
    stop = threading.Event()
    with pytest.raises(error, match=text):
        watch(photos, model=package, output=out, stop=stop, say=print, warn=print, **options)


def test_a_file_is_no_folder_to_watch(photos, package, out):
    photo = next(photos.rglob("*.JPG"))
    with pytest.raises(RunError, match="no such folder; expected one that photos come into"):
        watch(photo, model=package, output=out, stop=threading.Event(), say=print, warn=print)
