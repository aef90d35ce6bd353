"""From photos to answers: threads decode ahead while the model works on the batch before.

Decoding releases Python's lock, so threads are enough. Only a few batches are ever decoded ahead,
so memory does not grow with the number of photos. A photo that cannot be decoded, for whatever
reason, is an answer with a failure. A video is looked at by itself, frame by frame
(`homerange.run.video`).

Axes used in this file:
    B  photos of a batch that could be read      C  classes
    H, W  input_px                               3  red, green, blue
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from homerange.data.exif import read_exif
from homerange.data.images import Preprocessing, prepare
from homerange.progress import Step
from homerange.run.answers import Answer, reason_of
from homerange.run.journal import Journal
from homerange.run.looks import FirstLook, crops
from homerange.run.pooling import to_scores
from homerange.run.ranking import ranked
from homerange.run.session import Session
from homerange.run.sources import Photo, fingerprint, is_video
from homerange.run.video import answer_video
from homerange.run.whereabouts import Whereabouts

__all__ = ["Looking", "Tell", "answer_photos", "decode_photo"]

_exif_lock = Lock()

_Decoded = tuple[Answer, list[NDArray[np.uint8]]]
"""An answer without classes yet, and what the model shall see: nothing, the photo or crops."""

_Batch = list[tuple[Photo, Future[_Decoded] | None]]
"""Photos that are being decoded, and videos, which wait for their turn."""

Tell = Callable[[Sequence[Photo], Sequence[Answer]], None]
"""Gets the photos and the answers of a batch, in any order, once they are kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Looking:
    """How photos and videos are looked at."""

    batch_size: int = 4
    """Photos per call of the model."""
    workers: int = 1
    """Threads that decode."""
    fps: float = 1.0
    """Frames a second of a video that are looked at."""
    first_look: FirstLook | None = None
    """Finds the animals in photos; without it, and in videos, the model looks at the whole."""


def answer_photos(
    journal: Journal,
    session: Session,
    looking: Looking,
    step: Step,
    *,
    batches: Iterable[list[Photo]] | None = None,
    tell: Tell | None = None,
) -> None:
    """Answer photos, batch by batch.

    Args:
        journal: Knows the photos; gets the answers, batch by batch.
        session: The model.
        looking: Batches, threads and frames.
        step: Called with the number of photos of each batch that was answered.
        batches: The photos; None for all that the journal has no answer for.
        tell: Called with the photos and answers of each batch that the journal has kept.
    """
    run = _Run(journal, session, looking, step, tell)
    whereabouts = Whereabouts(session.package)
    preprocessing = session.package.preprocessing
    waiting: deque[_Batch] = deque()
    workers, batch_size = looking.workers, looking.batch_size
    batches_ahead = max(4, -(-2 * workers // batch_size))  # every worker has a photo and a next
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")

    def begin(photo: Photo) -> Future[_Decoded] | None:
        """Decode a photo in the background; a video waits for its turn."""
        if is_video(photo.path) and photo.problem is None:
            return None
        return pool.submit(decode_photo, photo, preprocessing, whereabouts, looking.first_look)

    try:
        for batch in journal.pending(batch_size) if batches is None else batches:
            waiting.append([(photo, begin(photo)) for photo in batch])
            if len(waiting) > batches_ahead:
                run.finish(waiting.popleft())
        while waiting:
            run.finish(waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def decode_photo(
    photo: Photo,
    preprocessing: Preprocessing,
    whereabouts: Whereabouts | None = None,
    first_look: FirstLook | None = None,
) -> _Decoded:
    """Read one photo; never raises, because one bad photo must not end a run."""
    answer = Answer(photo.file, fingerprint(photo.path))
    if photo.problem is not None:
        return replace(answer, failure=photo.problem), []
    try:
        if first_look is None:
            pixels = [prepare(photo.path, preprocessing)]
        else:
            looks, pixels = crops(photo, first_look, preprocessing)
            answer = replace(answer, looks=looks)
        with _exif_lock:  # reading EXIF changes the warning filters, which belong to the process
            facts = read_exif(photo.path)
    except Exception as error:  # a list may hold names, and a card files, that nobody foresaw
        return replace(answer, failure=reason_of(error, photo.path), looks=None), []
    latlon = facts.latitude_deg, facts.longitude_deg
    if None in latlon:
        given = dict(photo.given)
        latlon = _degrees(given.get("latitude")), _degrees(given.get("longitude"))
    outside = whereabouts.outside(*latlon) if whereabouts else None
    return replace(answer, datetime=facts.datetime, outside=outside), pixels


def _degrees(value: str | float | None) -> float | None:
    return None if isinstance(value, str) or value is None else float(value)


@dataclass(frozen=True, slots=True)
class _Run:
    """What answers need, and where they go."""

    journal: Journal
    session: Session
    looking: Looking
    step: Step
    tell: Tell | None

    def finish(self, batch: _Batch) -> None:
        """Answer one batch and keep the answers."""
        decoded = [future.result() for _, future in batch if future is not None]
        answers = self._photos(decoded)
        fps, size = self.looking.fps, self.looking.batch_size
        for photo, future in batch:
            if future is None:
                answers.append(answer_video(photo, self.session, fps=fps, batch_size=size))
        self.journal.add(answers)
        self.step(len(answers))
        if self.tell is not None:
            self.tell([photo for photo, _ in batch], answers)

    def _photos(self, decoded: Sequence[_Decoded]) -> list[Answer]:
        """Answer photos, each by none, one or several pictures of it."""
        size = self.looking.batch_size
        pixels = [rgb_HW3 for _, pictures in decoded for rgb_HW3 in pictures]
        found = [
            probability_C
            for start in range(0, len(pixels), size)
            for probability_C in self.session.probabilities(np.stack(pixels[start : start + size]))
        ]
        answers = []
        for answer, pictures in decoded:
            own, found = found[: len(pictures)], found[len(pictures) :]
            answers.append(_answered(answer, own, self.session.package.labels))
        return answers


def _answered(
    answer: Answer, probability: Sequence[NDArray[np.float32]], labels: tuple[str, ...]
) -> Answer:
    """Give an answer its classes: those of the photo, or those of each animal in it.

    All probabilities of a photo that may belong to a burst are kept, of the surest animal.
    """
    if not probability:
        return answer
    surest = ranked(answer, probability[0], labels)  # boxes come the surest first
    if surest.failure is not None:
        return surest
    if answer.datetime is not None and "T" in answer.datetime:
        surest = replace(surest, scores=to_scores(probability[0]))
    if answer.looks is None:
        return surest
    left = iter([ranked(answer, probability_C, labels).top for probability_C in probability])
    looks = tuple(
        replace(look, top=next(left)) if look.is_animal else look for look in answer.looks
    )
    return replace(surest, looks=looks)
