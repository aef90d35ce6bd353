"""Answer photos as they come into a folder.

The folder is looked at every few seconds: no message of the system is needed, so that it works on
network drives and cards too, which send none, and with the base install. A file is fully
written when two looks find it with the same size and time of change. Answers go into the same
journal as those of `predict`, and either verb goes on from the other.

Memory does not grow with the folder: what is known is asked from the journal, and at most
`MOST_WAITING` files wait for their second look; more of them wait for a later one.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event

from homerange.errors import RunError
from homerange.run.folder import cores, read_fieldwork, write_answers
from homerange.run.journal import Identity, Journal, journal_path
from homerange.run.pipeline import Looking, answer_photos
from homerange.run.refusals import check_above_zero, check_format, check_output, photos_of
from homerange.run.results.formats import Format, format_of
from homerange.run.session import Session
from homerange.run.sources import Fingerprint, Photo, fingerprint
from homerange.run.telling import Teller
from homerange.run.whereabouts import warnings_of

__all__ = ["watch"]

MOST_WAITING = 10_000
WRITE_EVERY_S = 60.0

_Say = Callable[[str], None]


def watch(
    folder: Path,
    *,
    model: Path,
    output: Path,
    stop: Event,
    say: _Say,
    warn: _Say,
    format: Format | None = None,
    every_s: float = 5.0,
    webhook: str | None = None,
    sensitive: Path | None = None,
    fps: float = 1.0,
    bursts_s: float = 60.0,
    utc_offset: str | None = None,
    deployments: Path | None = None,
    batch_size: int = 4,
    workers: int | None = None,
) -> int:
    """Answer what is in a folder and what comes into it, until ``stop`` is set.

    Args:
        folder: Where photos come in, also in folders below it.
        model: A place package, ``NAME.homerange``.
        output: The results, written anew at most once a minute and at the end.
        stop: Ends it: the batch in work is kept, and the results are written.
        say: Gets a line for each answer.
        warn: Gets a line for what the user should know.
        format: As for `predict`, like all that is not named here.
        every_s: Seconds between two looks at the folder.
        webhook: Address that is told the species of each photo that comes in; what lies there
            when the watch begins is not told.
        sensitive: A list of species never to tell, besides the bundled one.
        fps: As for `predict`.
        bursts_s: As for `predict`.
        utc_offset: As for `predict`.
        deployments: As for `predict`.
        batch_size: As for `predict`.
        workers: As for `predict`.

    Returns:
        How many photos were answered or refused.

    Raises:
        RunError: If it cannot start, or an answer cannot be kept.
        PackageError: If the package is missing, broken or of another version.
        ConfigError: If a number is too small or an address is none.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; expected one that photos come into")
    format = format or format_of(output)
    check_above_zero(batch_size=batch_size, workers=workers, fps=fps, every_s=every_s)
    fieldwork = read_fieldwork(utc_offset, deployments)
    check_format(format, output, fieldwork)
    check_output(output, format, folder, model, fresh=False)
    looking = Looking(batch_size=batch_size, workers=workers or cores(), fps=fps)
    session = Session.open(model, threads=looking.workers)
    package = session.package
    identity = Identity(package.sha256, package.name, str(folder.resolve()), fps)
    teller = Teller(package, webhook=webhook, sensitive=sensitive, say=say, warn=warn)
    with Journal.open(journal_path(output), identity) as journal, teller:
        journal.forget_failures()

        def write() -> None:
            """Write the results, and warn once of each folder that is far away."""
            write_answers(journal, package, output, format, fieldwork, bursts_s=bursts_s)
            teller.warn_once(warnings_of(journal.far(), package.name))

        return _watch(folder, journal, session, looking, teller, write, stop, every_s)


def _watch(
    folder: Path,
    journal: Journal,
    session: Session,
    looking: Looking,
    teller: Teller,
    write: Callable[[], None],
    stop: Event,
    every_s: float,
) -> int:
    arrivals = _Arrivals(folder, journal, teller)
    answered, unwritten, written_at = 0, 0, -WRITE_EVERY_S
    while not stop.is_set():
        started = time.monotonic()
        ready = arrivals.ready()
        if ready:
            batches = _batches(ready, looking.batch_size, journal, stop)
            before = teller.told
            answer_photos(journal, session, looking, teller.step, batches=batches, tell=teller.tell)
            unwritten += teller.told - before
            answered += teller.told - before
        if unwritten and time.monotonic() - written_at >= WRITE_EVERY_S:
            try:
                write()
                unwritten = 0
            except RunError as error:  # room may come back, and a photo with a time
                teller.warn_once([str(error)])
            written_at = time.monotonic()
        # A look that takes long, at a huge folder, is followed by a pause as long.
        stop.wait(max(every_s, time.monotonic() - started))
    if unwritten:
        write()
    return answered


class _Arrivals:
    """Finds files without an answer that are fully written."""

    def __init__(self, folder: Path, journal: Journal, teller: Teller) -> None:
        self._folder, self._journal, self._teller = folder, journal, teller
        self._before: dict[str, Fingerprint] = {}

    def ready(self) -> Sequence[Photo]:
        """Look once; give what has not changed since the look before."""
        now: dict[str, Fingerprint] = {}
        ready: list[Photo] = []
        for photo in self._found():
            if len(now) + len(ready) >= MOST_WAITING:
                break
            print_ = fingerprint(photo.path)
            if self._journal.knows(photo, print_):
                continue
            if self._before.get(photo.file) == print_:
                ready.append(photo)
            else:
                now[photo.file] = print_
        self._before = now
        return sorted(ready, key=lambda photo: photo.file)

    def _found(self) -> Iterator[Photo]:
        try:
            for photo in photos_of(self._folder):
                if photo.problem is None:
                    yield photo
                else:
                    self._teller.warn_once([f"{photo.file}: {photo.problem}"])
        except RunError as error:  # the card was pulled out; it may come back
            self._teller.warn_once([str(error)])


def _batches(
    ready: Sequence[Photo], size: int, journal: Journal, stop: Event
) -> Iterator[list[Photo]]:
    for start in range(0, len(ready), size):
        if stop.is_set():
            return
        batch = list(ready[start : start + size])
        for photo in batch:
            journal.add_photo(photo)
        yield batch
