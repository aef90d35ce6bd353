"""The journal of a run: a SQLite file beside the results that remembers every answer.

A run that stops, for whatever reason, loses at most the batches that it was working on; the same
command goes on from there. The results are written from the journal, photo by photo, so neither
the run nor its end needs memory for all photos.

A journal belongs to one package and one source; with another it refuses to go on. It keeps the
size and the time of change of every photo, so a photo that was replaced is looked at again. It
keeps no failure from one run to the next: a card that was pulled out may be back.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from homerange.errors import RunError
from homerange.run.looks import Box, Look, Ranked, outcome
from homerange.run.sources import Fingerprint, Photo, fingerprint

__all__ = ["JOURNAL_VERSION", "Answer", "Identity", "Journal", "Listing", "journal_path"]

JOURNAL_VERSION = 2
_APPLICATION_ID = 0x484F4D45  # "HOME", in the header of the file
_SCHEMA = f"""
BEGIN EXCLUSIVE;
CREATE TABLE identity (package_sha256 TEXT, package_name TEXT, source TEXT, first_look TEXT);
CREATE TABLE photo (
    seq INTEGER PRIMARY KEY, file TEXT UNIQUE NOT NULL, path BLOB NOT NULL, truth TEXT, problem TEXT
);
CREATE TABLE answer (
    file TEXT PRIMARY KEY, size_bytes INTEGER, mtime_ns INTEGER,
    datetime TEXT, failure TEXT, top TEXT NOT NULL, blank REAL, looks TEXT
) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {JOURNAL_VERSION};
COMMIT;
"""


_NEXT_PHOTOS = """
SELECT seq, file, path, truth, problem, top FROM photo LEFT JOIN answer USING (file)
WHERE seq > ? ORDER BY seq LIMIT ?
"""
_ANSWERS = """
SELECT file, path, truth, problem, size_bytes, mtime_ns, datetime, failure, top, blank, looks
FROM photo JOIN answer USING (file) ORDER BY seq
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a journal belongs to."""

    package_sha256: str
    package_name: str
    source: str
    """Absolute path of the folder, photo or list."""
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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run found out about one photo."""

    file: str
    fingerprint: Fingerprint = (None, None)
    datetime: str | None = None
    """When it was taken, as the camera wrote it."""
    failure: str | None = None
    """Why there is no answer; None where there is one."""
    top: Ranked = ()
    """The best classes, best first; of several animals, those of the one most surely seen."""
    blank: float | None = None
    """Probability of ``blank``; None where the model has no such label."""
    looks: tuple[Look, ...] | None = None
    """What a detector saw; None where the whole photo was looked at."""

    def best(self, labels: Sequence[str]) -> tuple[str, float]:
        """Return the best label and how sure it is: the detector's where nobody looked twice.

        Example:
            >>> Answer("a.jpg", top=((1, 0.75), (0, 0.25))).best(("lion", "blank"))
            ('blank', 0.75)
            >>> Answer("a.jpg", looks=()).best(("lion",))
            ('blank', 1.0)
        """
        if not self.top:
            return outcome(self.looks or ())
        index, probability = self.top[0]
        return labels[index], probability


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

    def set_photos(self, photos: Iterable[Photo]) -> Listing:
        """Set which photos this run is about; forget failures, and answers to changed photos.

        Of photos with the same name only the first counts.
        """
        given = 0

        def rows() -> Iterator[tuple[object, ...]]:
            """Count the photos while they are written down."""
            nonlocal given
            for photo in photos:
                given += 1
                yield photo.file, os.fsencode(photo.path), photo.truth, photo.problem

        with self._transaction():
            self._db.execute("DELETE FROM answer WHERE failure IS NOT NULL")
            self._db.execute("DELETE FROM photo")
            self._db.executemany(
                "INSERT OR IGNORE INTO photo (file, path, truth, problem) VALUES (?, ?, ?, ?)",
                rows(),
            )
            changed = [(p.file,) for p, a in self.answers() if fingerprint(p.path) != a.fingerprint]
            self._db.executemany("DELETE FROM answer WHERE file = ?", changed)
        ((kept,),) = self._db.execute("SELECT count(*) FROM photo")
        return Listing(photos=kept, repeated=given - kept, answered=self.answered())

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
            if batch := [_photo(row[1:5]) for row in rows if row[5] is None]:
                yield batch

    def add(self, answers: Sequence[Answer]) -> None:
        """Remember answers: once this returns, a kill does not lose them."""
        rows = [
            (
                *(a.file, *a.fingerprint, a.datetime, a.failure, json.dumps(a.top), a.blank),
                _looks_to_json(a.looks),
            )
            for a in answers
        ]
        with self._transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows
            )

    def answers(self) -> Iterator[tuple[Photo, Answer]]:
        """Give every photo of this run with its answer, in order, one by one."""
        for row in self._db.execute(_ANSWERS):
            top, looks = _ranked(json.loads(row[8])), _looks_from_json(row[10])
            yield _photo(row[:4]), Answer(row[0], row[4:6], row[6], row[7], top, row[9], looks)

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
            values = (new.package_sha256, new.package_name, new.source, new.first_look)
            self._db.execute("INSERT INTO identity VALUES (?, ?, ?, ?)", values)
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


def _looks_to_json(looks: Sequence[Look] | None) -> str | None:
    if looks is None:
        return None
    rows = [(o.box.category, o.box.confidence, o.box.bbox, o.sure, o.top) for o in looks]
    return json.dumps(rows)


def _looks_from_json(text: str | None) -> tuple[Look, ...] | None:
    if text is None:
        return None
    return tuple(
        Look(Box(category, confidence, tuple(bbox)), sure, _ranked(top))
        for category, confidence, bbox, sure, top in json.loads(text)
    )


def _ranked(rows: list[list[float]]) -> Ranked:
    return tuple((int(index), probability) for index, probability in rows)


def _photo(row: Sequence[object]) -> Photo:
    file, path, truth, problem = row
    assert isinstance(file, str)
    assert isinstance(path, bytes)
    assert truth is None or isinstance(truth, str)
    assert problem is None or isinstance(problem, str)
    return Photo(file, Path(os.fsdecode(path)), truth, problem)


def _named(identity: Identity) -> str:
    return f"{identity.package_name} ({identity.package_sha256[:12]})"
