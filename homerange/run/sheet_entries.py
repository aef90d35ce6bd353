"""Which photos a contact sheet shows.

They are spread evenly over the predicted species and, within a species, over the whole run, so
that a sheet is not one burst of one camera. People are not shown: neither photos answered as
``person`` nor photos known to show one, by their truth or by a detector.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from homerange.data.names import OUTCOMES
from homerange.run.answers import Answer
from homerange.run.contact_sheet import SheetEntry
from homerange.run.looks import shows_person
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
    counts = Counter(label for _, _, label in _shown(answers(), package))
    order = sorted(counts, key=lambda label: (-counts[label], label))
    quota = _quotas({label: counts[label] for label in order}, MAX_PHOTOS)
    ranks = {label: _spread(counts[label], quota[label]) for label in order}
    seen: Counter[str] = Counter()
    chosen: dict[str, list[SheetEntry]] = {label: [] for label in order}
    for photo, answer, label in _shown(answers(), package):
        if seen[label] in ranks[label]:
            chosen[label].append(_entry(photo, answer, package))
        seen[label] += 1
    return [entry for label in order for entry in chosen[label]]


def _shown(
    answers: Iterable[tuple[Photo, Answer]], package: PlacePackage
) -> Iterator[tuple[Photo, Answer, str]]:
    for photo, answer in answers:
        if answer.failure is None and answer.video is None and photo.truth != "person":
            label = answer.best(package.labels)[0]
            if label != "person" and not shows_person(answer.looks):
                yield photo, answer, label


def _quotas(counts: Mapping[str, int], limit: int) -> dict[str, int]:
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
    label, probability = answer.best(package.labels)
    right = is_right(photo, answer, package)
    names = package.common_names
    truth = photo.truth if right is False and photo.truth else ""
    return SheetEntry(
        path=photo.path,
        label=label,
        is_species=label not in OUTCOMES,
        common_name=names.get(label, ""),
        confidence=probability,
        right=right,
        truth=f"{truth} ({names[truth]})" if names.get(truth) else truth,
    )
