"""The classes of a world as a table: names, taxonomy where the manifest has it, photo counts."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from homerange.data.manifest import Manifest
from homerange.world.parquet import strings
from homerange.world.tables import Taxa

__all__ = ["taxa"]


def taxa(photos: Manifest, classes: Sequence[str]) -> Taxa:
    """List the classes in the order of the head.

    Args:
        photos: The whole manifest; the commonest text of each name column is taken.
        classes: Scientific names and outcomes, in class order.
    """
    counts = Counter(zip(photos.strings("species"), photos.strings("split"), strict=True))

    def _text(column: str) -> NDArray[np.object_]:
        known = _commonest(photos, column)
        return strings(known.get(name) for name in classes)

    def _number(split: str) -> NDArray[np.int32]:
        return np.array([counts[name, split] for name in classes], np.int32)

    return Taxa(
        class_index=np.arange(len(classes), dtype=np.int32),
        species=strings(classes),
        common_name=_text("common_name"),
        taxon_class=_text("taxon_class"),
        taxon_order=_text("taxon_order"),
        taxon_family=_text("taxon_family"),
        taxon_genus=_text("taxon_genus"),
        photos_train=_number("train"),
        photos_val=_number("val"),
        photos_test=_number("test"),
    )


def _commonest(photos: Manifest, column: str) -> dict[str, str]:
    pairs = Counter(zip(photos.strings("species"), photos.strings(column), strict=True))
    found: dict[str, str] = {}
    for (name, text), _ in pairs.most_common():
        if name and text:
            found.setdefault(name, text)
    return found
