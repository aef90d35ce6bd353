"""A large file comes whole, goes on where it stopped, and says what is wrong. Loopback only."""

import shutil
from collections import namedtuple

import numpy as np
import pytest
from http_files import file_server, no_server

from homerange.data import download
from homerange.data.download import fetch_file
from homerange.errors import DownloadError

DATA = np.random.default_rng(1).bytes(3_000_000)
LIMIT = 10_000_000


pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.fixture
def server():
    with file_server() as server:
        server.files["/list.zip"] = DATA
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lila" / "list.zip"


def fetch(server, path, **options):
    fetch_file(f"{server.url}/list.zip", path, **{"max_bytes": LIMIT, "timeout_s": 2} | options)


def ranges(server):
    return [wanted for _, wanted in server.requests]


def leftovers(path):
    return sorted(one.name for one in path.parent.iterdir() if one != path)


def test_a_file_comes_whole_and_only_once(server, path, capsys):
    fetch(server, path)
    fetch(server, path)
    assert path.read_bytes() == DATA
    assert ranges(server) == [None]
    assert leftovers(path) == []
    # 3,000,000 bytes are 2.9 MiB, and the last one is counted whole.
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("download list.zip: 3/3 MiB, ")
    assert line.endswith(" MiB/s, 0 s left")


def test_a_connection_that_breaks_goes_on_from_what_came(server, path):
    server.breaks_after = [1_000_000, 500_000]
    fetch(server, path)
    assert path.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=1000000-", "bytes=1500000-"]


def test_it_goes_on_as_long_as_something_comes_each_time(server, path):
    server.breaks_after = [100_000] * (3 * download.TRIES)
    fetch(server, path)
    assert path.read_bytes() == DATA
    assert len(server.requests) == 3 * download.TRIES + 1


def test_the_next_call_goes_on_from_what_an_earlier_one_left(server, path):
    server.breaks_after = [1_000_000] + [0] * download.TRIES
    with pytest.raises(DownloadError) as caught:
        fetch(server, path)
    assert str(caught.value) == (
        f"{server.url}/list.zip: cannot be downloaded (the connection broke 2,000,000 bytes before "
        "the end). Check the connection and give the same command again: it goes on from what "
        f"came. Or put the file there by hand: {path}"
    )
    assert leftovers(path) == ["list.zip.part", "list.zip.part.version"]
    server.requests.clear()
    server.breaks_after.clear()
    fetch(server, path)
    assert path.read_bytes() == DATA
    assert ranges(server) == ["bytes=1000000-"]
    assert leftovers(path) == []


def test_a_file_that_changed_meanwhile_is_fetched_anew_and_never_mixed(server, path):
    server.breaks_after = [1_000_000] + [0] * download.TRIES
    with pytest.raises(DownloadError):
        fetch(server, path)
    newer = DATA[::-1][:2_500_000]
    server.files["/list.zip"] = newer
    server.breaks_after.clear()
    fetch(server, path)
    assert path.read_bytes() == newer


@pytest.mark.parametrize("lacks", ["ranges", "marks"])
def test_a_server_without_ranges_or_without_marks_starts_again(server, path, lacks):
    setattr(server, lacks, False)
    server.breaks_after = [1_000_000]
    fetch(server, path)
    assert path.read_bytes() == DATA
    assert ranges(server)[0] is None
    assert ranges(server)[1] == ("bytes=1000000-" if lacks == "ranges" else None)


def test_a_part_that_is_the_whole_file_is_taken(server, path):
    server.breaks_after = [1_000_000] + [0] * download.TRIES
    with pytest.raises(DownloadError):
        fetch(server, path)
    path.with_name("list.zip.part").write_bytes(DATA)
    server.breaks_after.clear()
    fetch(server, path)
    assert path.read_bytes() == DATA


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server, path):
    server.breaks_after = [1_000_000] + [0] * download.TRIES
    with pytest.raises(DownloadError):
        fetch(server, path)
    path.with_name("list.zip.part").write_bytes(DATA + b"more")
    server.breaks_after.clear()
    fetch(server, path)
    assert path.read_bytes() == DATA


def test_a_server_that_stumbles_is_asked_again(server, path):
    server.statuses["/list.zip"] = 503
    with pytest.raises(DownloadError, match=r"cannot be downloaded \(HTTP Error 503: Service Unav"):
        fetch(server, path)
    assert len(server.requests) == download.TRIES


def test_a_file_that_is_gone_is_an_error_at_once(server, path):
    server.files.clear()
    with pytest.raises(
        DownloadError, match=r"\(HTTP Error 404: Not Found\)\. Check the connection"
    ):
        fetch(server, path)
    assert len(server.requests) == 1


def test_without_a_connection_the_message_says_what_to_do(path):
    url = f"{no_server()}/list.zip"
    with pytest.raises(DownloadError) as caught:
        fetch_file(url, path, max_bytes=LIMIT, timeout_s=2)
    assert str(caught.value).startswith(f"{url}: cannot be downloaded ([Errno 111] Connection ref")
    assert str(caught.value).endswith(f"Or put the file there by hand: {path}")


def test_a_silent_server_is_given_up(server, path):
    server.pause_s = 0.5
    with pytest.raises(DownloadError, match=r"cannot be downloaded \(timed out\)"):
        fetch(server, path, timeout_s=0.05)


def test_a_file_that_is_too_large_is_refused_before_it_comes(server, path):
    with pytest.raises(
        DownloadError, match=r"list.zip: has 3,000,000 bytes; expected at most 1,000$"
    ):
        fetch(server, path, max_bytes=1000)
    assert path.with_name("list.zip.part").stat().st_size == 0


def test_a_file_that_hides_its_length_is_cut_off_at_the_limit(server, path):
    server.lengths = False
    with pytest.raises(DownloadError, match=r"list.zip.part: more than 2,000,000 bytes came"):
        fetch(server, path, max_bytes=2_000_000)
    fetch(server, path)
    assert path.read_bytes() == DATA


def test_a_disk_without_room_is_found_before_the_download(server, path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(7))
    with pytest.raises(
        DownloadError, match=r"3,000,000 bytes are missing, and only 7 are free in .*lila\. Make ro"
    ):
        fetch(server, path)


def test_a_folder_that_cannot_be_made_is_an_error(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match=r"cannot be written \(Not a directory\)|File exists"):
        fetch(server, tmp_path / "file" / "list.zip")
