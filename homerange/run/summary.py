"""What a run came to: counts, speed and, where the true answers are known, how many were right."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from homerange.data.metrics import chance, wilson_interval
from homerange.data.names import class_key
from homerange.run.answers import Answer
from homerange.run.sources import Photo
from homerange.world.place_package import PlacePackage

__all__ = ["Accuracy", "PredictSummary", "count_answers", "is_right"]

MIN_PHOTOS = 30
"""Below it no percentage is printed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Accuracy:
    """How many answers were right, beside what one gets for nothing."""

    photos: int
    """Photos that were read and whose true species is known, on the package's list or not."""
    right: int
    low: float
    """Lower end of the 95 % interval (Wilson) of `top1`."""
    high: float
    chance: float
    """Share of right answers by guessing among the package's labels."""
    majority: float
    """Share of right answers by always saying what these photos show most often."""

    @property
    def top1(self) -> float:
        """Share of photos whose best answer was right."""
        return self.right / self.photos

    def __str__(self) -> str:
        """Say it in one line; a share of few photos would claim more than they can show."""
        known = f"{self.photos:,} photo{'s' * (self.photos != 1)} with a known answer"
        if self.photos < MIN_PHOTOS:
            return (
                f"{self.right} right of {known}, too few for a percentage; guessing would get "
                f"{self.chance * self.photos:.1f}, always the commonest "
                f"{self.majority * self.photos:.0f}"
            )
        return (
            f"{self.top1:.1%} right of {known} (95% interval {self.low:.1%} to {self.high:.1%}); "
            f"guessing {self.chance:.1%}, always the commonest {self.majority:.1%}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictSummary:
    """What `homerange.run.folder.predict` did."""

    photos: int
    failures: int
    """Photos without an answer; the results give the reason of each."""
    resumed: int
    """Photos whose answer is from an earlier, interrupted or shorter run."""
    repeated: int
    """Photos left out because the list names them a second time."""
    seconds: float
    labels: Mapping[str, int]
    """Photos per best answer, the most frequent first."""
    accuracy: Accuracy | None
    """None where no true answer is known."""
    warnings: tuple[str, ...] = ()
    """What the user should know, such as photos taken far from the place of the package."""
    review: Path | None = None
    """The page of photos to check, where one was asked for."""

    @property
    def photos_per_s(self) -> float:
        """Speed of this run; photos of an earlier run do not count."""
        return (self.photos - self.resumed) / max(self.seconds, 1e-9)

    @property
    def exit_code(self) -> int:
        """0: all done. 1: no photo could be answered. 3: some could not."""
        if self.failures == self.photos:
            return 1
        return 3 if self.failures else 0


def is_right(photo: Photo, answer: Answer, package: PlacePackage) -> bool | None:
    """Whether the best answer is the true one; None where either is missing."""
    if photo.truth is None or answer.failure is not None:
        return None
    return class_key(answer.best(package.labels)[0]) == photo.truth


def count_answers(
    answers: Iterable[tuple[Photo, Answer]], package: PlacePackage
) -> tuple[int, Mapping[str, int], Accuracy | None]:
    """Count failures, best answers and right answers, holding one photo at a time.

    Returns:
        The number of failures, the photos per label (most frequent first, then by name), and the
        accuracy where the truth of any photo is known.
    """
    failures = right = 0
    labels: Counter[str] = Counter()
    truths: Counter[str] = Counter()
    for photo, answer in answers:
        if answer.failure is not None:
            failures += 1
            continue
        labels[answer.best(package.labels)[0]] += 1
        if photo.truth is not None:
            truths[photo.truth] += 1
            right += is_right(photo, answer, package) is True
    ordered = dict(sorted(labels.items(), key=lambda item: (-item[1], item[0])))
    return failures, ordered, _accuracy(right, truths, len(package.labels))


def _accuracy(right: int, truths: Counter[str], labels: int) -> Accuracy | None:
    photos = truths.total()
    if not photos:
        return None
    low, high = wilson_interval(right, photos)
    return Accuracy(
        photos=photos,
        right=right,
        low=low,
        high=high,
        chance=chance(labels),
        majority=max(truths.values()) / photos,
    )
