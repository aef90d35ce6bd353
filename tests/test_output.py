"""Files that are written: what is in the way is said before the work, and no half file stays."""

import os

import pytest

from homerange.errors import ManifestError
from homerange.output import atomic_file, obstacle, writing


def test_a_new_file_an_old_file_and_folders_to_be_made_are_no_obstacle(tmp_path):
    (tmp_path / "old.csv").write_text("old")
    for name in ("new.csv", "old.csv", "two/folders/new.csv"):
        assert obstacle(tmp_path / name, inputs=[tmp_path / "other.csv"]) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.csv"]  # looking makes nothing


def test_a_folder_cannot_be_written_as_a_file(tmp_path):
    assert obstacle(tmp_path) == "is a folder; expected the name of a file to write"


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "t.csv").write_text("x")
    assert obstacle(tmp_path / "t.csv" / "a" / "m.parquet") == (
        f"{tmp_path / 't.csv'} is a file, not a folder. Choose another output"
    )


def test_a_folder_that_is_not_ours_to_write_is_an_obstacle(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)
    found = obstacle(tmp_path / "not yet" / "m.parquet")
    assert found == f"the folder {tmp_path} cannot be written to. Choose another output"


@pytest.mark.parametrize("link", ["itself", "symlink_to", "hardlink_to"])
def test_an_input_is_never_the_output_under_any_name(tmp_path, link):
    table, output = tmp_path / "t.csv", tmp_path / "o.csv"
    table.write_text("x")
    if link == "itself":
        output = tmp_path / "." / "t.csv"
    else:
        getattr(output, link)(table)
    found = obstacle(output, inputs=[tmp_path / "absent.json", table])
    assert found == f"is read too ({table}), and would be lost. Choose another output"


def test_a_write_that_fails_is_an_error_of_ours_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "m.parquet"
    path.write_text("old")

    def write_half():
        with writing(path, ManifestError), atomic_file(path) as file:
            file.write(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(ManifestError, match=r"m\.parquet: cannot be written \(No space left"):
        write_half()
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["m.parquet"]
