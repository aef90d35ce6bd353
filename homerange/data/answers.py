"""What a network says of the photos of a manifest, whoever ran it, and which could not be read.

Axes used in this file:
    N  photos that could be read      D  features      C  classes
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from homerange.data.manifest import Manifest
from homerange.errors import ManifestError

__all__ = ["Answers", "Unreadable", "check_readable", "class_indices"]

UNLABELLED = -1


@dataclass(frozen=True)
class Unreadable:
    """A photo that could not be read, and why."""

    photo: int
    image: str
    reason: str


@dataclass(frozen=True)
class Answers:
    """What a network says of each photo of a manifest."""

    row_N: NDArray[np.int64]
    """Row of the manifest."""

    class_N: NDArray[np.int64]
    """True class; -1 where the network does not know the species."""

    features_ND: NDArray[np.float32]
    """Input of the class rows."""

    logits_NC: NDArray[np.float32]

    unreadable: list[Unreadable]

    def where(self, mask_N: NDArray[np.bool_]) -> Self:
        """Return the answers where ``mask_N`` is true."""
        return type(self)(
            self.row_N[mask_N],
            self.class_N[mask_N],
            self.features_ND[mask_N],
            self.logits_NC[mask_N],
            self.unreadable,
        )


def check_readable(manifest: Manifest, unreadable: Sequence[Unreadable]) -> None:
    """Refuse to go on where there were photos and not one of them could be read.

    Raises:
        ManifestError: With the first reason, and the folder where the photos were looked for.
    """
    if len(manifest) and len({bad.photo for bad in unreadable}) == len(manifest):
        first = unreadable[0]
        raise ManifestError(
            f"none of {len(manifest):,} photos could be read, the first because: {first.reason}. "
            f"They are looked for in {manifest.root}; import them again if they have moved"
        )


def class_indices(manifest: Manifest, classes: Sequence[str]) -> list[int]:
    """Return the class of each row, -1 where it has no label or none of ``classes``."""
    index = {name: i for i, name in enumerate(classes)}
    return [
        UNLABELLED if name is None else index.get(name, UNLABELLED)
        for name in manifest.strings("species")
    ]
