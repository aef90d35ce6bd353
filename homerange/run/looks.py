"""Two looks: a detector says where something is, the model of the place says what the animal is.

The first look is another's results (`homerange.run.detections`) or a detector of one's own
(`homerange.run.detector`). Only animals get a second look. Photos without any, people and vehicles
pass through: what the detector says of them is the answer.

Axes used in this file:
    H, W  input_px      3  red, green, blue
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from homerange.data.images import Preprocessing, prepare
from homerange.run.sources import Photo

__all__ = [
    "CATEGORIES",
    "Box",
    "Category",
    "Finder",
    "FirstLook",
    "Look",
    "Ranked",
    "crops",
    "outcome",
    "shows_person",
]

Category = Literal["animal", "person", "vehicle"]
CATEGORIES: tuple[Category, ...] = ("animal", "person", "vehicle")
Ranked = tuple[tuple[int, float], ...]
"""The best classes, best first: index of the label, probability."""


@dataclass(frozen=True, slots=True)
class Box:
    """One thing that a detector saw."""

    category: Category
    confidence: float
    """0-1, as the detector gave it."""
    bbox: tuple[float, float, float, float]
    """Left, top, width and height, relative (0-1) to the upright photo."""


@dataclass(frozen=True, slots=True)
class Look:
    """A box, and what the second look made of it."""

    box: Box
    sure: bool
    """Whether its confidence reached the threshold of the run."""
    top: Ranked = ()
    """Empty where nobody looked twice: not sure, or no animal."""

    @property
    def is_animal(self) -> bool:
        """Whether it gets a second look."""
        return self.sure and self.box.category == "animal"


class Finder(Protocol):
    """Finds the boxes of a photo; called from several threads."""

    name: str
    """Which detector, for the results and the journal."""

    def find(self, photo: Photo) -> tuple[Box, ...]:
        """Return the boxes of a photo, the surest first; raises ImageError where it cannot."""


@dataclass(frozen=True, slots=True)
class FirstLook:
    """What finds boxes, and from which confidence they are believed."""

    finder: Finder
    threshold: float

    @property
    def name(self) -> str:
        """Say which detector, and from which confidence."""
        return f"{self.finder.name} from {self.threshold}"


def crops(
    photo: Photo, first_look: FirstLook, preprocessing: Preprocessing
) -> tuple[tuple[Look, ...], list[NDArray[np.uint8]]]:
    """Cut out what gets a second look.

    Returns:
        A look for each box, still without classes, and the pixels (input_px, input_px, 3) of each
        look that is an animal, in the same order.

    Raises:
        ImageError: If the photo cannot be read, or the first look has nothing on it. One without
            an animal is not opened here.
    """
    boxes = first_look.finder.find(photo)
    looks = tuple(Look(box, box.confidence >= first_look.threshold) for box in boxes)
    animals = [look.box.bbox for look in looks if look.is_animal]
    if not animals:
        return looks, []
    data = photo.path if len(animals) == 1 else photo.path.read_bytes()
    return looks, [prepare(data, preprocessing, bbox) for bbox in animals]


def outcome(looks: Sequence[Look]) -> tuple[str, float]:
    """Return what a photo without animals shows, and how sure the detector is.

    Example:
        >>> outcome([Look(Box("person", 0.9, (0, 0, 1, 1)), sure=True)])
        ('person', 0.9)
        >>> outcome([Look(Box("animal", 0.1, (0, 0, 1, 1)), sure=False)])
        ('blank', 0.9)
    """
    for category in ("person", "vehicle"):
        sure = [
            look.box.confidence for look in looks if look.sure and look.box.category == category
        ]
        if sure:
            return category, max(sure)
    return "blank", round(1 - max((look.box.confidence for look in looks), default=0.0), 6)


def shows_person(looks: Sequence[Look] | None) -> bool:
    """Whether the detector is sure of a person, beside whatever else."""
    return any(look.sure and look.box.category == "person" for look in looks or ())
