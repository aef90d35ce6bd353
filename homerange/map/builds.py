"""The builds that visitors ordered: a queue in SQLite that survives a restart, and its packages.

A folder holds ``builds.sqlite`` and one package for each finished build. The same order is the same
build: ordered twice, it is made once. Packages may take so many bytes in all; the ones that nobody
asked for longest go first. One server at a time has the folder.

An order that was being made when the server died is made again, but not for ever: what brought the
server down twice is given up.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Self

from homerange.errors import MapError
from homerange.output import obstacle

__all__ = ["DATABASE", "Build", "Builds", "QueueFull", "State", "Task"]

DATABASE = "builds.sqlite"
CACHE_BYTES = 2 * 10**9
QUEUE_MAX = 100
MOST_STARTS = 2
FAILURES_KEPT = 1000

_VERSION = 1
_APPLICATION_ID = 0x484F4D42  # "HOMB", in the header of the file
_SCHEMA = f"""
BEGIN EXCLUSIVE;
CREATE TABLE build (
    id TEXT PRIMARY KEY, turn INTEGER NOT NULL, origin TEXT NOT NULL, name TEXT NOT NULL,
    wish TEXT NOT NULL, state TEXT NOT NULL, starts INTEGER NOT NULL DEFAULT 0,
    progress REAL NOT NULL DEFAULT 0, error TEXT, bytes INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX build_turn ON build (state, turn);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_GAVE_UP = {
    "code": "gave_up",
    "message": f"the server stopped {MOST_STARTS} times while it made this package",
    "next": "Choose a smaller place, or tell who runs this server.",
}

State = Literal["queued", "running", "done", "failed"]


class QueueFull(Exception):
    """So many builds wait already that no other is taken."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """How far a build is."""

    id: str
    name: str
    """Of the package."""
    state: State
    position: int
    """1 for the next of the queue; 0 where it does not wait."""
    progress: float
    """From 0 to 1."""
    error: Mapping[str, str] | None
    """Why it failed: code, message, next."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A build that is to be made now."""

    id: str
    name: str
    wish: str
    path: Path
    """Where the package goes."""


class Builds:
    """The builds of one folder. Any thread may use it."""

    def __init__(
        self, folder: Path, database: sqlite3.Connection, queue_max: int, cache_bytes: int
    ) -> None:
        """Use ``Builds.open``; this only joins a folder with its open database."""
        self._folder = folder
        self._db = database
        self._queue_max = queue_max
        self._cache_bytes = cache_bytes
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        folder: Path,
        origin: str,
        *,
        queue_max: int = QUEUE_MAX,
        cache_bytes: int = CACHE_BYTES,
    ) -> Self:
        """Open the builds of a folder, or begin one; what was being made waits again.

        Args:
            folder: Made if it is not there.
            origin: What all its packages are cut from. Builds of another are forgotten.
            queue_max: How many may wait or be made at a time.
            cache_bytes: How much the packages may take; the newest stays, however large.

        Raises:
            MapError: If the folder cannot be used, or another server uses it.
        """
        path = folder / DATABASE
        if found := obstacle(path):
            raise MapError(f"{path}: {found}")
        with _explained(path):
            folder.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(
                path, timeout=1, isolation_level=None, check_same_thread=False
            )
        builds = cls(folder, database, queue_max, cache_bytes)
        try:
            with _explained(path):
                builds._begin(path, origin)
        except BaseException:
            database.close()
            raise
        return builds

    def close(self) -> None:
        """Close the database; a later server goes on from here."""
        with self._lock:
            self._db.close()

    def submit(self, id: str, *, origin: str, name: str, wish: str) -> Build:
        """Order a build, or find it where it was ordered before.

        One that failed is tried again.

        Raises:
            QueueFull: If it is new and too many wait.
        """
        with self._transaction():
            build = self._find(id)
            if build is None or build.state == "failed":
                self._refuse_a_full_queue()
                self._db.execute(
                    "INSERT OR REPLACE INTO build (id, turn, origin, name, wish, state) "
                    "VALUES (?, ?, ?, ?, ?, 'queued')",
                    (id, time.time_ns(), origin, name, wish),
                )
                build = self._find(id)
        assert build
        return build

    def get(self, id: str) -> Build | None:
        """Say how far a build is; None for one that was never ordered, or is forgotten."""
        with self._transaction():
            return self._find(id)

    def take(self) -> Task | None:
        """Begin the next build; None where none waits."""
        with self._transaction():
            row = self._db.execute(
                "UPDATE build SET state = 'running', starts = starts + 1, progress = 0 "
                "WHERE id = (SELECT id FROM build WHERE state = 'queued' ORDER BY turn LIMIT 1) "
                "RETURNING id, name, wish"
            ).fetchone()
        if row is None:
            return None
        id, name, wish = row
        return Task(id=id, name=name, wish=wish, path=self._package(id))

    def report(self, id: str, progress: float) -> None:
        """Say how much of a build is made, from 0 to 1."""
        with self._transaction():
            self._db.execute("UPDATE build SET progress = ? WHERE id = ?", (progress, id))

    def finish(self, id: str) -> None:
        """Say that the package of a build is there, and make room for it."""
        size_bytes = self._package(id).stat().st_size
        with self._transaction():
            self._db.execute(
                "UPDATE build SET state = 'done', progress = 1, bytes = ?, turn = ? WHERE id = ?",
                (size_bytes, time.time_ns(), id),
            )
            self._make_room(keep=id)

    def fail(self, id: str, error: Mapping[str, str]) -> None:
        """Say why a build cannot be made."""
        with self._transaction():
            self._db.execute(
                "UPDATE build SET state = 'failed', error = ? WHERE id = ?",
                (json.dumps(dict(error)), id),
            )
            self._db.execute(
                "DELETE FROM build WHERE id IN (SELECT id FROM build WHERE state = 'failed' "
                "ORDER BY turn DESC LIMIT -1 OFFSET ?)",
                (FAILURES_KEPT,),
            )

    def open_package(self, id: str) -> BinaryIO:
        """Open the package of a finished build, which then counts as the last one asked for."""
        with self._transaction():
            file = self._package(id).open("rb")
            self._db.execute("UPDATE build SET turn = ? WHERE id = ?", (time.time_ns(), id))
            return file

    def _begin(self, path: Path, origin: str) -> None:
        # One server at a time, and no shared memory, so that it works on network drives too.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        ((application,),) = self._db.execute("PRAGMA application_id")
        ((version,),) = self._db.execute("PRAGMA user_version")
        ((tables,),) = self._db.execute("SELECT count(*) FROM sqlite_master")
        if not tables:
            self._db.executescript(_SCHEMA)
        elif (application, version) != (_APPLICATION_ID, _VERSION):
            raise MapError(f"{path}: is no queue of this homerange. Choose another --builds")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self._transaction():
            for (id,) in self._db.execute("SELECT id FROM build WHERE origin != ?", (origin,)):
                self._package(id).unlink(missing_ok=True)
            self._db.execute("DELETE FROM build WHERE origin != ?", (origin,))
            for (id,) in self._db.execute("SELECT id FROM build WHERE state = 'running'"):
                for part in self._folder.glob(f".{id}.*.part"):
                    part.unlink(missing_ok=True)
            self._db.execute(
                "UPDATE build SET state = 'failed', error = ? "
                "WHERE state = 'running' AND starts >= ?",
                (json.dumps(_GAVE_UP), MOST_STARTS),
            )
            self._db.execute("UPDATE build SET state = 'queued' WHERE state = 'running'")

    def _find(self, id: str) -> Build | None:
        row = self._db.execute(
            "SELECT name, state, progress, error, turn FROM build WHERE id = ?", (id,)
        ).fetchone()
        if row is None:
            return None
        name, state, progress, error, turn = row
        if state == "done" and not self._package(id).is_file():
            self._db.execute("DELETE FROM build WHERE id = ?", (id,))
            return None
        position = self._count("state = 'queued' AND turn <= ?", turn) if state == "queued" else 0
        return Build(
            id=id,
            name=name,
            state=state,
            position=position,
            progress=progress,
            error=json.loads(error) if error else None,
        )

    def _refuse_a_full_queue(self) -> None:
        if self._count("state IN ('queued', 'running')") >= self._queue_max:
            raise QueueFull

    def _make_room(self, keep: str) -> None:
        """Remove the packages that nobody asked for longest, until the others fit."""
        ((used_bytes,),) = self._db.execute("SELECT total(bytes) FROM build")
        rows = self._db.execute("SELECT id, bytes FROM build WHERE state = 'done' ORDER BY turn")
        for id, size_bytes in rows.fetchall():
            if used_bytes <= self._cache_bytes:
                return
            if id == keep:
                continue
            self._package(id).unlink(missing_ok=True)
            self._db.execute("DELETE FROM build WHERE id = ?", (id,))
            used_bytes -= size_bytes

    def _count(self, where: str, *values: object) -> int:
        ((count,),) = self._db.execute(f"SELECT count(*) FROM build WHERE {where}", values)
        return int(count)

    def _package(self, id: str) -> Path:
        return self._folder / f"{id}.homerange"

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Let one thread at a time change the file: all of the block, or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say what keeps a folder of builds from being used."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise MapError(f"{path}: cannot be used ({error}). Choose another --builds") from error
        raise MapError(
            f"{path}: another server uses it. Stop that one, or choose another --builds"
        ) from error
    except (OSError, sqlite3.DatabaseError) as error:
        raise MapError(f"{path}: cannot be used ({error}). Choose another --builds") from error
