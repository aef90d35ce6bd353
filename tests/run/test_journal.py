"""The journal: what was answered stays answered, for its own package and source only."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from homerange.errors import RunError
from homerange.run.journal import Answer, Identity, Journal, Listing, journal_path
from homerange.run.sources import Photo, fingerprint

ONE = Identity("a" * 64, "serengeti", "/photos")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def photo(name, **facts):
    return Photo(name, Path("/photos") / name, **facts)


def real(folder, name):
    (folder / name).write_bytes(b"photo")
    return Photo(name, folder / name)


def answer(name, **facts):
    return Answer(name, (3, 4), **facts)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.json.journal"


def test_photos_and_answers_come_back_as_they_were(path):
    photos = [photo("b.jpg", truth="blank"), photo("a", problem="locked"), photo("é/c.jpg")]
    answers = [
        answer("é/c.jpg", datetime="2024-01-01T10:00:00", top=((2, 0.75), (0, 0.25)), blank=0.25),
        Answer("a", failure="locked"),
        answer("b.jpg", top=((1, 1.0),)),
    ]
    with Journal.open(path, ONE) as journal:
        assert journal.set_photos(photos) == Listing(photos=3, repeated=0, answered=0)
        journal.add(answers)
        # In the order of the photos, which is neither that of the names nor of the answers.
        assert list(journal.answers()) == list(zip(photos, reversed(answers), strict=True))


def answer_and_be_killed(path):
    code = f"""
import os, signal
from pathlib import Path
from homerange.run.journal import *
journal = Journal.open(Path({str(path)!r}), Identity("a" * 64, "serengeti", "/photos"))
journal.add([Answer("a.jpg", (3, 4), top=((0, 0.5),))])
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert Path(f"{path}-wal").exists()  # the answer is there, not yet in the main file


def test_an_answer_survives_the_kill_of_the_process(path):
    answer_and_be_killed(path)
    with Journal.open(path, ONE) as journal:
        journal._db.execute("INSERT INTO photo (file, path) VALUES ('a.jpg', X'')")
        assert [a for _, a in journal.answers()] == [answer("a.jpg", top=((0, 0.5),))]


def test_fresh_forgets_what_a_killed_run_left_beside_the_journal(path):
    answer_and_be_killed(path)
    with Journal.open(path, ONE, fresh=True) as journal:
        journal._db.execute("INSERT INTO photo (file, path) VALUES ('a.jpg', X'')")
        assert journal.answered() == 0
    assert list(path.parent.iterdir()) == [path]


def test_batches_are_cut_before_the_answered_photos_are_left_out(path, folder):
    photos = [real(folder, f"{i}.jpg") for i in range(7)]
    with Journal.open(path, ONE) as journal:
        journal.set_photos(photos)
        assert list(journal.pending(3)) == [photos[:3], photos[3:6], photos[6:]]
        journal.add([Answer(f"{i}.jpg", fingerprint(photos[i].path)) for i in (1, 3, 4, 5)])
        assert journal.set_photos(photos) == Listing(photos=7, repeated=0, answered=4)
        # A batch whose photos all have answers (3, 4, 5) is not the end.
        assert list(journal.pending(3)) == [[photos[0], photos[2]], [photos[6]]]


def test_answers_may_be_added_while_batches_are_read(path):
    with Journal.open(path, ONE) as journal:
        journal.set_photos(photo(f"{i}.jpg") for i in range(5))
        for batch in journal.pending(2):
            journal.add([answer(p.file) for p in batch])
        assert len(list(journal.answers())) == 5


def test_a_photo_that_was_replaced_or_touched_is_looked_at_again(path, folder):
    photos = [real(folder, name) for name in ("kept.jpg", "longer.jpg", "later.jpg", "gone.jpg")]
    with Journal.open(path, ONE) as journal:
        journal.set_photos(photos)
        journal.add([Answer(p.file, fingerprint(p.path), top=((0, 1.0),)) for p in photos])
        later = photos[2].path.stat()
        (folder / "longer.jpg").write_bytes(b"longer than before")
        os.utime(folder / "longer.jpg", ns=(later.st_atime_ns, later.st_mtime_ns))
        os.utime(folder / "later.jpg", ns=(later.st_atime_ns, later.st_mtime_ns + 1))
        (folder / "gone.jpg").unlink()
        assert journal.set_photos(photos).answered == 1
        assert list(journal.pending(9)) == [photos[1:]]


def test_a_photo_that_is_listed_twice_counts_once(path):
    with Journal.open(path, ONE) as journal:
        found = journal.set_photos([photo("a", truth="x"), photo("b"), photo("a")])
        assert found == Listing(photos=2, repeated=1, answered=0)
        journal.add([answer("a"), answer("b")])
        assert [p.truth for p, _ in journal.answers()] == ["x", None]


