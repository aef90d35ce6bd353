"""What a run finds out about a photo, a video or a burst, and how the journal keeps it."""

import json
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from homerange.run.looks import Box, Look, Ranked, outcome
from homerange.run.sources import Fingerprint, Photo

__all__ = [
    "Answer",
    "Burst",
    "Video",
    "answer_of",
    "photo_of",
    "reason_of",
    "row_of",
    "row_of_answer",
]


@dataclass(frozen=True, slots=True)
class Burst:
    """Two or more photos of one camera within seconds, and their one answer."""

    key: str
    """Name of its first photo."""
    photos: int
    first_time: str
    last_time: str
    top: Ranked
    """As that of an `Answer`."""


@dataclass(frozen=True, slots=True)
class Video:
    """Which frames of a video were looked at."""

    frames_per_s: float
    """Of the video itself."""
    frames: tuple[int, ...]
    """Numbers of the frames that were looked at, from 0."""
    best: int
    """Number of the frame that is most sure of the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run found out about one photo or video."""

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
    outside: int | None = None
    """How far outside the package's place it says it was taken, a number of
    `homerange.run.whereabouts.BANDS`; None where it does not say. Never the coordinates."""
    video: Video | None = None
    """None for a photo."""
    scores: bytes | None = None
    """All probabilities, see `homerange.run.pooling`; kept for photos with a time only, and not
    read back with the answer."""
    looks: tuple[Look, ...] | None = None
    """What a detector saw; None where the whole photo was looked at."""
    burst: Burst | None = None
    """The burst it belongs to, where `Journal.set_bursts` made one."""

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


def reason_of(error: Exception, path: Path) -> str:
    """Say why without the path, which the results have already and may not be ours to publish.

    Example:
        >>> reason_of(ValueError("a/b.jpg: the file is empty"), Path("a/b.jpg"))
        'the file is empty'
    """
    text = str(error).removeprefix(f"{path}: ").replace(str(path), path.name)
    text = text or type(error).__name__
    return text.encode("utf-8", "backslashreplace").decode()


def row_of(photo: Photo) -> tuple[object, ...]:
    """Give a photo as the journal keeps it: name, path, truth, problem, what was given."""
    given = json.dumps(photo.given) if photo.given else None
    return photo.file, os.fsencode(photo.path), photo.truth, photo.problem, given


def row_of_answer(answer: Answer) -> tuple[object, ...]:
    """Give an answer as the journal keeps it; its burst is kept apart."""
    return (
        answer.file,
        *answer.fingerprint,
        answer.datetime,
        answer.failure,
        json.dumps(answer.top),
        answer.blank,
        answer.outside,
        answer.video and json.dumps(astuple(answer.video)),
        answer.scores,
        _looks_to_json(answer.looks),
    )


def photo_of(row: Sequence[object]) -> Photo:
    """Read back what `row_of` gave."""
    file, path, truth, problem, given = row
    assert isinstance(file, str)
    assert isinstance(path, bytes)
    assert truth is None or isinstance(truth, str)
    assert problem is None or isinstance(problem, str)
    fields = json.loads(given) if isinstance(given, str) else ()
    return Photo(
        file,
        Path(os.fsdecode(path)),
        truth,
        problem,
        tuple((name, value) for name, value in fields),
    )


def answer_of(row: Sequence[Any]) -> Answer:
    """Read back an answer: five columns of the photo, then its own, then those of its burst."""
    file, *_, size_bytes, mtime_ns, datetime, failure, top, blank, outside, video, looks = row[:14]
    key, photos, first_time, last_time, burst_top = row[14:]
    return Answer(
        file,
        (size_bytes, mtime_ns),
        datetime,
        failure,
        _top(top),
        blank,
        outside,
        None if video is None else _video(json.loads(video)),
        looks=None if looks is None else _looks(json.loads(looks)),
        burst=None if key is None else Burst(key, photos, first_time, last_time, _top(burst_top)),
    )


def _video(values: Sequence[Any]) -> Video:
    frames_per_s, frames, best = values
    return Video(frames_per_s, tuple(frames), best)


def _top(text: str) -> Ranked:
    return _ranked(json.loads(text))


def _ranked(rows: Sequence[Any]) -> Ranked:
    return tuple((index, probability) for index, probability in rows)


def _looks_to_json(looks: Sequence[Look] | None) -> str | None:
    if looks is None:
        return None
    rows = [(o.box.category, o.box.confidence, o.box.bbox, o.sure, o.top) for o in looks]
    return json.dumps(rows)


def _looks(rows: Sequence[Any]) -> tuple[Look, ...]:
    return tuple(
        Look(Box(category, confidence, tuple(bbox)), sure, _ranked(top))
        for category, confidence, bbox, sure, top in rows
    )
