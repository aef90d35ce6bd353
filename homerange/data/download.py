"""Download one large file: bounded, with progress, and going on where an earlier try stopped.

Source: HTTP ranges, RFC 9110: ``Range`` asks for the rest, ``If-Range`` only if the file is still
the same. A server that knows no ranges, or has another file by now, sends all of it, and the
download starts again. What came so far is kept beside the file as ``NAME.part``, with the server's
mark of that version as ``NAME.part.version``.
"""

import re
import shutil
import ssl
import time
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from homerange.errors import DownloadError
from homerange.progress import progress

__all__ = ["USER_AGENT", "ask", "fetch_file", "reason_of"]

USER_AGENT = "homerange"
TRIES = 5
"""So often in a row a download may stop without a single new byte."""
PAUSE_S = 1.0
_MIB = 1 << 20
_RANGE = re.compile(r"bytes (?:(?P<first>\d+)-\d+|\*)/(?P<total>\d+)")
_NO_RANGE = 416


def fetch_file(url: str, path: Path, *, max_bytes: int, timeout_s: float = 30) -> None:
    """Download a file, unless it is there.

    Args:
        url: Where it is.
        path: Where it goes; its folder is made.
        max_bytes: A larger file is refused.
        timeout_s: Longest silence of the server, in seconds.

    Raises:
        DownloadError: If the server cannot be reached, refuses, or breaks off too often; the file
            is too large, or cannot be written. What came is kept, and the next call goes on.
    """
    if path.is_file():
        return
    part = _Part(path.with_name(path.name + ".part"))
    failures = 0
    while True:
        had = part.size
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _fetch_rest(url, part, max_bytes, timeout_s)
            part.path.replace(path)
            part.version_path.unlink(missing_ok=True)
            return
        except HTTPError as error:
            if error.code < 500:
                raise DownloadError(_failed(url, path, error)) from error
            problem: Exception = error
        except (URLError, TimeoutError, ConnectionError, ssl.SSLError, HTTPException) as error:
            problem = error
        except DownloadError:
            raise
        except OSError as error:
            raise DownloadError(f"{path}: cannot be written ({error.strerror or error})") from error
        failures = 1 if part.size > had else failures + 1
        if failures == TRIES:
            raise DownloadError(_failed(url, path, problem)) from problem
        time.sleep(PAUSE_S * failures)


def ask(url: str, headers: dict[str, str] | None = None, *, timeout_s: float) -> HTTPResponse:
    """Ask for an address, whose path may hold spaces and letters of any language.

    Raises:
        OSError, HTTPException: If there is no answer, or one that is an error. ``InvalidURL``, an
            HTTPException, if it is no address.
    """
    safe = quote(url, safe=":/?&=%+,;@!$'()*~")  # but not "#", which is part of file names
    try:
        request = Request(safe, headers={"User-Agent": USER_AGENT, **(headers or {})})
        response: HTTPResponse = urlopen(request, timeout=timeout_s)
    except ValueError as error:
        raise InvalidURL(str(error)) from error
    except HTTPError as error:
        error.close()  # it holds the connection
        raise
    return response


def reason_of(error: Exception) -> str:
    """Say in a few words what went wrong on the way.

    Example:
        >>> reason_of(URLError("no route")), reason_of(TimeoutError())
        ('no route', 'TimeoutError')
    """
    if isinstance(error, URLError) and not isinstance(error, HTTPError):
        return str(error.reason)
    return str(error) or type(error).__name__


@dataclass
class _Part:
    """What came so far, and of which version of the file."""

    path: Path

    @property
    def version_path(self) -> Path:
        return self.path.with_name(self.path.name + ".version")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def version(self) -> str:
        return self.version_path.read_text() if self.version_path.is_file() else ""

    def start(self, version: str) -> None:
        """Begin a version of the file; one without a mark cannot be gone on with."""
        self.path.write_bytes(b"")
        self.version_path.write_text(version)


def _fetch_rest(url: str, part: _Part, max_bytes: int, timeout_s: float) -> None:
    """Fetch what is missing, or raise what stopped it."""
    have = part.size if part.version else 0
    headers = {"Range": f"bytes={have}-", "If-Range": part.version} if have else {}
    try:
        response = ask(url, headers, timeout_s=timeout_s)
    except HTTPError as error:
        total = _total_of(error.headers.get("Content-Range"))
        if error.code == _NO_RANGE and total == have:
            return  # all of it had come
        if error.code == _NO_RANGE:
            part.start("")
            raise ConnectionError("the server has another file by now") from error
        raise
    with response:
        if response.status != 206 or not _continues(response, have):
            have = 0
            part.start(_version_of(response))
        total = have + (response.length or 0)
        _check_size(url, part.path, total, total - have, max_bytes)
        _append(response, part, have, total, max_bytes)


def _append(response: HTTPResponse, part: _Part, have: int, total: int, max_bytes: int) -> None:
    known = response.length is not None
    title, done = f"download {part.path.stem}", have // _MIB
    with (
        part.path.open("ab") as file,
        progress(title, -(-total // _MIB), unit="MiB", done=done) as step,
    ):
        while piece := response.read1(_MIB):
            file.write(piece)
            have += len(piece)
            if have > max_bytes:
                raise DownloadError(f"{part.path}: more than {max_bytes:,} bytes came")
            now = -(-have // _MIB) if have == total else have // _MIB
            step(now - done)
            done = now
    if known and have < total:
        raise ConnectionError(f"the connection broke {total - have:,} bytes before the end")


def _continues(response: HTTPResponse, have: int) -> bool:
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return found is not None and found["first"] == str(have)


def _total_of(content_range: str | None) -> int | None:
    found = _RANGE.fullmatch(content_range or "")
    return int(found["total"]) if found else None


def _version_of(response: HTTPResponse) -> str:
    """Return the server's mark of this version of a file; weak marks do not hold for ranges."""
    etag = response.headers.get("ETag", "")
    return response.headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag


def _check_size(url: str, path: Path, total: int, missing: int, max_bytes: int) -> None:
    if total > max_bytes:
        raise DownloadError(f"{url}: has {total:,} bytes; expected at most {max_bytes:,}")
    free = shutil.disk_usage(path.parent).free
    if missing > free:
        raise DownloadError(
            f"{url}: {missing:,} bytes are missing, and only {free:,} are free in {path.parent}. "
            "Make room, or choose another folder"
        )


def _failed(url: str, path: Path, error: Exception) -> str:
    return (
        f"{url}: cannot be downloaded ({reason_of(error)}). Check the connection and give the same "
        f"command again: it goes on from what came. Or put the file there by hand: {path}"
    )
