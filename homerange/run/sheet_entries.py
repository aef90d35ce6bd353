"""Which photos a contact sheet shows.

They are spread evenly over the predicted species and, within a species, over the whole run, so
that a sheet is not one burst of one camera. People are not shown: neither photos answered as
``person`` nor photos known to show one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from homerange.run.answers import Answer
from homerange.run.contact_sheet import SheetEntry
from homerange.run.sources import Photo
from homerange.run.summary import is_right
from homerange.world.place_package import PlacePackage

__all__ = ["MAX_PHOTOS", "choose_entries"]

MAX_PHOTOS = 48


def choose_entries(
    answers: Callable[[], Iterable[tuple[Photo, Answer]]], package: PlacePackage
) -> list[SheetEntry]:
    """Choose at most `MAX_PHOTOS` photos, grouped by answer, the most frequent answer first.

    Args:
        answers: Called twice; gives every photo with its answer, in the order of the run.
        package: The package that gave the answers.
    """
    counts = Counter(index for _, _, index in _shown(answers(), package))
    order = sorted(counts, key=lambda index: (-counts[index], package.labels[index]))
    quota = _quotas({index: counts[index] for index in order}, MAX_PHOTOS)
    ranks = {index: _spread(counts[index], quota[index]) for index in order}
    seen: Counter[int] = Counter()
    chosen: dict[int, list[SheetEntry]] = {index: [] for index in order}
    for photo, answer, index in _shown(answers(), package):
        if seen[index] in ranks[index]:
            chosen[index].append(_entry(photo, answer, package))
        seen[index] += 1
    return [entry for index in order for entry in chosen[index]]


def _shown(
    answers: Iterable[tuple[Photo, Answer]], package: PlacePackage
) -> Iterator[tuple[Photo, Answer, int]]:
    for photo, answer in answers:
        if answer.failure is None and answer.video is None and photo.truth != "person":
            index = answer.top[0][0]
            if package.labels[index] != "person":
                yield photo, answer, index


def _quotas(counts: Mapping[int, int], limit: int) -> dict[int, int]:
    """Share ``limit`` places out one by one; who has no more photos leaves its turn to others."""
    quota = dict.fromkeys(counts, 0)
    while limit and (open_ := [key for key in counts if quota[key] < counts[key]]):
        for key in open_[:limit]:
            quota[key] += 1
        limit -= len(open_[:limit])
    return quota


def _spread(count: int, quota: int) -> set[int]:
    """Return ``quota`` of the ranks 0 ... count - 1, the middles of equal stretches."""
    return {(2 * i + 1) * count // (2 * quota) for i in range(quota)}


def _entry(photo: Photo, answer: Answer, package: PlacePackage) -> SheetEntry:
    index, probability = answer.top[0]
    label, right = package.labels[index], is_right(photo, answer, package)
    names = package.common_names
    truth = photo.truth if right is False and photo.truth else ""
    return SheetEntry(
        path=photo.path,
        label=label,
        is_species=label not in package.outcomes,
        common_name=names.get(label, ""),
        confidence=probability,
        right=right,
        truth=f"{truth} ({names[truth]})" if names.get(truth) else truth,
    )
