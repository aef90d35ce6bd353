"""Predict refuses what cannot work before any work, and overwrites nothing of yours."""

import json
import os
import shutil

import pytest

from homerange.errors import ConfigError, PackageError, RunError
from homerange.run.folder import predict
from homerange.run.results import formats


def images(path):
    return {image["file"]: image for image in json.loads(path.read_text())["images"]}


def refusal(error=RunError, **arguments):
    with pytest.raises(error) as caught:
        predict(**arguments)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["", ".xml"])
def test_a_name_that_tells_no_format_is_refused(request_, suffix):
    path = request_["output"].with_suffix(suffix)
    message = refusal(**request_ | {"output": path})
    assert message.startswith(f"{path}: its name does not tell the format; expected .json")


def test_an_empty_folder_is_refused_and_leaves_nothing(request_, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").touch()
    message = refusal(**request_ | {"source": tmp_path / "empty"})
    assert message.startswith(f"{tmp_path / 'empty'}: holds no photos; expected files that end in")
    assert list(request_["output"].parent.iterdir()) == []


def test_a_missing_source_is_refused(request_, tmp_path):
    message = refusal(**request_ | {"source": tmp_path / "none"})
    assert message == f"{tmp_path / 'none'}: no such file or folder; expected photos to run on"


def test_a_missing_folder_for_the_results_is_refused_before_any_work(request_, tmp_path):
    path = tmp_path / "missing/results.json"
    message = refusal(**request_ | {"output": path, "model": tmp_path / "no-model"})
    assert message.startswith(f"{path}: there is no folder {tmp_path / 'missing'}. Make it, or")


def test_a_folder_in_the_place_of_the_results_is_refused(request_):
    request_["output"].mkdir()
    assert "is a folder; expected the name of a file to write" in refusal(**request_)


def test_a_folder_that_cannot_be_written_to_is_refused(request_, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "cannot be written to. Choose another output" in refusal(**request_)


def test_results_that_may_be_something_else_are_not_overwritten(request_):
    request_["output"].write_text("my diary")
    message = refusal(**request_)
    assert "exists, and results.json.journal is not beside it, so it may be something" in message
    assert "overwrite it with --fresh" in message
    assert request_["output"].read_text() == "my diary"
    predict(**request_, fresh=True)
    assert len(images(request_["output"])) == 21


@pytest.mark.parametrize(("name", "file"), [("source", "list.csv"), ("model", "testland.json")])
def test_the_source_and_the_model_are_not_overwritten(request_, tmp_path, name, file):
    path = tmp_path / file
    path.write_text("file\na.jpg\n")
    request_ |= {name: path, "output": tmp_path / "out" / ".." / file, "fresh": True}
    assert f"is the {name} itself. Choose another output" in refusal(**request_)
    assert path.read_text() == "file\na.jpg\n"


def test_a_sheet_that_is_no_png_is_refused(request_, tmp_path):
    message = refusal(**request_, contact_sheet=tmp_path / "sheet.jpg")
    assert "a contact sheet is a PNG; expected a name that ends in .png" in message


def test_a_photo_is_not_overwritten_by_a_sheet(request_, photos, make_photo):
    path = photos / "lion.png"
    path.write_bytes(make_photo((1, 2, 3), format="PNG"))
    message = refusal(**request_, contact_sheet=path, fresh=True)
    assert "exists and is no contact sheet of homerange, so it is left alone" in message


@pytest.mark.parametrize("name", ["batch_size", "workers"])
def test_impossible_numbers_are_refused(request_, name):
    message = refusal(ConfigError, **request_, **{name: 0})
    assert message == f"{name} is 0; expected at least 1"


def test_another_package_is_refused_and_fresh_begins_anew(request_, tmp_path, make_package):
    predict(**request_)
    other = make_package(tmp_path / "other.homerange", name="elsewhere")
    message = refusal(**request_ | {"model": other})
    assert "belongs to a run of the package testland (" in message
    assert "and this is elsewhere (" in message
    summary = predict(**request_ | {"model": other}, fresh=True)
    assert summary.resumed == 0
    info = json.loads(request_["output"].read_text())["info"]
    assert info["classifier"].startswith("elsewhere ")


def test_another_source_is_refused(request_, tmp_path, photos):
    predict(**request_)
    shutil.copytree(photos, tmp_path / "copy")
    assert "belongs to a run over " in refusal(**request_ | {"source": tmp_path / "copy"})


def test_a_broken_package_is_refused_before_a_journal_is_made(request_, package):
    package.write_bytes(package.read_bytes()[:-9])
    assert "expected an undamaged zip file" in refusal(PackageError, **request_)
    assert list(request_["output"].parent.iterdir()) == []


def test_a_full_disk_at_the_end_keeps_every_answer_and_the_last_results(request_, monkeypatch):
    def full(file, *_, **__):
        file.write(b"{")
        raise OSError(28, "No space left on device")

    predict(**request_)
    before = request_["output"].read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(formats, "write_megadetector", full)
        message = refusal(**request_)
    assert "results.json: cannot be written (No space left on device). Every answer" in message
    assert request_["output"].read_bytes() == before
    left = {path.name for path in request_["output"].parent.iterdir()}
    assert left == {"results.json", "results.json.journal"}
    assert predict(**request_).resumed == 21
