"""What dropping experts costs at a place: every method, at every percentile of a grid.

Source: the paper, section 4.3, figures 9 and 10. The threshold says how many experts go; every
other method then drops as many. Experts are chosen on validation photos, by
:mod:`homerange.specialize.choose`; how right the rest answers is measured on test photos, which no
choice has seen.

Where we differ from the paper, and why: beside its two ways stand the scores that cost one pass,
and random choices, because a method that does not beat these has found nothing. Removed experts
leave their patches to the world's drop rule, so that the numbers are those of a package.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from homerange.progress import progress
from homerange.specialize.choose import Choice, Kept, Method, choose, use_of
from homerange.specialize.figures import Score
from homerange.world.expert_tables import Drops
from homerange.world.world import World

__all__ = ["GRID", "SEEDS", "Drop", "Judge", "Right", "Sweep", "right_columns", "sweep"]

GRID = (0.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9, 100.0)
"""Percentiles of the edges of the routing graph."""
SEEDS = (0, 1, 2)
"""Of the random choices."""


@dataclass(frozen=True, kw_only=True)
class Right:
    """How right a network with some experts is on the test photos of a place's species."""

    every_class: Score
    """Choosing among all classes of the world."""
    on_list: Score
    """Choosing among the classes of the place."""


Judge = Callable[[Kept], Right]


@dataclass(frozen=True, kw_only=True)
class Drop:
    """One choice of experts and how right the rest is."""

    percentile: float
    """Of the threshold that says how many are dropped."""
    method: Method
    seed: int
    """0 where the method is not random."""
    dropped: int
    right: Right


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """All choices of a place."""

    experts: int
    """Of all layers together."""
    whole: Right
    """With all experts."""
    drops: tuple[Drop, ...]

    def of(self, method: Method, seed: int = 0) -> tuple[Drop, ...]:
        """Return the choices of one method, one for each percentile of the grid."""
        return tuple(one for one in self.drops if (one.method, one.seed) == (method, seed))

    @property
    def methods(self) -> tuple[Method, ...]:
        """Those that were measured, the threshold first."""
        return tuple(dict.fromkeys(one.method for one in self.drops))


def sweep(world: World, class_index: NDArray[np.integer], judge: Judge) -> Sweep:
    """Drop experts by every method and judge what is left.

    Args:
        world: A world with experts; ``exact`` is measured only where it has exact drops.
        class_index: The place's species and outcomes, as classes of the world.
        judge: Says how right the network is with the experts that it is given.

    Raises:
        WorldError: If the world has no experts or its tables cannot be read.
    """
    use = use_of(world, class_index)
    every: Kept = {n: np.arange(len(x)) for n, x in use.tokens.items()}
    experts = sum(map(len, every.values()))
    plan = _plan(exact=(world.path / Drops.file).is_file())
    known: dict[tuple[object, ...], Right] = {}
    drops: list[Drop] = []
    with progress("dropping", 1 + len(GRID) * (1 + len(plan)), unit="choices") as step:

        def add(percentile: float, choice: Choice) -> int:
            """Judge one choice and return how many experts it drops."""
            kept = choose(world, class_index, choice, use=use)
            dropped = experts - sum(map(len, kept.values()))
            drops.append(
                Drop(
                    percentile=percentile,
                    method=choice.method,
                    seed=choice.seed,
                    dropped=dropped,
                    right=_judged(known, judge, kept),
                )
            )
            step(note=f"{dropped:,} of {experts:,} by {choice.method}")
            return dropped

        whole = _judged(known, judge, every)
        step(note="all experts")
        for percentile in GRID:
            number = add(percentile, Choice(method="threshold", percentile=percentile))
            for method, seed in plan:
                add(percentile, Choice(method=method, number=number, seed=seed))
    return Sweep(experts=experts, whole=whole, drops=tuple(drops))


def _plan(*, exact: bool) -> list[tuple[Method, int]]:
    """Name the methods, and their seeds, that drop as many experts as the threshold."""
    methods: list[tuple[Method, int]] = [("exact", 0)] if exact else []
    return [*methods, ("first-order", 0), ("frequency", 0), *(("random", seed) for seed in SEEDS)]


def _judged(known: dict[tuple[object, ...], Right], judge: Judge, kept: Kept) -> Right:
    """Judge a choice, or remember what was said of the same experts."""
    key = tuple((layer, *experts.tolist()) for layer, experts in sorted(kept.items()))
    if key not in known:
        known[key] = judge(kept)
    return known[key]


def right_columns(rights: Sequence[Right]) -> Mapping[str, Sequence[object]]:
    """Return what was measured as columns: all classes first, then those of the list."""
    columns: dict[str, Sequence[object]] = {
        "photos": [right.every_class.photos for right in rights]
    }
    for prefix, scores in (
        ("", [right.every_class for right in rights]),
        ("list_", [right.on_list for right in rights]),
    ):
        for name in ("correct", "top1", "top1_low", "top1_high"):
            columns[prefix + name] = [getattr(score, name) for score in scores]
    return columns
