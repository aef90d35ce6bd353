"""The journal of a run: a SQLite file beside the results that remembers every answer.

A run that stops, for whatever reason, loses at most the batches that it was working on; the same
command goes on from there. The results are written from the journal, photo by photo, so neither
the run nor its end needs memory for all photos.

A journal belongs to one package, one source and one rate of video frames; with another it refuses
to go on. It keeps the size and the time of change of every photo, so a photo that was replaced is
looked at again. It keeps no failure from one run to the next: a card that was pulled out may be
back.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from homerange.errors import RunError
from homerange.run.answers import Answer, Burst, answer_of, photo_of, row_of, row_of_answer
from homerange.run.sources import Fingerprint, Photo, fingerprint

__all__ = ["JOURNAL_VERSION", "Identity", "Journal", "Listing", "journal_path"]

JOURNAL_VERSION = 2
_APPLICATION_ID = 0x484F4D45  # "HOME", in the header of the file
_SCHEMA = f"""
BEGIN EXCLUSIVE;
CREATE TABLE identity (
    package_sha256 TEXT, package_name TEXT, source TEXT, fps REAL, first_look TEXT
);
CREATE TABLE photo (
    seq INTEGER PRIMARY KEY, file TEXT UNIQUE NOT NULL, path BLOB NOT NULL, truth TEXT,
    problem TEXT, given TEXT
);
CREATE TABLE answer (
    file TEXT PRIMARY KEY, size_bytes INTEGER, mtime_ns INTEGER,
    datetime TEXT, failure TEXT, top TEXT NOT NULL, blank REAL,
    outside INTEGER, video TEXT, scores BLOB, looks TEXT
) WITHOUT ROWID;
CREATE TABLE burst (
    key TEXT PRIMARY KEY, photos INTEGER, first_time TEXT, last_time TEXT, top TEXT
) WITHOUT ROWID;
CREATE TABLE in_burst (file TEXT PRIMARY KEY, key TEXT) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {JOURNAL_VERSION};
COMMIT;
"""


_LISTED = """
CREATE TEMP TABLE listed (file TEXT, path BLOB, truth TEXT, problem TEXT, given TEXT)
"""
_NEXT_PHOTOS = """
SELECT seq, file, path, truth, problem, given, top FROM photo LEFT JOIN answer USING (file)
WHERE seq > ? ORDER BY seq LIMIT ?
"""
_ANSWERS = """
SELECT file, path, truth, problem, given, size_bytes, mtime_ns, datetime, failure, answer.top,
    blank, outside, video, looks, key, photos, first_time, last_time, burst.top
