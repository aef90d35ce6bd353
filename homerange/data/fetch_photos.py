"""Fetch many photos at once: each whole or not at all, and those that are there not again.

Photos are kept smaller and as new files without EXIF: no GPS, no serial number of a camera. A photo
that cannot be had or read is one reason in the answer, never the end; a connection that is gone
ends the fetching soon, because every further photo would only wait for its timeout.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException, InvalidURL
from pathlib import Path
from threading import Lock
from urllib.error import HTTPError

from PIL import Image

from homerange.data.download import ask, reason_of
from homerange.data.images import read_rgb
from homerange.errors import DownloadError, ImageError
from homerange.progress import progress

__all__ = ["RemotePhoto", "fetch_photos", "keep_photo"]

LONGEST_SIDE_PX = 1024
MAX_PHOTO_BYTES = 50_000_000
THREADS = 8
ROUNDS = 2
"""So often all addresses of a photo are tried."""
PAUSE_S = 1.0
GONE_AFTER = 20
"""So many photos in a row that no server answered for: the connection is gone."""


@dataclass(frozen=True)
class RemotePhoto:
    """A photo on the web."""

    path: Path
    """Where it goes."""
    urls: tuple[str, ...]
    """Where it is; the same photo at each address, tried in this order."""


def fetch_photos(photos: Sequence[RemotePhoto], *, timeout_s: float = 30) -> dict[Path, str]:
    """Fetch photos that are not there yet.

    Args:
        photos: What to fetch.
        timeout_s: Longest silence of a server, in seconds.

    Returns:
        Reason for each photo that is not there now, by its path.

    Raises:
        DownloadError: If the connection is gone. What came is kept, and the next call goes on.
    """
    missing = [photo for photo in photos if not photo.path.is_file()]
    line = _Line(timeout_s)
    problems: dict[Path, str] = {}
    done = len(photos) - len(missing)
    with (
        progress("photos", len(photos), unit="photos", done=done) as step,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        try:
            for photo, problem in zip(missing, pool.map(line.fetch, missing), strict=True):
                step()
                if problem:
                    problems[photo.path] = problem
        finally:
            line.stopped = True  # after an interrupt nothing waits for what is still queued
    if line.gone:
        raise DownloadError(
            f"the connection is gone: no server answered for {GONE_AFTER} photos in a row (last: "
            f"{line.gone}). {len(photos) - len(problems):,} of {len(photos):,} photos are there; "
            "give the same command again when you are connected, and it goes on"
        )
    return problems


def keep_photo(data: bytes, path: Path, longest_side_px: int) -> None:
    """Write a photo smaller, as a new JPEG without EXIF, whole or not at all.

    Args:
        data: The photo as it came.
        path: Where it goes; its folder is made.
        longest_side_px: A smaller photo keeps its size.

    Raises:
        ImageError: If it cannot be read as a photo.
        OSError: If it cannot be written.
    """
    picture = Image.fromarray(read_rgb(data, at_least_px=longest_side_px))
    picture.thumbnail((longest_side_px, longest_side_px))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        picture.save(part, "JPEG", quality=88)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@dataclass
class _Line:
    """The connection that all threads share, as far as they know it."""

    timeout_s: float
    stopped: bool = False
    gone: str = ""
    """Why it is gone; empty while it is there."""
    _silent: int = 0
    _lock: Lock = field(default_factory=Lock)

    def fetch(self, photo: RemotePhoto) -> str:
        """Fetch one photo; return what went wrong, or nothing."""
        if self.stopped or self.gone:
            return "not tried: the connection was gone"
        try:
            keep_photo(self._read(photo.urls), photo.path, LONGEST_SIDE_PX)
        except ImageError as error:
            return f"not a readable photo: {error}"
        except (OSError, HTTPException) as error:
            return reason_of(error)
        return ""

    def _read(self, urls: tuple[str, ...]) -> bytes:
        """Read a photo from the first address that gives it, or raise what the last one said."""
        left = list(urls)
        problem: Exception = OSError("no address is known")
        for attempt in range(ROUNDS):
            for url in list(left):
                try:
                    data = self._read_one(url)
                    self._heard()
                    return data
                except HTTPError as error:
                    self._heard()
                    problem = error
                    if error.code < 500:
                        left.remove(url)  # it will not be there a second later
                except InvalidURL as error:
                    problem = error
                    left.remove(url)
                except (OSError, HTTPException) as error:
                    problem = error
                if self.stopped or self.gone:
                    raise problem
            if not left:
                break
            time.sleep(PAUSE_S * (attempt + 1 < ROUNDS))
        if not isinstance(problem, HTTPError | InvalidURL):
            self._unheard(problem)
        raise problem

    def _read_one(self, url: str) -> bytes:
        data = bytearray()
        with ask(url, timeout_s=self.timeout_s) as response:
            while piece := response.read1(1 << 16):
                data += piece
                if len(data) > MAX_PHOTO_BYTES:
                    raise OSError(f"more than {MAX_PHOTO_BYTES:,} bytes")
                if self.stopped:
                    raise OSError("stopped")
            if response.length:
                raise ConnectionError(
                    f"the connection broke {response.length:,} bytes before the end"
                )
        return bytes(data)

    def _heard(self) -> None:
        with self._lock:
            self._silent = 0

    def _unheard(self, problem: Exception) -> None:
        with self._lock:
            self._silent += 1
            if self._silent >= GONE_AFTER:
                self.gone = reason_of(problem)
