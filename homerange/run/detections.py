"""Boxes from the results of a detector that ran before: MegaDetector's format, 1.0 to 1.6.

Source: https://lila.science/megadetector-output-format. Any detector that writes it will do. The
file is read piece by piece into a temporary SQLite file, because that of a million photos would
fill the memory. MegaDetector writes the meaning of its categories after the photos, so they are
looked up last.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import IO, Self

from homerange.errors import ImageError, RunError
from homerange.run.looks import CATEGORIES, Box, Category
from homerange.run.sources import Photo

__all__ = ["Detections"]

CHUNK_CHARACTERS = 1 << 16
_AFTER_VALUE = tuple(" \t\r\n,:]}")
OUTSIDE = 0.01  # as far as `homerange.data.images` lets a box stick out of its photo
_NAMES: dict[str, Category] = {name: name for name in CATEGORIES} | {"human": "person"}


class Detections:
    """What a detector saw in each photo. `find` may be called from several threads."""

    name: str
    """Of the detector, with the beginning of the hash of the file."""

    def __init__(self, path: Path) -> None:
        """Use ``Detections.open``; this only makes an empty table."""
        self._path = path
        self._db = sqlite3.connect("", check_same_thread=False)  # "": a file that nobody sees
        self._db.execute("CREATE TABLE image (file TEXT PRIMARY KEY, entry TEXT) WITHOUT ROWID")
        self._lock = Lock()
        self._categories: dict[str, Category] = {}
        self.name = path.name

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read a file of results.

        Raises:
            RunError: If it cannot be read, is not of this format, or has categories other than
                animal, person (or human) and vehicle.
        """
        found = cls(path)
        head: dict[str, object] = {}
        try:
            with path.open(encoding="utf-8") as file, found._db:
                for key, value in _members(file):
                    if key == "images":
                        found._add(value)
                    else:
                        head[key] = value
            with path.open("rb") as data:
                sha256 = hashlib.file_digest(data, "sha256").hexdigest()
        except OSError as error:
            raise RunError(f"{path}: cannot be read ({error.strerror})") from error
        except (ValueError, RecursionError) as error:
            raise RunError(
                f"{path}: is no JSON of MegaDetector results ({error}). Expected the file that a "
                "detector wrote"
            ) from error
        found._set_head(head, sha256)
        return found

    def __contains__(self, file: str) -> bool:
        """Whether the file says anything of the photo of this name."""
        return self._entry(file) is not None

    @property
    def first(self) -> str:
        """The name of a photo in the file, the first by its name; an empty text without any."""
        with self._lock:
            row = self._db.execute("SELECT min(file) FROM image").fetchone()
        return row[0] or ""

    def find(self, photo: Photo) -> tuple[Box, ...]:
        """Return the boxes of one photo, the surest first.

        Raises:
            ImageError: If the results do not name the photo, or say that the detector failed.
        """
        entry = self._entry(photo.file)
        if entry is None:
            raise ImageError(f"{photo.path}: {self._path.name} does not name this photo")
        if entry.get("failure") is not None:
            raise ImageError(f"{photo.path}: the detector failed: {entry['failure']}")
        try:
            boxes = [self._box(one) for one in entry["detections"]]  # type: ignore[attr-defined]
        except (KeyError, TypeError, ValueError) as error:
            raise ImageError(
                f"{photo.path}: {self._path.name} has a box that is none ({error!r})"
            ) from error
        return tuple(sorted(boxes, key=lambda box: -box.confidence))

    def _entry(self, file: str) -> dict[str, object] | None:
        with self._lock:
            row = self._db.execute("SELECT entry FROM image WHERE file = ?", (file,)).fetchone()
        return None if row is None else json.loads(row[0])

    def _box(self, one: dict[str, object]) -> Box:
        confidence = float(one["conf"])  # type: ignore[arg-type]
        left, top, width, height = (float(x) for x in one["bbox"])  # type: ignore[attr-defined]
        fits = -OUTSIDE <= min(left, top) and max(left + width, top + height) <= 1 + OUTSIDE
        if not (0 <= confidence <= 1 and width > 0 and height > 0 and fits):
            raise ValueError(f"confidence {confidence}, box {[left, top, width, height]}")
        return Box(self._categories[str(one["category"])], confidence, (left, top, width, height))

    def _add(self, image: object) -> None:
        if not isinstance(image, dict) or not isinstance(image.get("file"), str):
            raise ValueError(f"an image without a file: {str(image)[:80]}")
        kept = {key: image.get(key) for key in ("failure", "detections")}
        name = image["file"].replace("\\", "/")
        self._db.execute("INSERT OR IGNORE INTO image VALUES (?, ?)", (name, json.dumps(kept)))

    def _set_head(self, head: dict[str, object], sha256: str) -> None:
        info, categories = head.get("info"), head.get("detection_categories")
        if not isinstance(info, dict) or not isinstance(categories, dict):
            raise RunError(
                f"{self._path}: lacks 'info' or 'detection_categories'; expected the results of "
                "MegaDetector or of a tool that writes its format"
            )
        version = str(info.get("format_version", "1.0"))
        if version.split(".")[0] != "1":
            raise RunError(
                f"{self._path}: is of format version {version}; this homerange reads 1.0 to 1.6"
            )
        for key, name in categories.items():
            if name not in _NAMES:
                raise RunError(
                    f"{self._path}: has the category {name!r}; expected {', '.join(_NAMES)}"
                )
            self._categories[key] = _NAMES[name]
        self.name = f"{info.get('detector') or 'unknown detector'} {sha256[:12]}"


def _members(file: IO[str]) -> Iterator[tuple[str, object]]:
    """Give the members of a JSON object; of ``images``, a list, one element after the other.

    Raises:
        ValueError: If it is no JSON object, or ends too early.
    """
    text = _Text(file)
    text.take("{")
    while (key := text.value()) is not None:
        text.take(":")
        if key == "images":
            text.take("[")
            while text.peek() != "]":
                yield "images", text.value()
                if text.peek() != "]":
                    text.take(",")
            text.take("]")
        else:
            yield str(key), text.value()
        if text.peek() == "}":
            return
        text.take(",")


class _Text:
    """JSON that is read as far as the next value needs it."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._decoder = json.JSONDecoder(parse_constant=_no_number)

    def peek(self) -> str:
        """Return the next character that is no space; an empty text at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill(CHUNK_CHARACTERS):
                return ""

    def take(self, expected: str) -> None:
        """Go past one character."""
        if self.peek() != expected:
            raise ValueError(f"expected {expected!r}, found {self.peek() or 'the end'!r}")
        self._at += 1

    def value(self) -> object:
        """Read one value; each time that it is not whole yet, twice as much."""
        size = CHUNK_CHARACTERS
        self.peek()
        while True:
            with suppress(json.JSONDecodeError):
                value, end = self._decoder.raw_decode(self._text, self._at)
                if self._text[end : end + 1] in _AFTER_VALUE:  # else a number may go on
                    self._at = end
                    return value
            if not self._fill(size):
                raise ValueError("a value that does not end, or is none")
            size *= 2

    def _fill(self, size: int) -> bool:
        more = self._file.read(size)
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")
