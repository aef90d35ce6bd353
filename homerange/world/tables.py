"""The tables of every world: the columns of each in one place.

``taxa.parquet`` names the classes, ``occurrence.parquet`` says where they were recorded,
``profile.parquet`` counts the answers of the full world and ``evidence.parquet`` keeps the input
of the class rows for each judged photo, so that any place can be judged without a photo.

Coordinates never enter these tables: only S2 cells of level 8 or coarser, and counts in bands.

Axes used in this file:
    N  rows of a table      D  features before the class rows
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from homerange.world.parquet import (
    CellId,
    Feature,
    Float32,
    Float64,
    Int8,
    Int32,
    Table,
    Text,
    TextOrNull,
)

__all__ = [
    "COUNT_BANDS",
    "COUNT_BAND_FROM",
    "Evidence",
    "Occurrence",
    "Profile",
    "Taxa",
    "count_band",
]

COUNT_BANDS = ("1", "2-5", "6-20", "21-100", "101 or more")
"""What the bands 1 to 5 mean, in words; a world publishes no exact count of records."""

COUNT_BAND_FROM = (1, 2, 6, 21, 101)
"""The smallest count of each band."""


def count_band(count_N: NDArray[np.integer]) -> NDArray[np.int8]:
    """Put counts of records into the bands 1 to 5 (``COUNT_BANDS``); 0 stays 0.

    Example:
        >>> count_band(np.array([0, 1, 5, 6, 100, 101])).tolist()
        [0, 1, 2, 3, 4, 5]
    """
    return np.searchsorted(COUNT_BAND_FROM, count_N, side="right").astype(np.int8)


@dataclass(frozen=True, kw_only=True, eq=False)
class Taxa(Table):
    """The classes of a world: one row for each, in the order of the rows of its head."""

    file: ClassVar[str] = "taxa.parquet"

    class_index: Int32
    """0, 1, 2 ...: the row itself."""
    species: Text
    """Scientific name, or an outcome: ``blank``, ``person``, ``vehicle``."""
    common_name: TextOrNull
    taxon_class: TextOrNull
    taxon_order: TextOrNull
    taxon_family: TextOrNull
    taxon_genus: TextOrNull
    photos_train: Int32
    photos_val: Int32
    photos_test: Int32


@dataclass(frozen=True, kw_only=True, eq=False)
class _Located(Table):
    """A table with a column ``cell``."""

    @classmethod
    def cells(cls, folder: str | Path) -> NDArray[np.uint64]:
        """Read the different cells of rows with coordinates, rising; no other column is read.

        Raises:
            WorldError: If the table cannot be read.
            ExtraNotInstalled: If DuckDB is absent.
        """
        query = "SELECT DISTINCT cell FROM source WHERE cell <> 0 ORDER BY cell"
        return cls.query(folder, query)["cell"].astype(np.uint64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Occurrence(_Located):
    """Where species were recorded: a row for each species, cell, month, source and uncertainty."""

    file: ClassVar[str] = "occurrence.parquet"

    species: Text
    """Scientific name; may be a species that is no class of the world."""
    cell: CellId
    """S2 id of level 8 or coarser: the finest whose mean edge reaches the records' uncertainty."""
    month: Int8
    """1 to 12, 0 where unknown."""
    source: Text
    """``train``, ``val`` or ``extra``; records of test photos never enter."""
    uncertainty_km: Float32
    """Largest coordinate uncertainty of the row's records, which are alike; 0 where unknown."""
    count_band: Int8
    """1 to 5, see ``COUNT_BANDS``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile(Table):
    """Answers of the full world, counted by class, cell and split."""

    file: ClassVar[str] = "profile.parquet"

    class_index: Int32
    cell: CellId
    """S2 id of level 8 or coarser; 0 for photos without coordinates."""
    split: Text
    """``val`` or ``test``."""
    photos: Int32
    correct: Int32
    """Photos whose class has the highest logit of all classes."""
    correct_top5: Int32
    loss_sum: Float64
    """Sum of the cross-entropies, in nats."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence(_Located):
    """Validation and test photos of the world's classes, as the input of the class rows."""

    file: ClassVar[str] = "evidence.parquet"

    class_index: Int32
    cell: CellId
    """S2 id of level 8 or coarser; 0 for photos without coordinates."""
    split: Text
    """``val`` or ``test``."""
    sequence: Int32
    """Burst of photos, renumbered; -1 where unknown."""
    source: Text
    feature: Feature
    """Shape (N, D); each row is stored as its bytes, little endian."""
