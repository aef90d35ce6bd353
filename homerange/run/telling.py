"""What a watch says while it goes on: to the terminal, and to a webhook."""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from homerange.data.sensitive import sensitive_names
from homerange.run.answers import Answer
from homerange.run.results.naming import best_name
from homerange.run.sources import Photo
from homerange.run.webhook import Webhook, post_of
from homerange.world.place_package import PlacePackage

__all__ = ["Teller"]

_MOST_WARNINGS = 1000


class Teller:
    """Tells answers and warnings; use it in a ``with`` block."""

    told: int
    """Photos that were answered or refused so far."""

    def __init__(
        self,
        package: PlacePackage,
        *,
        webhook: str | None,
        sensitive: Path | None,
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        """Begin to tell.

        Args:
            package: The package that answers.
            webhook: Address of the server to tell; None for none.
            sensitive: List of the user's own sensitive species.
            say: Gets a line for each answer.
            warn: Gets a line for each warning.

        Raises:
            ConfigError: If ``webhook`` is no address.
            SpeciesError: If the list cannot be read.
        """
        self._package, self._say, self._warn = package, say, warn
        self._sensitive = sensitive_names(sensitive)
        self._webhook = None if webhook is None else Webhook(webhook, warn=warn)
        self._since = time.time()
        self._warned: set[str] = set()
        self.told = 0

    def __enter__(self) -> Self:
        """Return the teller itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Send what still waits."""
        if self._webhook is not None:
            self._webhook.close()

    def tell(self, photos: Sequence[Photo], answers: Sequence[Answer]) -> None:
        """Tell the answers of a batch, once they are kept."""
        by_file: Mapping[str, Photo] = {photo.file: photo for photo in photos}
        for answer in answers:
            name = best_name(answer, self._package)
            said = answer.failure
            if name is not None:
                said = f"{name.label} {answer.best(self._package.labels)[1]:.0%}"
            self._say(f"{answer.file}: {said}")
            photo = by_file[answer.file]
            if self._webhook is not None and self._came_in(photo.path):
                post = post_of(photo, answer, self._package, self._sensitive)
                if post is not None:
                    self._webhook.post(post)
        self.told += len(answers)

    def step(self, count: int = 1, note: str = "") -> None:
        """Show no progress: nobody knows how many photos there will be."""

    def warn_once(self, lines: Iterable[str]) -> None:
        """Warn of what was not said before."""
        for line in lines:
            if line not in self._warned and len(self._warned) < _MOST_WARNINGS:
                self._warned.add(line)
                self._warn(line)

    def _came_in(self, path: Path) -> bool:
        """Whether a file came after the watch began: by the time that the disk keeps itself."""
        try:
            return os.stat(path).st_ctime >= self._since
        except OSError:
            return False
