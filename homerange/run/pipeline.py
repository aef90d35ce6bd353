"""From photos to answers: threads decode ahead while the model works on the batch before.

Decoding releases Python's lock, so threads are enough. Only a few batches are ever decoded ahead,
so memory does not grow with the number of photos. A photo that cannot be decoded, for whatever
reason, is an answer with a failure.

Axes used in this file:
    B  photos of a batch that could be read      C  classes
    H, W  input_px                               3  red, green, blue
"""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from homerange.data.exif import read_exif
from homerange.data.images import Preprocessing, prepare
from homerange.progress import Step
from homerange.run.journal import Answer, Journal
from homerange.run.looks import FirstLook, crops
from homerange.run.session import Session
from homerange.run.sources import Photo, fingerprint

__all__ = ["answer_photos", "decode_photo", "ranked"]

TOP = 5
"""Classes kept per photo."""

_exif_lock = Lock()

_Decoded = tuple[Answer, list[NDArray[np.uint8]]]
"""An answer without classes yet, and what the model shall see: nothing, the photo or crops."""


def answer_photos(
    journal: Journal,
    session: Session,
    *,
    batch_size: int,
    workers: int,
    step: Step,
    first_look: FirstLook | None = None,
) -> None:
    """Answer every photo that the journal has no answer for.

    Args:
        journal: Knows the photos; gets the answers, batch by batch.
        session: The model.
        batch_size: Photos per call of the model.
        workers: Threads that decode.
        step: Called with the number of photos of each batch that was answered.
        first_look: Finds the animals; without it the model looks at whole photos.
    """
    waiting: deque[list[Future[_Decoded]]] = deque()
    batches_ahead = max(4, -(-2 * workers // batch_size))  # every worker has a photo and a next
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        for batch in journal.pending(batch_size):
            waiting.append(
                [
                    pool.submit(decode_photo, p, session.package.preprocessing, first_look)
                    for p in batch
                ]
            )
            if len(waiting) > batches_ahead:
                _finish(waiting.popleft(), journal, session, batch_size, step)
        while waiting:
            _finish(waiting.popleft(), journal, session, batch_size, step)
    finally:
        pool.shutdown(cancel_futures=True)


def decode_photo(
    photo: Photo, preprocessing: Preprocessing, first_look: FirstLook | None = None
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
        return replace(answer, failure=_reason(error, photo.path), looks=None), []
    return replace(answer, datetime=facts.datetime), pixels


def _reason(error: Exception, path: Path) -> str:
    """Say why without the path, which the results have already and may not be ours to publish."""
    text = str(error).removeprefix(f"{path}: ") or type(error).__name__
    return text.encode("utf-8", "backslashreplace").decode()


def _finish(
    batch: list[Future[_Decoded]],
    journal: Journal,
    session: Session,
    batch_size: int,
    step: Step,
) -> None:
    decoded = [future.result() for future in batch]
    pixels = [rgb_HW3 for _, crops_ in decoded for rgb_HW3 in crops_]
    found = [
        probability_C
        for start in range(0, len(pixels), batch_size)
        for probability_C in session.probabilities(np.stack(pixels[start : start + batch_size]))
    ]
    answers = []
    for answer, crops_ in decoded:
        of_photo, found = found[: len(crops_)], found[len(crops_) :]
        answers.append(_answered(answer, of_photo, session.package.labels))
    journal.add(answers)
    step(len(answers))


def _answered(
    answer: Answer, probability: list[NDArray[np.float32]], labels: tuple[str, ...]
) -> Answer:
    """Give an answer its classes: those of the photo, or those of each animal in it."""
    if not probability:
        return answer
    surest = ranked(answer, probability[0], labels)  # boxes come the surest first
    if answer.looks is None or surest.failure is not None:
        return surest
    left = iter(ranked(answer, probability_C, labels).top for probability_C in probability)
    looks = tuple(
        replace(look, top=next(left)) if look.is_animal else look for look in answer.looks
    )
    return replace(surest, looks=looks)


def ranked(answer: Answer, probability_C: NDArray[np.float32], labels: tuple[str, ...]) -> Answer:
    """Return the answer with its best classes, best first; a tie goes to the lower index.

    Example:
        >>> ranked(Answer("a.jpg"), np.array([0.25, 0.75], np.float32), ("lion", "blank")).top
        ((1, 0.75), (0, 0.25))
    """
    if not np.isfinite(probability_C).all():
        return replace(answer, failure="the model gave no finite answer")
    order = np.argsort(-probability_C, kind="stable")[:TOP].tolist()
    blank = probability_C[labels.index("blank")] if "blank" in labels else None
    return replace(
        answer,
        top=tuple((index, round(float(probability_C[index]), 6)) for index in order),
        blank=None if blank is None else round(float(blank), 6),
    )
