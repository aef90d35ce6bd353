"""Sources: which photos are found, under which name, in which order."""

import itertools
import json
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homerange.errors import RunError
from homerange.run import instances, sources
from homerange.run.sources import Photo, find_photos, source_root


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def files(source):
    """Their names, sorted where the disk decides the order."""
    found = [photo.file for photo in find_photos(source)]
    return sorted(found) if source.is_dir() else found


def test_a_folder_gives_its_photos_and_those_of_its_subfolders(tmp_path):
    make(
        tmp_path,
        "b/2.JPG",
        "b/deep/er/1.jpeg",
        "a.png",
        "c.TIFF",
        "d.tif",
        "e.webp",
        "f.Bmp",
        "g.MP4",
    )
    make(tmp_path, "notes.txt", "results.json", "jpg", "g.jpg.part")
    assert files(tmp_path) == [
        "a.png",
        "b/2.JPG",
        "b/deep/er/1.jpeg",
        "c.TIFF",
        "d.tif",
        "e.webp",
        "f.Bmp",
        "g.MP4",
    ]
    assert all(photo.path == tmp_path / photo.file for photo in find_photos(tmp_path))


def test_hidden_files_and_the_thumbnails_of_network_drives_are_skipped(tmp_path):
    make(tmp_path, ".a.jpg", "._b.jpg", ".trash/c.jpg", "x/@eaDir/d.jpg/SYNOPHOTO.jpg")
    make(tmp_path, "__MACOSX/x/e.jpg", "x/f.jpg")
    assert files(tmp_path) == ["x/f.jpg"]


names = st.text("aA0-./~ é", min_size=1, max_size=3).filter(lambda n: n[0] != "." and "/" not in n)


@given(st.sets(st.tuples(names, names)))
def test_every_name_is_found_once(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("walk")
    for a, b in pairs:
        make(folder, f"{a}/{b}.jpg", f"{a}.jpg")
    found = files(folder)
    assert len(found) == len(set(found))
    assert set(found) == {f"{a}/{b}.jpg" for a, b in pairs} | {f"{a}.jpg" for a, _ in pairs}


def test_a_link_that_climbs_does_not_go_round_for_ever(tmp_path):
    make(tmp_path, "a/b/1.jpg")
    (tmp_path / "a/b/up").symlink_to(tmp_path / "a")
    assert files(tmp_path) == ["a/b/1.jpg"]


def test_a_linked_folder_is_walked(tmp_path):
    make(tmp_path, "disk/1.jpg", "photos/2.jpg")
    (tmp_path / "photos/card").symlink_to(tmp_path / "disk")
    assert files(tmp_path / "photos") == ["2.jpg", "card/1.jpg"]


def test_photos_are_found_one_by_one(tmp_path, monkeypatch):
    make(tmp_path, "a/1.jpg", "b/2.jpg", "c/3.jpg")
    opened = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: opened.append(path) or scandir(path))
    assert [photo.file for photo in itertools.islice(find_photos(tmp_path), 1)] == ["a/1.jpg"]
    assert opened == [tmp_path, tmp_path / "a"]


