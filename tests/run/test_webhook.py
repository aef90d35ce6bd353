"""The webhook tells a species and a file name, and never what leads to an animal."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from watched import Watched

from homerange.data.sensitive import is_sensitive, sensitive_names
from homerange.run import webhook as webhook_module
from homerange.run.answers import Answer
from homerange.run.ranking import ranked
from homerange.run.service import systemd_unit
from homerange.run.sources import Photo
from homerange.run.webhook import Webhook, post_of
from homerange.world.place_package import read_package

LABELS = ("Vulpes vulpes", "Panthera leo", "Canis", "Meles meles", "person", "blank")


@pytest.fixture(scope="module")
def place(tmp_path_factory, make_package):
    folder = tmp_path_factory.mktemp("place")
    return read_package(make_package(folder / "here.homerange", labels=LABELS))


def post(place, shares, sensitive=None, failure=None, **facts):
    share_C = np.array(shares, np.float32)
    answer = ranked(Answer("oak/deep/IMG_1.jpg", failure=failure, **facts), share_C, LABELS)
    photo = Photo("oak/deep/IMG_1.jpg", Path("/secret/oak/IMG_1.jpg"), given=(("latitude", -2.5),))
    return post_of(photo, answer, place, sensitive or sensitive_names())


def test_a_post_holds_species_and_bare_file_name_and_nothing_else(place):
    found = post(place, [0.9, 0.05, 0, 0, 0, 0.05], datetime="2024-05-06T07:08:09", outside=2)
    assert found == {
        "species": "Vulpes vulpes",
        "probability": 0.9,
        "file": "IMG_1.jpg",
        "package": "testland",
    }


@pytest.mark.parametrize(
    ("shares", "why"),
    [
        ([0.05, 0.9, 0, 0, 0, 0.05], "the lion is sensitive"),
        ([0.85, 0.15, 0, 0, 0, 0], "it may be a lion"),
        ([0.1, 0, 0.9, 0, 0, 0], "a genus may hold a sensitive species"),
        ([0.1, 0, 0, 0, 0.9, 0], "people are not told about"),
        ([0.1, 0, 0, 0, 0, 0.9], "there is nothing to tell"),
    ],
)
def test_nothing_is_posted_of_what_must_not_be_told(place, shares, why):
    assert post(place, shares) is None, why


def test_a_photo_that_could_not_be_read_is_not_posted(place):
    assert (
        post_of(Photo("a.jpg", Path("a.jpg")), Answer("a.jpg", failure="x"), place, set()) is None
    )


def test_users_extend_the_list(place, tmp_path):
    (tmp_path / "mine.txt").write_text("# ours\nmeles_MELES  # badgers are dug for\n")
    badger = [0, 0, 0, 1, 0, 0]
    assert post(place, badger) is not None
    assert post(place, badger, sensitive_names(tmp_path / "mine.txt")) is None


def test_the_bundled_list_knows_the_animals_that_are_hunted_for_trade():
    names = sensitive_names()
    for hunted in (
        "Diceros bicornis",
        "Loxodonta africana",
        "Manis javanica",
        "Panthera tigris",
        "Panthera pardus orientalis",
        "Gorilla beringei",
    ):
        assert is_sensitive(hunted, names), hunted
    for common in ("Vulpes vulpes", "Capreolus capreolus", "Equus quagga"):
        assert not is_sensitive(common, names), common


class Server:
    """A server of one's own that remembers posts, and fails as often as it is told."""

    def __init__(self, failures=0):
        self.posts, self.failures, self.requests = [], failures, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                outer.requests += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if outer.requests <= outer.failures:
                    self.send_error(500)
                    return
                outer.posts.append(json.loads(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/seen"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def test_only_photos_that_come_in_are_told(photos, out, server, make_package, make_photo, tmp_path):
    labels = ("Vulpes vulpes", "Meles meles")
    package = make_package(tmp_path / "two.homerange", labels=labels)
    watched = Watched(photos, package, out, webhook=server.url)
    watched.until(lambda: len(watched.said) == 21)
    (photos / "north/new.jpg").write_bytes(make_photo((255, 0, 0)))
    watched.until(lambda: server.posts)
    watched.stop()
    (told,) = server.posts
    assert told["file"] == "new.jpg"
    assert told["species"] in labels
    assert set(told) == {"species", "probability", "file", "package"}
    assert watched.warned == []


def test_a_post_is_tried_again(server):
    server.failures = 2
    warned = []
    hook = Webhook(server.url, warn=warned.append, retry_s=0.01)
    hook.post({"species": "Vulpes vulpes"})
    hook.close()
    assert (len(server.posts), server.requests, hook.dropped) == (1, 3, 0)
    (line,) = warned
    assert line.startswith("the webhook fails (HTTP Error 500")
    assert line.endswith("the run goes on")


def test_a_server_that_is_gone_stops_nothing(photos, out, make_package, make_photo, tmp_path):
    package = make_package(tmp_path / "two.homerange", labels=("Vulpes vulpes", "Meles meles"))
    watched = Watched(photos, package, out, webhook="http://127.0.0.1:9/seen")
    watched.until(lambda: len(watched.said) == 21)
    (photos / "new.jpg").write_bytes(make_photo((255, 0, 0)))
    watched.until(lambda: len(watched.said) == 22)
    watched.until(lambda: any("the webhook fails" in line for line in watched.warned))
    watched.stop()
    assert len(json.loads(out.read_text())["images"]) == 22
    assert watched.warned[-1] == "the webhook missed 1 posts"


def test_posts_that_do_not_fit_into_the_queue_are_dropped_and_counted(monkeypatch):
    monkeypatch.setattr(webhook_module, "MOST_WAITING", 3)
    blocked = threading.Event()
    monkeypatch.setattr(Webhook, "_send", lambda *_: blocked.wait(30))
    warned = []
    hook = Webhook("http://127.0.0.1:9/", warn=warned.append)
    begin = time.monotonic()
    for _ in range(10):
        hook.post({})
    assert time.monotonic() - begin < 1  # posting never waits
    assert 6 <= hook.dropped <= 7  # three wait and one may be on its way
    hook.close(within_s=0.1)
    blocked.set()
    assert hook.dropped == 10
    assert warned == ["the webhook missed 10 posts"]


def test_the_unit_quotes_what_systemd_would_read_otherwise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [
        "watch",
        "/mnt/my cards",
        "--webhook",
        "https://a/?x=%20$y",
        "--print-systemd-unit",
    ]
    unit = systemd_unit(arguments)
    (start,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert start.endswith(' watch "/mnt/my cards" --webhook https://a/?x=%%20$$y')
    assert f"WorkingDirectory={tmp_path}" in unit
    assert "Restart=on-failure" in unit
