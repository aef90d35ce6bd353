"""Tell a server which species was seen, and nothing that leads to it.

A post holds the species, its probability, the bare name of the file and the name of the package: no
folder, no coordinates, no time. Nothing is posted of a sensitive species, of an answer that one of
them contests, of people, or of what is not named down to the species.

Posts wait in a queue of fixed length and are sent by a thread of their own, so a server that is
slow or gone never holds up the run; what no longer fits is dropped and counted.
"""

import json
import time
import urllib.request
from collections.abc import Callable
from queue import Empty, Full, Queue
from threading import Event, Thread
from urllib.parse import urlsplit

from homerange.data.sensitive import is_sensitive
from homerange.errors import ConfigError
from homerange.run.answers import Answer
from homerange.run.results.naming import best_name
from homerange.run.sources import Photo
from homerange.world.place_package import PlacePackage

__all__ = ["Webhook", "post_of"]

MOST_WAITING = 1000
CONTESTS = 0.1
"""A sensitive species with this probability keeps an answer from being posted."""

_TRIES = 3
_TIMEOUT_S = 10.0


def post_of(
    photo: Photo, answer: Answer, package: PlacePackage, sensitive: frozenset[str]
) -> dict[str, object] | None:
    """Return what may be told about a photo; None where nothing may.

    Args:
        photo: The photo.
        answer: Its answer.
        package: The package that gave it.
        sensitive: Names as `homerange.data.sensitive.sensitive_names` gives them.
    """
    name = best_name(answer, package)
    if name is None or not name.is_animal or not name.epithet:
        return None
    likely = [package.labels[index] for index, share in answer.top if share >= CONTESTS]
    if any(is_sensitive(label, sensitive) for label in (name.label, *likely)):
        return None
    return {
        "species": name.label,
        "probability": round(answer.best(package.labels)[1], 4),
        "file": photo.file.rpartition("/")[2],
        "package": package.name,
    }


class Webhook:
    """Posts in the background."""

    def __init__(self, url: str, *, warn: Callable[[str], None], retry_s: float = 2.0) -> None:
        """Start the thread that posts.

        Args:
            url: Where to; ``http`` or ``https``.
            warn: Gets a line when the server begins to fail and when posts were dropped.
            retry_s: Seconds before the second try of a post; doubled for the third.

        Raises:
            ConfigError: If it is no such address.
        """
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            raise ConfigError(f"--webhook is {url!r}; expected an address of http:// or https://")
        self._url, self._warn, self._retry_s = url, warn, retry_s
        self._queue: Queue[dict[str, object]] = Queue(MOST_WAITING)
        self._stop = Event()
        self._failing = False
        self.dropped = 0
        self._thread = Thread(target=self._work, name="webhook", daemon=True)
        self._thread.start()

    def post(self, content: dict[str, object]) -> None:
        """Put a post into the queue, or drop it where the queue is full; never waits."""
        try:
            self._queue.put_nowait(content)
        except Full:
            self.dropped += 1

    def close(self, *, within_s: float = 15.0) -> None:
        """Send what waits, as far as the time allows, and count the rest as dropped."""
        end = time.monotonic() + within_s
        while self._queue.unfinished_tasks and time.monotonic() < end:
            time.sleep(0.05)
        self._stop.set()
        self.dropped += self._queue.unfinished_tasks
        if self.dropped:
            self._warn(f"the webhook missed {self.dropped:,} posts")

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                content = self._queue.get(timeout=0.2)
            except Empty:
                continue
            if not self._send(content):
                self.dropped += 1
            self._queue.task_done()

    def _send(self, content: dict[str, object]) -> bool:
        for attempt in range(_TRIES):
            if attempt and self._stop.wait(self._retry_s * 2 ** (attempt - 1)):
                return False
            try:
                self._request(content)
            except Exception as error:  # a server may fail in any way; none of them is the run's
                if not self._failing:
                    self._failing = True
                    self._warn(f"the webhook fails ({error}); the run goes on")
            else:
                self._failing = False
                return True
        return False

    def _request(self, content: dict[str, object]) -> None:
        request = urllib.request.Request(
            self._url,
            json.dumps(content).encode(),
            {"Content-Type": "application/json", "User-Agent": "homerange"},
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            answer.read(1024)
