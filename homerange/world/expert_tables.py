"""The tables of a world with experts: what they did, as sums over photos.

Any place's routing graph and importances (the paper, section 3.3) are sums over its species of
these rows, whatever the place: so they are kept by class, of validation photos, by which experts
are chosen.

Axes used in this file:
    N  rows of a table
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from homerange.world.parquet import Float64, Int32, Int64, Table, Text

__all__ = ["Drops", "Edges", "Routing"]

BY_CELL = {"cell": "UBIGINT"}
"""Worlds before version 4 kept these sums apart by cell."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Routing(Table):
    """What the experts did for the photos of a class and split: sums over photos.

    Only experts that some token visited have a row.
    """

    file: ClassVar[str] = "routing.parquet"
    once: ClassVar[Mapping[str, str]] = BY_CELL

    class_index: Int32
    split: Text
    """``val``; older worlds hold ``test`` too."""
    layer: Int32
    """Transformer layer, counted from 0."""
    expert: Int32
    tokens: Int64
    loss_rise: Float64
    """What dropping the expert would add to the loss, to first order, in nats."""
    answer_norm: Float64
    """Sum of the lengths of the expert's answers (REAP, where one expert answers for a token)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Edges(Table):
    """The patch routing graph: tokens that go from one expert to one of the next expert layer."""

    file: ClassVar[str] = "edges.parquet"
    once: ClassVar[Mapping[str, str]] = BY_CELL

    class_index: Int32
    split: Text
    layer: Int32
    """The earlier layer."""
    expert: Int32
    next_expert: Int32
    """Expert of the next expert layer."""
    tokens: Int64


@dataclass(frozen=True, kw_only=True, eq=False)
class Drops(Table):
    """Exact drops: what a world answers when one expert is gone, for some photos of each class."""

    file: ClassVar[str] = "drops.parquet"
    once: ClassVar[Mapping[str, str]] = BY_CELL

    class_index: Int32
    split: Text
    layer: Int32
    """-1 in the rows that say what the whole world answers for the same photos."""
    expert: Int32
    """-1 there."""
    photos: Int32
    correct: Int32
    loss_sum: Float64
