"""One answer for a video: some of its frames are looked at, and their answers become one.

Reading videos needs the extra ``video`` (PyAV, which brings FFmpeg). Frames are decoded and
answered a few at a time, so a video of an hour needs no more memory than one of ten seconds.

Axes used in this file:
    B  frames of a batch      3  red, green, blue
    H, W  input_px
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from homerange.data.images import MAX_MEGAPIXELS, Preprocessing, fit
from homerange.errors import HomerangeError, ImageError
from homerange.extras import need
from homerange.run.answers import Answer, Video, reason_of
from homerange.run.pooling import Pool
from homerange.run.ranking import ranked
from homerange.run.session import Session
from homerange.run.sources import Photo, fingerprint

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["answer_video"]

_Frame = tuple[int, NDArray[np.uint8]]


def answer_video(photo: Photo, session: Session, *, fps: float, batch_size: int) -> Answer:
    """Look at a video; never raises, because one bad video must not end a run.

    Args:
        photo: The video.
        session: The model.
        fps: Frames a second to look at; all of them where the video has fewer.
        batch_size: Frames per call of the model.
    """
    answer = Answer(photo.file, fingerprint(photo.path))
    try:
        return _look(answer, photo.path, session, fps, batch_size)
    except HomerangeError as error:
        return replace(answer, failure=reason_of(error, photo.path))
    except Exception as error:  # decoders raise anything on damaged files: each is one bad video
        reason = reason_of(error, photo.path)
        return replace(answer, failure=f"the video cannot be read ({reason})")


def _look(answer: Answer, path: Path, session: Session, fps: float, batch_size: int) -> Answer:
    labels = session.package.labels
    pool, numbers = Pool(labels), list[int]()
    if not path.is_file():  # a pipe would wait for ever
        raise ImageError(f"{path}: there is no such file")
    with need("av").open(str(path)) as container:
        frames_per_s = _rate(container, path)
        frames = _frames(container, frames_per_s / fps, session.package.preprocessing)
        for batch in _batches(frames, batch_size):
            probability_BC = session.probabilities(np.stack([rgb_HW3 for _, rgb_HW3 in batch]))
            for (number, _), probability_C in zip(batch, probability_BC, strict=True):
                pool.add(probability_C, number)
                numbers.append(number)
    if not numbers:
        raise ImageError(f"{path}: the video has no frame that can be read")
    answer = ranked(answer, pool.probabilities(), labels)
    if answer.failure is not None:
        return answer
    best = pool.best_look(answer.top[0][0])
    return replace(answer, video=Video(round(frames_per_s, 3), tuple(numbers), best))


def _rate(container: "InputContainer", path: Path) -> float:
    if not container.streams.video:
        raise ImageError(f"{path}: there is no video in this file, only sound or text")
    stream = container.streams.video[0]
    if stream.width * stream.height > MAX_MEGAPIXELS * 1_000_000:
        raise ImageError(
            f"{path}: frames of {stream.width} x {stream.height} pixels; expected at most "
            f"{MAX_MEGAPIXELS} megapixels"
        )
    rate = stream.average_rate or stream.guessed_rate
    if not rate:
        raise ImageError(f"{path}: the video does not say how many frames a second it has")
    return float(rate)


def _frames(
    container: "InputContainer", step: float, preprocessing: Preprocessing
) -> Iterator[_Frame]:
    """Give every ``step``-th frame with its number, as the model wants it."""
    wanted = 0.0
    for number, frame in enumerate(container.decode(video=0)):
        if number >= wanted:
            wanted += step
            yield number, fit(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), preprocessing)


def _batches(frames: Iterable[_Frame], size: int) -> Iterator[list[_Frame]]:
    frames = iter(frames)
    while batch := list(islice(frames, size)):
        yield batch
