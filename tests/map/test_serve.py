"""The verb map as a process of its own: killed, stopped, watched, and given what cannot work."""

import signal
import socket
import sqlite3

import pytest
from fakes import EMPTY_OCEAN, SERENGETI, build_world
from map_server import ask, running, wait_until_made

from homerange.errors import MapError
from homerange.map.builds import DATABASE, Builds
from homerange.map.serve import serve
from homerange.world.world import open_world

ORDERS = 8


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return build_world(tmp_path_factory.mktemp("serve") / "world", classes=40)


def orders(world):
    """Different orders of one place."""
    labels = [label for label in open_world(world).labels if label.startswith("Fictus")]
    return [{"place": SERENGETI.to_json(), "include": [name]} for name in labels[:ORDERS]]


def test_a_server_that_is_killed_finishes_its_queue_when_it_runs_again(world, tmp_path):
    folder = tmp_path / "builds"
    options = ("--builds", str(folder))
    with running(world, *options) as (server, address):
        ids = [ask(address, "api/builds", order)[1]["id"] for order in orders(world)]
        wait_until_made(lambda: ask(address, f"api/builds/{ids[0]}")[1])
        server.send_signal(signal.SIGKILL)
        server.wait()
    made = {path: path.stat().st_mtime_ns for path in folder.glob("*.homerange")}
    assert 1 <= len(made) < ORDERS, "killed in the middle"
    with running(world, *options) as (_, address):
        for id in ids:
            build = wait_until_made(lambda id=id: ask(address, f"api/builds/{id}")[1])
            assert build["state"] == "done"
        assert [ask(address, "api/builds", order)[1]["id"] for order in orders(world)] == ids
        assert ask(address, f"api/builds/{ids[-1]}/package")[1][:2] == b"PK"
    assert len(list(folder.glob("*.homerange"))) == len(set(ids)) == ORDERS
    assert {path: path.stat().st_mtime_ns for path in made} == made  # none was made twice
    assert not list(folder.glob("*.part"))
    with sqlite3.connect(folder / DATABASE) as database:
        ((most, total),) = database.execute("SELECT max(starts), sum(starts) FROM build")
    database.close()
    assert most <= 2
    assert total <= ORDERS + 1  # but for the one at hand, each was begun once


def test_nothing_that_visitors_send_stands_in_the_log(world, tmp_path):
    log = tmp_path / "log"
    token = "swordfish"
    with running(world, "--token", token, log=log) as (server, address):
        assert address.endswith(f"/?token={token}")
        base = address.partition("?")[0]
        assert ask(base, "api/health")[0] == 200
        assert ask(base, f"?token={token}x", None)[0] == 401
        assert ask(base, "api/species", {"place": SERENGETI.to_json()})[0] == 401
    with running(world, log=log) as (server, address):
        odd = SERENGETI.to_json() | {"latitude_deg": -97.33}
        assert ask(address, "api/species", {"place": odd})[0] == 422
        for place in (SERENGETI, EMPTY_OCEAN):
            assert ask(address, "api/species", {"place": place.to_json()})[0] in (200, 422)
            _, build = ask(address, "api/builds", {"place": place.to_json()})
            wait_until_made(lambda id=build["id"]: ask(address, f"api/builds/{id}")[1])
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 0
    text = log.read_text()
    assert "done in" in text
    assert "failed: place" in text
    for secret in ("2.33", "34.83", "-45", "120.0", "97.33", token, "Traceback", "127.0.0.1"):
        assert secret not in text, text


def test_a_server_without_a_folder_leaves_nothing_behind(world, tmp_path):
    (tmp_path / "tmp").mkdir()
    with running(world, TMPDIR=str(tmp_path / "tmp")) as (server, address):
        _, build = ask(address, "api/builds", {"place": SERENGETI.to_json()})
        wait_until_made(lambda: ask(address, f"api/builds/{build['id']}")[1])
        assert list((tmp_path / "tmp").rglob("*.homerange"))
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    left = [path.name for path in (tmp_path / "tmp").iterdir()]
    assert [name for name in left if not name.startswith(".")] == []  # the runtime's own is hidden


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"token": "short"}, "--token has 5 characters; expected at least 8"),
        ({"queue_max": 0}, "--queue-max is 0; expected at least 1"),
        ({"base_url": "example.org/homerange"}, "expected the address that visitors type"),
        ({"base_url": "https://example.org/?a=1"}, "expected the address that visitors type"),
        ({"host": "256.1.1.1"}, "cannot listen on 256.1.1.1, port 8765"),
        ({"port": 10**6}, "--port is 1000000; expected 0 to 65535"),
    ],
)
def test_settings_that_cannot_work_are_refused(world, options, message):
    with pytest.raises(MapError) as caught:
        serve(world, **options)
    assert message in str(caught.value)


def test_a_port_that_is_taken_is_said_to_be(world):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MapError, match=f"cannot listen on 127.0.0.1, port {port}"):
            serve(world, port=port)


def test_a_folder_that_another_server_uses_is_refused(world, tmp_path):
    builds = Builds.open(tmp_path, "world 1")
    with pytest.raises(MapError, match="another server uses it"):
        serve(world, port=0, builds=tmp_path)
    builds.close()