def test_a_folder_that_cannot_be_opened_is_a_line_and_not_the_end(tmp_path, monkeypatch):
    make(tmp_path, "a/1.jpg", "b/2.jpg")
    scandir = os.scandir

    def locked(path):
        if path == tmp_path / "a":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    bad, good = find_photos(tmp_path)
    assert (bad.file, bad.problem) == ("a/", "this folder cannot be opened (Permission denied)")
    assert (good.file, good.problem) == ("b/2.jpg", None)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_utf8_can_be_written_and_opened(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    with open(path, "wb"):
        pass
    (photo,) = find_photos(tmp_path)
    assert photo.file == "caf\\xe9.jpg"
    assert photo.path.exists()


def test_one_photo_is_a_source(tmp_path):
    make(tmp_path, "a/1.JPG")
    assert list(find_photos(tmp_path / "a/1.JPG")) == [Photo("1.JPG", tmp_path / "a/1.JPG")]


def test_a_text_list_is_relative_to_itself_and_keeps_its_order(tmp_path):
    (tmp_path / "list.txt").write_text("b/2.jpg\r\n\n  a/1.jpg  \n/abs/3.jpg\nwin\\4.jpg")
    found = list(find_photos(tmp_path / "list.txt"))
    assert [p.file for p in found] == ["b/2.jpg", "a/1.jpg", "/abs/3.jpg", "win/4.jpg"]
    assert [str(p.path) for p in found[:3]] == [
        f"{tmp_path}/b/2.jpg",
        f"{tmp_path}/a/1.jpg",
        "/abs/3.jpg",
    ]


@pytest.mark.parametrize("column", ["file", "path", "filepath", " File "])
def test_a_table_gives_files_and_their_true_species(tmp_path, column):
    text = f"species,{column},n\npanthera LEO,a.jpg,1\nEmpty,b.jpg,1\nunknown,c.jpg,\n,d.jpg,2\n"
    (tmp_path / "list.csv").write_text(text)
    found = list(find_photos(tmp_path / "list.csv"))
    assert [p.file for p in found] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert [p.truth for p in found] == ["Panthera leo", "blank", None, None]


def test_a_table_needs_no_species(tmp_path):
    (tmp_path / "list.csv").write_text('file\n"a, b.jpg"\n')
    assert list(find_photos(tmp_path / "list.csv")) == [Photo("a, b.jpg", tmp_path / "a, b.jpg")]


def test_a_table_of_a_european_spreadsheet_is_read(tmp_path):
    (tmp_path / "list.csv").write_bytes("\ufefffile;species\r\né.jpg;Lynx lynx\r\n".encode())
    (photo,) = find_photos(tmp_path / "list.csv")
    assert (photo.file, photo.truth) == ("é.jpg", "Lynx lynx")


def test_a_row_without_a_file_is_a_line_and_not_the_end(tmp_path):
    (tmp_path / "list.csv").write_text("file,species\na.jpg,blank\n,Lynx lynx\n,\n\nb.jpg\n")
    found = list(find_photos(tmp_path / "list.csv"))
    assert [p.file for p in found] == ["a.jpg", "list.csv:2", "b.jpg"]
    assert found[1].problem == "row 2 of list.csv names no file"


def refusal(source):
    with pytest.raises(RunError) as caught:
        list(find_photos(source))
    assert str(caught.value).startswith(f"{source}: ")
    return str(caught.value)


def test_a_table_without_a_file_column_says_what_it_has(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("image,species\n")
    expected = "has the columns image, species; expected one called file, path, filepath"
    assert expected in refusal(path)
    path.write_text("")
    assert "has the columns nothing" in refusal(path)


def test_a_list_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "list.txt").write_bytes("é.jpg".encode("latin-1"))
    assert "is not UTF-8 text (invalid continuation byte at byte 0)" in refusal(
        tmp_path / "list.txt"
    )


def test_a_list_that_is_no_csv_is_refused(tmp_path):
    (tmp_path / "list.csv").write_text("file\na.jpg\n" + "x" * 200_000 + "\n")
    assert "line 3 is no CSV (field larger than field limit" in refusal(tmp_path / "list.csv")


def test_a_list_that_cannot_be_opened_is_refused(tmp_path, monkeypatch):
    (tmp_path / "list.txt").touch()
    monkeypatch.setattr(sources.Path, "open", lambda *_, **__: os.open(tmp_path / "no", 0))
    assert "cannot be read (No such file or directory)" in refusal(tmp_path / "list.txt")


def test_a_missing_source_is_refused(tmp_path):
    assert "no such file or folder" in refusal(tmp_path / "photos")


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "notes.doc").touch()
    message = refusal(tmp_path / "notes.doc")
    assert "expected a folder, a photo or video (.avi, .bmp, .jpeg, .jpg, " in message
    assert "or a list of them (.csv, .json, .txt)" in message


def test_the_root_is_absolute(tmp_path, monkeypatch):
    make(tmp_path, "photos/1.jpg")
    monkeypatch.chdir(tmp_path / "photos")
    assert source_root(sources.Path(".")) == tmp_path / "photos"


def test_a_link_to_itself_is_found_and_hides_no_other_photo(tmp_path):
    make(tmp_path, "a.jpg", "c.jpg")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "b.jpg")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    assert files(tmp_path) == ["a.jpg", "b.jpg", "c.jpg"]


INSTANCES = """{ "instances" : [
 {"filepath": "a/1.jpg", "country": "KEN", "latitude": -1.5, "longitude": 35, "mood": "good"},
 {"filepath": "b ] , }.jpg"}
]}"""


def test_the_instances_of_speciesnet_are_a_list_with_facts_of_each_photo(tmp_path):
    (tmp_path / "list.json").write_text(INSTANCES)
    first, second = find_photos(tmp_path / "list.json")
    assert (first.file, first.path) == ("a/1.jpg", tmp_path / "a/1.jpg")
    assert first.given == (("country", "KEN"), ("latitude", -1.5), ("longitude", 35))
    assert (second.file, second.given) == ("b ] , }.jpg", ())


@given(st.lists(st.text(min_size=1), max_size=30), st.integers(1, 90))
def test_instances_cut_into_pieces_anywhere_are_what_json_reads(
    tmp_path_factory, given_names, piece
):
    path = tmp_path_factory.mktemp("instances") / "list.json"
    content = {"instances": [{"filepath": name, "country": name} for name in given_names]}
    path.write_text(json.dumps(content, indent=piece % 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instances, "_PIECE", piece + 20)
        read = list(instances.read_instances(path))
    found = [(name, dict(facts).get("country")) for name, facts in read]
    assert found == [(name, name if name.isprintable() else None) for name in given_names]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"images": []}', "does not begin with the list of instances"),
        ('{"instances": [{"filepath": "a.jpg"}', "no list of instances"),
        ('{"instances": [{"file": "a.jpg"}]}', "instance 1 has no filepath"),
        ('{"instances": [7]}', "instance 1 has no filepath"),
        ("", "does not begin"),
    ],
)
def test_a_json_that_is_no_list_of_instances_is_refused(tmp_path, text, reason):
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(RunError, match=reason) as caught:
        list(find_photos(tmp_path / "list.json"))
    assert '{"instances": [{"filepath": "a.jpg"}, ...]}, as SpeciesNet takes it' in str(
        caught.value
    )


def test_facts_and_names_that_no_other_reader_takes_do_not_reach_the_results(tmp_path):
    (tmp_path / "list.json").write_text(
        '{"instances": [{"filepath": "\\ud800.jpg", "latitude": NaN, "country": "\\ud800"}]}'
    )
    (photo,) = find_photos(tmp_path / "list.json")
    assert (photo.file, photo.given) == ("\\ud800.jpg", ())
    assert photo.problem == "no file can have this name"
