"""Photos that one camera took within seconds become one burst with one answer.

A camera takes several photos of the same animal, and the one that shows its tail is answered
worse than the one that shows its face. The answer of a burst is that of all its photos together
(`homerange.run.pooling`); each photo keeps its own answer beside it.

A burst is the photos of one folder within so many seconds of the first of them. It therefore has an
end: a camera that takes a photo every half minute does not make one burst of a year.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from homerange.run.answers import Burst
from homerange.run.journal import Journal
from homerange.run.pooling import Pool, from_scores
from homerange.run.ranking import top_of

__all__ = ["find_bursts"]

_Timed = tuple[str, str]
"""Name and time of a photo."""


def find_bursts(
    journal: Journal, labels: Sequence[str], *, within_s: float
) -> Iterator[tuple[Burst, Sequence[str]]]:
    """Give the bursts of two photos and more, holding one burst at a time.

    Args:
        journal: Knows the times and the probabilities.
        labels: Those of the package.
        within_s: Seconds from the first photo of a burst to its last.

    Yields:
        Each burst and the names of its photos, in the order of time.
    """
    group: list[_Timed] = []
    for photo in journal.timed():
        if group and not _belongs(photo, group[0], within_s):
            yield from _burst(group, journal, labels)
            group = []
        group.append(photo)
    yield from _burst(group, journal, labels)


def _belongs(photo: _Timed, first: _Timed, within_s: float) -> bool:
    same_folder = photo[0].rpartition("/")[0] == first[0].rpartition("/")[0]
    return same_folder and 0 <= _seconds(photo[1]) - _seconds(first[1]) <= within_s


def _burst(
    group: Sequence[_Timed], journal: Journal, labels: Sequence[str]
) -> Iterator[tuple[Burst, Sequence[str]]]:
    if len(group) < 2:
        return
    pool = Pool(labels)
    files = [file for file, _ in group]
    for file in files:
        pool.add(from_scores(journal.scores(file)))
    top = top_of(pool.probabilities())
    yield Burst(files[0], len(files), group[0][1], group[-1][1], top), files


def _seconds(time: str) -> float:
    moment = datetime.fromisoformat(time)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