FROM photo JOIN answer USING (file) LEFT JOIN in_burst USING (file) LEFT JOIN burst USING (key)
ORDER BY seq
"""
_TIMED = """
SELECT file, datetime FROM photo JOIN answer USING (file)
WHERE datetime IS NOT NULL AND scores IS NOT NULL
ORDER BY rtrim(file, replace(file, '/', '')), datetime, file
"""  # rtrim: the folder of the file, up to its last slash
_FAR = """
SELECT rtrim(rtrim(file, replace(file, '/', '')), '/') AS folder, max(outside), count(*)
FROM photo JOIN answer USING (file) WHERE outside > 0 GROUP BY folder ORDER BY folder
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a journal belongs to."""

    package_sha256: str
    package_name: str
    source: str
    """Absolute path of the folder, photo or list."""
    fps: float = 1.0
    """Frames a second that are looked at in videos."""
    first_look: str = ""
    """Which detector looked first, and from which confidence it is believed; empty without one."""


@dataclass(frozen=True, slots=True)
class Listing:
    """How many photos a run is about."""

    photos: int
    repeated: int
    """Photos that were left out because an earlier one has the same name."""
    answered: int
    """Photos that an earlier run answered."""


def journal_path(output: Path) -> Path:
    """Return where the journal of the results ``output`` is.

    Example:
        >>> journal_path(Path("a/results.json")).name
        'results.json.journal'
    """
    return output.with_name(f"{output.name}.journal")


class Journal:
    """An open journal. Use it in a ``with`` block, from one thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Use ``Journal.open``; this only joins a path with its open file."""
        self._path = path
        self._db = connection

    @classmethod
    def open(cls, path: Path, identity: Identity, *, fresh: bool = False) -> Self:
        """Open the journal at ``path``, or begin one.

        Args:
            path: The journal, see `journal_path`.
            identity: Package and source of this run.
            fresh: Forget what an older journal knows.

        Raises:
            RunError: If the file is no journal, is damaged or in use, has another version, or
                belongs to another package or source. The message names the ways out.
        """
        _check_header(path)
        if fresh:
            path.unlink(missing_ok=True)  # SQLite then drops what a killed run left beside it
        with _explained(path):
            connection = sqlite3.connect(path, timeout=1, isolation_level=None)
        journal = cls(path, connection)
        try:
            with _explained(path):
                journal._begin(identity)
        except BaseException:
            connection.close()
            raise
        return journal

    def __enter__(self) -> Self:
        """Return the journal itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; every answer that was added is safe."""
        self._db.close()

    def set_photos(self, photos: Iterable[Photo], *, by_name: bool = False) -> Listing:
        """Set which photos this run is about; forget failures, and answers to changed photos.

        Of photos with the same name only the first counts.

        Args:
            photos: The photos, taken one by one.
            by_name: Put them in the order of their names; else they keep their order.
        """
        given = 0

        def rows() -> Iterator[tuple[object, ...]]:
            """Count the photos while they are written down."""
            nonlocal given
            for photo in photos:
                given += 1
                yield row_of(photo)

        order = "file, rowid" if by_name else "rowid"
        self.forget_failures()
        with self._transaction():
            self._db.execute("DELETE FROM photo")
            self._db.execute(_LISTED)  # SQLite sorts on disk, so memory is the same for any number
            self._db.executemany("INSERT INTO listed VALUES (?, ?, ?, ?, ?)", rows())
            self._db.execute(
                "INSERT OR IGNORE INTO photo (file, path, truth, problem, given) "
                f"SELECT * FROM listed ORDER BY {order}"
            )
            self._db.execute("DROP TABLE listed")
            self._forget_changed()
        ((kept,),) = self._db.execute("SELECT count(*) FROM photo")
        return Listing(photos=kept, repeated=given - kept, answered=self.answered())

    def forget_failures(self) -> None:
        """Look again at what could not be read: a card that was pulled out may be back."""
        with self._transaction():
            self._db.execute("DELETE FROM answer WHERE failure IS NOT NULL")

    def add_photo(self, photo: Photo) -> None:
        """Add a photo to this run, behind all others; forget its answer if it changed."""
        with self._transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO photo (file, path, truth, problem, given) "
                "VALUES (?, ?, ?, ?, ?)",
                row_of(photo),
            )
            self._db.execute("DELETE FROM answer WHERE file = ?", (photo.file,))

    def knows(self, photo: Photo, now: Fingerprint) -> bool:
        """Whether there is an answer, or a failure, for a photo as it is now."""
        row = self._db.execute(
            "SELECT size_bytes, mtime_ns FROM answer WHERE file = ?", (photo.file,)
        ).fetchone()
        return row is not None and tuple(row) == now

    def _forget_changed(self) -> None:
        self._db.execute("CREATE TEMP TABLE changed (file TEXT)")
        rows = self._db.execute(
            "SELECT file, path, size_bytes, mtime_ns FROM photo JOIN answer USING (file)"
        )
        changed = (
            (file,)
            for file, path, *before in rows
            if fingerprint(Path(os.fsdecode(path))) != tuple(before)
        )
        self._db.executemany("INSERT INTO changed VALUES (?)", changed)
        self._db.execute("DELETE FROM answer WHERE file IN (SELECT file FROM changed)")
        self._db.execute("DROP TABLE changed")

    def answered(self) -> int:
        """Count the photos of this run that have an answer."""
        ((count,),) = self._db.execute("SELECT count(*) FROM photo JOIN answer USING (file)")
        return int(count)

    def pending(self, size: int) -> Iterator[list[Photo]]:
        """Give the photos without an answer, batch by batch, in order.

        The photos are cut into batches of ``size`` before the answered ones are left out. So a
        photo has the same neighbours in its batch, and the same last digits in its answer, in a
        run that was interrupted as in one that was not.
        """
        seq = 0
        while rows := self._db.execute(_NEXT_PHOTOS, (seq, size)).fetchall():
            seq = rows[-1][0]
            if batch := [photo_of(row[1:6]) for row in rows if row[6] is None]:
                yield batch

    def add(self, answers: Sequence[Answer]) -> None:
        """Remember answers: once this returns, a kill does not lose them."""
        places = ", ".join("?" * 11)
        with self._transaction():
            self._db.executemany(
                f"INSERT OR REPLACE INTO answer VALUES ({places})", map(row_of_answer, answers)
            )

    def answers(self) -> Iterator[tuple[Photo, Answer]]:
        """Give every photo of this run with its answer, in order, one by one."""
        for row in self._db.execute(_ANSWERS):
            yield photo_of(row[:5]), answer_of(row)

    def timed(self) -> Iterator[tuple[str, str]]:
        """Give name and time of every photo with scores.

        They come folder by folder, within a folder in the order of time.
        """
        yield from self._db.execute(_TIMED)

    def scores(self, file: str) -> bytes:
        """Give the scores of a photo that `timed` named."""
        ((scores,),) = self._db.execute("SELECT scores FROM answer WHERE file = ?", (file,))
        return bytes(scores)

    def set_bursts(self, bursts: Iterable[tuple[Burst, Sequence[str]]]) -> None:
        """Remember the bursts of this run and the names of their photos, instead of older ones."""
        with self._transaction():
            self._db.execute("DELETE FROM burst")
            self._db.execute("DELETE FROM in_burst")
            for burst, files in bursts:
                values = (*astuple(burst)[:4], json.dumps(burst.top))
                self._db.execute("INSERT INTO burst VALUES (?, ?, ?, ?, ?)", values)
                self._db.executemany(
                    "INSERT INTO in_burst VALUES (?, ?)", ((file, burst.key) for file in files)
                )

    def far(self) -> Iterator[tuple[str, int, int]]:
        """Give the folders with photos taken outside the place: name, largest band, photos."""
        yield from self._db.execute(_FAR)

    def _begin(self, identity: Identity) -> None:
        # One run at a time. Without shared memory, so that it works on network drives too.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        if not self._db.execute("PRAGMA user_version").fetchone()[0]:
            self._db.executescript(_SCHEMA)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._check_version()
        with self._transaction():
            self._check_identity(identity)

    def _check_version(self) -> None:
        ((version,),) = self._db.execute("PRAGMA user_version")
        if version != JOURNAL_VERSION:
            raise RunError(
                f"{self._path}: is a journal of version {version}; this homerange reads version "
                f"{JOURNAL_VERSION}. {_WAYS_OUT}"
            )

    def _check_identity(self, new: Identity) -> None:
        row = self._db.execute("SELECT * FROM identity").fetchone()
        if row is None:
            self._db.execute("INSERT INTO identity VALUES (?, ?, ?, ?, ?)", astuple(new))
            return
        old = Identity(*row)
        if old.package_sha256 != new.package_sha256:
            raise RunError(
                f"{self._path}: belongs to a run of the package {_named(old)}, and this is "
                f"{_named(new)}. {_WAYS_OUT}"
            )
        if old.source != new.source:
            raise RunError(
                f"{self._path}: belongs to a run over {old.source}, and this is one over "
                f"{new.source}. {_WAYS_OUT}"
            )
        if old.fps != new.fps:
            raise RunError(
                f"{self._path}: belongs to a run that looked at {old.fps:g} frames a second of "
                f"videos, and this is one with {new.fps:g}. {_WAYS_OUT}"
            )
        if old.first_look != new.first_look:
            raise RunError(
                f"{self._path}: belongs to a run with {old.first_look or 'no detector'}, and this "
                f"is one with {new.first_look or 'no detector'}. {_WAYS_OUT}"
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _explained(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.rollback()
                raise
            self._db.execute("COMMIT")


_WAYS_OUT = "Choose another output, or begin anew with --fresh"


def _check_header(path: Path) -> None:
    """Let in our own journals, empty files and nothing: what is not ours is never overwritten."""
    header = b""
    if path.exists():
        try:
            with path.open("rb") as file:
                header = file.read(72)
        except OSError as error:
            raise RunError(f"{path}: cannot be read ({error.strerror})") from error
    ours = header[:16] == b"SQLite format 3\0" and header[68:] == _APPLICATION_ID.to_bytes(4, "big")
    if header and not ours:
        raise RunError(
            f"{path}: is no journal of homerange, so it is left alone. Choose another output"
        )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite into ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise RunError(
                f"{path}: is in use by another run. Wait for it, or choose another output"
            ) from error
        raise RunError(
            f"{path}: the journal cannot be written ({error}). What was answered before is safe; "
            "make room or choose another output"
        ) from error
    except sqlite3.DatabaseError as error:
        raise RunError(f"{path}: the journal is damaged ({error}). {_WAYS_OUT}") from error


def _named(identity: Identity) -> str:
    return f"{identity.package_name} ({identity.package_sha256[:12]})"
