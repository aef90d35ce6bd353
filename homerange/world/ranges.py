"""Ranges of activations by class, so that a place's model can be made int8 without a photo.

The range of a value over the photos of several species is the union of their ranges: the smallest
of the low ends to the largest of the high ends.

Axes used in this file:
    N  rows of a table      S  classes of a place
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from homerange.errors import WorldError
from homerange.world.parquet import Float32, Int32, Table, Text

__all__ = ["Ranges"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranges(Table):
    """What the values of a world's graph span on the validation photos of each class.

    Values are what goes into and comes out of convolutions and matrix products, and the logits;
    weights are not among them. A class without validation photos has no row.
    """

    file: ClassVar[str] = "ranges.parquet"

    class_index: Int32
    value: Text
    """Its name in ``graph.onnx``."""
    low: Float32
    """The smallest number that it had."""
    high: Float32
    """The largest."""

    @classmethod
    def over(
        cls, folder: str | Path, class_index_S: NDArray[np.integer]
    ) -> dict[str, tuple[float, float]]:
        """Return the range of each value over the validation photos of some classes.

        Args:
            folder: The folder of a world.
            class_index_S: The classes, shape (S,).

        Returns:
            Low and high end by the name of the value; nothing where no class has such photos.

        Raises:
            WorldError: If the world has no such table, or it cannot be read.
            ExtraNotInstalled: If DuckDB is absent.
        """
        if not (Path(folder) / cls.file).is_file():
            raise WorldError(
                f"{folder}: has no {cls.file}, which worlds have since version 3. Publish it again "
                "with: homerange profile"
            )
        query = (
            "SELECT value, min(low) AS low, max(high) AS high FROM source "
            "WHERE class_index IN (SELECT unnest($classes::INTEGER[])) "
            "GROUP BY value ORDER BY value"
        )
        found = cls.query(folder, query, {"classes": class_index_S.tolist()})
        ends = zip(found["low"].tolist(), found["high"].tolist(), strict=True)
        return dict(zip(found["value"].tolist(), ends, strict=True))
