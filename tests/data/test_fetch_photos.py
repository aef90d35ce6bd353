"""Photos come smaller and without EXIF, whole or not at all, and a bad one is one reason."""

from contextlib import contextmanager

import pytest
from http_files import jpeg, no_server
from PIL import Image

from homerange.data import fetch_photos as module
from homerange.data.fetch_photos import RemotePhoto, fetch_photos
from homerange.errors import DownloadError

pytestmark = pytest.mark.usefixtures("no_waiting")


@contextmanager
def interrupting(*_, **__):
    """A progress that is stopped from the keyboard at its first step."""

    def step(*_, **__):
        raise KeyboardInterrupt

    yield step


def remote(folder, server, *names):
    return [RemotePhoto(folder / f"{name}.jpg", (f"{server.url}/{name}.jpg",)) for name in names]


def test_photos_come_smaller_without_exif_and_not_again(server, tmp_path):
    server.files = {"/a.jpg": jpeg(3000, 2000), "/b c.jpg": jpeg(80, 60)}
    photos = remote(tmp_path / "deep" / "down", server, "a", "b c")
    assert fetch_photos(photos, timeout_s=2) == {}
    sizes = []
    for photo in photos:
        with Image.open(photo.path) as image:
            assert not image.getexif()
            sizes.append(image.size)
    # The longest side is 1,024 px at most: 2,000 / 3,000 * 1,024 = 682.7
    assert sizes == [(1024, 683), (80, 60)]
    server.requests.clear()
    photos[0].path.unlink()
    assert fetch_photos(photos, timeout_s=2) == {}
    assert [path for path, _ in server.requests] == ["/a.jpg"]


def test_what_is_missing_or_broken_is_a_reason_and_the_others_come(server, tmp_path):
    server.files = {f"/{i}.jpg": jpeg() for i in range(20)}
    server.files["/3.jpg"] = jpeg()[:200]
    server.files["/4.jpg"] = b"<html>moved</html>"
    del server.files["/5.jpg"]
    server.statuses["/6.jpg"] = 403
    photos = remote(tmp_path, server, *map(str, range(20)))
    problems = fetch_photos(photos, timeout_s=2)
    assert {path.stem: problem[:34] for path, problem in problems.items()} == {
        "3": "not a readable photo: photo of 200",
        "4": "not a readable photo: photo of 18 ",
        "5": "HTTP Error 404: Not Found",
        "6": "HTTP Error 403: Forbidden",
    }
    asked = [path for path, _ in server.requests]
    assert asked.count("/5.jpg") == asked.count("/6.jpg") == 1  # it is not there a second later
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(
        str(i) for i in range(20) if i not in (3, 4, 5, 6)
    )


def test_a_photo_whose_connection_broke_is_fetched_again(server, tmp_path):
    server.files = {"/a.jpg": jpeg()}
    server.breaks_after = [100]
    assert fetch_photos(remote(tmp_path, server, "a"), timeout_s=2) == {}
    assert len(server.requests) == 2


def test_a_photo_that_always_ends_early_is_not_kept(server, tmp_path):
    server.files = {"/a.jpg": jpeg()}
    server.breaks_after = [100] * 9
    (problem,) = fetch_photos(remote(tmp_path, server, "a"), timeout_s=2).values()
    assert problem.startswith("the connection broke ")
    assert problem.endswith(" bytes before the end")
    assert not list(tmp_path.iterdir())


def test_the_next_cloud_is_asked_where_the_first_has_no_photo(server, tmp_path):
    server.files = {"/aws/a.jpg": jpeg()}
    urls = (f"{server.url}/gcp/a.jpg", f"{server.url}/aws/a.jpg", f"{server.url}/azure/a.jpg")
    assert fetch_photos([RemotePhoto(tmp_path / "a.jpg", urls)], timeout_s=2) == {}
    assert [path for path, _ in server.requests] == ["/gcp/a.jpg", "/aws/a.jpg"]


def test_what_is_no_address_is_a_reason_and_the_next_one_is_asked(server, tmp_path):
    server.files = {"/a.jpg": jpeg()}
    good = RemotePhoto(tmp_path / "a.jpg", ("/gcp/a.jpg", f"{server.url}/a.jpg"))
    bad = [RemotePhoto(tmp_path / f"{i}.jpg", ("/gcp/b.jpg",)) for i in range(40)]
    problems = fetch_photos([good, *bad], timeout_s=2)
    assert set(problems.values()) == {"unknown url type: '/gcp/b.jpg'"}
    assert len(problems) == 40


def test_a_photo_that_is_larger_than_any_photo_is_not_read_to_its_end(
    server, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "MAX_PHOTO_BYTES", 1000)
    server.files = {"/a.jpg": b"x" * 300_000}
    (problem,) = fetch_photos(remote(tmp_path, server, "a"), timeout_s=2).values()
    assert problem == "more than 1,000 bytes"


def test_a_connection_that_is_gone_ends_it_with_the_way_to_go_on(tmp_path):
    base = no_server()
    photos = [RemotePhoto(tmp_path / f"{i}.jpg", (f"{base}/{i}.jpg",)) for i in range(500)]
    (tmp_path / "7.jpg").write_bytes(jpeg())
    with pytest.raises(DownloadError) as caught:
        fetch_photos(photos, timeout_s=2)
    message = str(caught.value)
    assert message.startswith(
        "the connection is gone: no server answered for 20 photos in a row (last: [Errno 111] "
    )
    assert "1 of 500 photos are there; give the same command again" in message


def test_many_photos_that_are_not_there_are_no_lost_connection(server, tmp_path):
    photos = remote(tmp_path, server, *map(str, range(60)))
    assert set(fetch_photos(photos, timeout_s=2).values()) == {"HTTP Error 404: Not Found"}


def test_dead_addresses_among_living_ones_are_no_lost_connection(server, tmp_path):
    server.files = {f"/{i}.jpg": jpeg() for i in range(60)}
    dead = no_server()
    photos = [
        RemotePhoto(tmp_path / f"{i}.jpg", (f"{dead if i % 2 else server.url}/{i}.jpg",))
        for i in range(60)
    ]
    problems = fetch_photos(photos, timeout_s=2)
    assert len(problems) == 30
    assert all("Connection refused" in problem for problem in problems.values())


def test_a_stop_from_the_keyboard_ends_what_is_being_tried(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "progress", interrupting)
    server.files = {f"/{i}.jpg": jpeg() for i in range(8)}
    server.statuses = {f"/{i}.jpg": 503 for i in range(1, 8)}
    server.pause_s = 0.2
    photos = [RemotePhoto(tmp_path / f"{i}.jpg", (f"{server.url}/{i}.jpg",) * 3) for i in range(8)]
    with pytest.raises(KeyboardInterrupt):
        fetch_photos(photos, timeout_s=2)
    # Seven photos tried to the end would be 7 * 3 addresses * 2 rounds = 42 requests.
    assert len(server.requests) < 25


def test_a_stop_from_the_keyboard_does_not_wait_for_what_is_queued(server, tmp_path, monkeypatch):
    server.files = {f"/{i}.jpg": jpeg() for i in range(400)}

    monkeypatch.setattr(module, "progress", interrupting)
    with pytest.raises(KeyboardInterrupt):
        fetch_photos(remote(tmp_path, server, *map(str, range(400))), timeout_s=2)
    assert len(server.requests) < 100
    assert not list(tmp_path.glob("*.part"))
