"""Boxes around what a detector saw in a photo: the first look of two."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["CATEGORIES", "Box", "Category"]

Category = Literal["animal", "person", "vehicle"]
CATEGORIES: tuple[Category, ...] = ("animal", "person", "vehicle")


@dataclass(frozen=True, slots=True)
class Box:
    """One thing that a detector saw."""

    category: Category
    confidence: float
    """0-1, as the detector gave it."""
    bbox: tuple[float, float, float, float]
    """Left, top, width and height, relative (0-1) to the upright photo."""