def test_photos_that_are_no_longer_listed_come_back_with_their_answers(path, folder):
    a, b = real(folder, "a"), real(folder, "b")
    with Journal.open(path, ONE) as journal:
        journal.set_photos([a, b])
        journal.add([Answer(p.file, fingerprint(p.path)) for p in (a, b)])
        assert journal.set_photos([b]).answered == 1
        assert [p.file for p, _ in journal.answers()] == ["b"]
        assert journal.set_photos([a, b]).answered == 2


def test_failures_are_forgotten_when_a_run_begins(path, folder):
    a, b = real(folder, "a"), real(folder, "b")
    with Journal.open(path, ONE) as journal:
        journal.add([Answer("a", fingerprint(a.path))])
        journal.add([Answer("b", fingerprint(b.path), failure="damaged")])
        assert journal.set_photos([a, b]).answered == 1
        assert list(journal.pending(2)) == [[b]]


def test_an_error_while_photos_are_listed_leaves_the_last_list(path):
    def photos():
        yield photo("b")
        raise RunError("list.csv: line 2 is no CSV")

    with Journal.open(path, ONE) as journal:
        journal.set_photos([photo("a")])
        with pytest.raises(RunError, match="line 2 is no CSV"):
            journal.set_photos(photos())
        assert list(journal.pending(9)) == [[photo("a")]]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_path_that_is_no_utf8_comes_back(path):
    strange = Photo("caf\\xe9.jpg", Path(os.fsdecode(b"/photos/caf\xe9.jpg")))
    with Journal.open(path, ONE) as journal:
        journal.set_photos([strange])
        assert list(journal.pending(1)) == [[strange]]


def refusal(path, identity=ONE, **options):
    with pytest.raises(RunError) as caught:
        Journal.open(path, identity, **options)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def test_another_package_is_refused_with_both_names_and_the_ways_out(path):
    Journal.open(path, ONE).__exit__(None, None, None)
    message = refusal(path, Identity("b" * 64, "chicago", "/photos"))
    assert "the package serengeti (aaaaaaaaaaaa), and this is chicago (bbbbbbbbbbbb)" in message
    assert "Choose another output, or begin anew with --fresh" in message


def test_another_source_is_refused_with_both_names_and_the_ways_out(path):
    Journal.open(path, ONE).__exit__(None, None, None)
    message = refusal(path, Identity("a" * 64, "serengeti", "/others"))
    assert "belongs to a run over /photos, and this is one over /others. Choose" in message


def test_a_package_that_was_renamed_is_the_same_package(path):
    Journal.open(path, ONE).__exit__(None, None, None)
    with Journal.open(path, Identity("a" * 64, "mara", "/photos")) as journal:
        assert list(journal.answers()) == []


def test_another_version_is_refused(path):
    Journal.open(path, ONE).__exit__(None, None, None)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 9")
    db.close()
    message = refusal(path)
    assert "is a journal of version 9; this homerange reads version 2. Choose another" in message


def test_fresh_forgets_another_package(path):
    with Journal.open(path, ONE) as journal:
        journal.add([answer("a")])
    with Journal.open(path, Identity("b" * 64, "chicago", "/x"), fresh=True) as journal:
        journal.set_photos([photo("a")])
        assert list(journal.answers()) == []


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("content", [b"diary", b"SQLite format 3\0" + bytes(100)])
def test_a_file_that_is_no_journal_is_left_alone(path, fresh, content):
    path.write_bytes(content)
    assert "is no journal of homerange, so it is left alone" in refusal(path, fresh=fresh)
    assert path.read_bytes() == content


def test_a_folder_in_the_place_of_the_journal_is_refused(path):
    path.mkdir()
    assert "cannot be read (Is a directory)" in refusal(path)


def test_a_damaged_journal_says_so_and_fresh_helps(path):
    with Journal.open(path, ONE) as journal:
        journal.set_photos(photo(f"{i}.jpg") for i in range(2000))
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 20_000)
    assert "the journal is damaged (" in refusal(path)
    with Journal.open(path, ONE, fresh=True) as journal:
        assert list(journal.answers()) == []


def test_two_runs_at_once_are_refused(path):
    with Journal.open(path, ONE):
        assert "is in use by another run" in refusal(path)


def test_a_journal_that_cannot_be_written_says_so(path, tmp_path):
    with pytest.raises(RunError, match=r"the journal cannot be written \(unable to open"):
        Journal.open(tmp_path / "missing" / "x.journal", ONE)


def test_the_journal_lies_beside_the_results():
    assert journal_path(Path("a/b.json")) == Path("a/b.json.journal")
