"""The queue of builds and its packages: order, restarts, room, and folders that are no queue."""

import sqlite3

import pytest

from homerange.errors import MapError
from homerange.map import builds as module
from homerange.map.builds import DATABASE, Builds, QueueFull

REASON = {"code": "place", "message": "nothing lives there", "next": "Choose another place."}


@pytest.fixture
def open_builds(tmp_path):
    """Open the queue of one folder, again and again; what was open before counts as killed."""
    opened = []

    def open_again(origin="world 1", **limits):
        for one in opened:
            one.close()
        opened.append(Builds.open(tmp_path / "builds", origin, **limits))
        return opened[-1]

    yield open_again
    opened[-1].close()


def submit(builds, *ids, origin="world 1"):
    for id in ids:
        builds.submit(id, origin=origin, name=f"name of {id}", wish=f"wish of {id}")


def make(builds, size_bytes=10):
    task = builds.take()
    task.path.write_bytes(b"x" * size_bytes)
    builds.finish(task.id)
    return task.id


def states(builds, *ids):
    found = [builds.get(id) for id in ids]
    return [build and build.state for build in found]


def test_builds_are_made_in_the_order_in_which_they_were_asked_for(open_builds):
    builds = open_builds()
    submit(builds, "b", "a", "c")
    assert [builds.get(id).position for id in "bac"] == [1, 2, 3]
    task = builds.take()
    assert (task.id, task.name, task.wish) == ("b", "name of b", "wish of b")
    assert task.path.name == "b.homerange"
    assert [builds.get(id).position for id in "bac"] == [0, 1, 2]
    assert [builds.take().id, builds.take().id, builds.take()] == ["a", "c", None]


def test_progress_can_be_followed(open_builds):
    builds = open_builds()
    submit(builds, "a")
    builds.take()
    builds.report("a", 0.4)
    assert (builds.get("a").state, builds.get("a").progress) == ("running", 0.4)


def test_what_was_being_made_when_the_server_died_waits_again_at_its_place(open_builds):
    builds = open_builds()
    submit(builds, "a", "b")
    task = builds.take()
    part = task.path.with_name(f".{task.path.name}.4711.part")
    part.write_bytes(b"half")
    builds = open_builds()
    assert states(builds, "a", "b") == ["queued", "queued"]
    assert not part.exists()
    assert [make(builds), make(builds)] == ["a", "b"]
    assert states(open_builds(), "a", "b") == ["done", "done"]


def test_what_brought_the_server_down_twice_is_given_up_and_may_be_ordered_again(open_builds):
    builds = open_builds()
    submit(builds, "a", "b")
    builds.take()
    open_builds().take()
    builds = open_builds()
    build = builds.get("a")
    assert (build.state, build.error["code"]) == ("failed", "gave_up")
    assert "stopped 2 times while it made this package" in build.error["message"]
    assert make(builds) == "b"
    submit(builds, "a")
    assert make(builds) == "a"


def test_a_failure_keeps_its_reason_over_a_restart(open_builds):
    builds = open_builds()
    submit(builds, "a")
    builds.take()
    builds.fail("a", REASON)
    build = open_builds().get("a")
    assert (build.state, build.error) == ("failed", REASON)


def test_only_so_many_failures_are_kept(open_builds, monkeypatch):
    monkeypatch.setattr(module, "FAILURES_KEPT", 2)
    builds = open_builds()
    for id in "abc":
        submit(builds, id)
        builds.take()
        builds.fail(id, REASON)
    assert states(builds, "a", "b", "c") == [None, "failed", "failed"]


def test_a_full_queue_takes_no_other_but_knows_its_own(open_builds):
    builds = open_builds(queue_max=2)
    submit(builds, "a", "b")
    builds.take()  # what is being made counts
    with pytest.raises(QueueFull):
        submit(builds, "c")
    submit(builds, "a", "b")
    assert states(builds, "a", "b", "c") == ["running", "queued", None]


def test_the_packages_that_nobody_asked_for_longest_make_room(open_builds, tmp_path):
    builds = open_builds(cache_bytes=30)
    submit(builds, "a", "b", "c", "d")
    for _ in "abc":
        make(builds)
    with builds.open_package("a") as file:  # now b is the one not asked for longest
        assert file.read() == b"x" * 10
    make(builds)  # d
    assert states(builds, "a", "b", "c", "d") == ["done", None, "done", "done"]
    assert sorted(path.stem for path in (tmp_path / "builds").glob("*.homerange")) == list("acd")


def test_the_newest_package_stays_however_large_it_is(open_builds):
    builds = open_builds(cache_bytes=30)
    submit(builds, "a", "b")
    make(builds)
    make(builds, size_bytes=100)
    assert states(builds, "a", "b") == [None, "done"]


def test_builds_of_another_world_are_forgotten_with_their_packages(open_builds, tmp_path):
    builds = open_builds()
    submit(builds, "a", "b")
    make(builds)
    builds = open_builds("world 2")
    assert states(builds, "a", "b") == [None, None]
    assert not list((tmp_path / "builds").glob("*.homerange"))


def test_a_mistake_in_the_middle_changes_nothing(open_builds):
    builds = open_builds()
    submit(builds, "a")
    with pytest.raises(sqlite3.Error):
        builds.submit("b", origin=None, name="", wish="")
    assert states(builds, "a", "b") == ["queued", None]


def test_a_second_server_is_kept_out_of_the_folder(open_builds, tmp_path):
    open_builds()
    with pytest.raises(MapError, match=r"builds.sqlite: another server uses it. Stop that one"):
        Builds.open(tmp_path / "builds", "world 1")


def test_a_folder_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MapError, match=r"is a file, not a folder. Choose another output"):
        Builds.open(tmp_path / "file", "world 1")


def test_a_file_that_is_no_queue_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / DATABASE).write_text("not a database, but long enough to be taken for one" * 99)
    before = (tmp_path / DATABASE).read_bytes()
    with pytest.raises(MapError, match=r"cannot be used \(file is not a database\). Choose"):
        Builds.open(tmp_path, "world 1")
    assert (tmp_path / DATABASE).read_bytes() == before


def test_a_database_of_something_else_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / DATABASE) as other:
        other.execute("CREATE TABLE mine (value)")
    other.close()
    with pytest.raises(MapError, match=r"is no queue of this homerange. Choose another --builds"):
        Builds.open(tmp_path, "world 1")
