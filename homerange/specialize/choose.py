"""Choose the experts that a place keeps: the paper's two ways, one-pass scores, and controls.

Source: the paper, section 3.3. ``threshold`` removes the nodes of the patch routing graph whose
every edge is weak. The others remove experts one by one, the least important first: ``exact`` by
what the loss of the expert alone does to accuracy (the paper's per-expert importance),
``first-order`` by its estimate from one backward pass, ``frequency`` by tokens, ``reap`` by the
mean length of the answers. ``global`` (first-order over all classes) and ``random`` are controls.

All are sums over the validation photos of the place's species; test photos never enter. Where the
world reroutes tokens, a layer keeps one expert at least, because they must go somewhere; under the
other drop rules a layer may lose all of its experts.

Axes used in this file:
    E  experts of a layer
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from homerange.errors import ConfigError, WorldError
from homerange.world.description import DropRule, ExpertLayer
from homerange.world.expert_tables import Drops, Edges, Routing
from homerange.world.world import World

__all__ = [
    "Choice",
    "Kept",
    "Method",
    "Use",
    "choose",
    "keep_by_threshold",
    "keep_without_lowest",
    "use_of",
]

Method = Literal["threshold", "exact", "first-order", "frequency", "reap", "global", "random"]
Kept = dict[int, NDArray[np.int64]]
"""Experts to keep by the number of their layer, rising."""
UNITS = {"kB": 10**3, "MB": 10**6}
OF_SPECIES = "split = 'val' AND class_index IN (SELECT unnest($classes::INTEGER[]))"
USE_OF_SPECIES = (
    "SELECT layer, expert, sum(tokens)::BIGINT AS tokens, sum(loss_rise) AS loss_rise, "
    f"sum(answer_norm) AS answer_norm FROM source WHERE {OF_SPECIES} GROUP BY layer, expert"
)
EDGES_OF_SPECIES = (
    "SELECT layer, expert, next_expert, sum(tokens)::BIGINT AS tokens FROM source "
    f"WHERE {OF_SPECIES} GROUP BY layer, expert, next_expert"
)


@dataclass(frozen=True, eq=False)
class Use:
    """What the experts do for some species, by the number of the layer."""

    tokens: Mapping[int, NDArray[np.int64]]
    """Shape (E,)."""
    loss_rise: Mapping[int, NDArray[np.float64]]
    """Estimated rise of the summed loss without the expert, shape (E,)."""
    answer_norm: Mapping[int, NDArray[np.float64]]
    """Summed length of the answers, shape (E,)."""
    edges: Mapping[int, NDArray[np.int64]]
    """Tokens from an expert of the layer to one of the next, shape (E, E); none for the last."""


def use_of(world: World, class_index: NDArray[np.integer] | None = None) -> Use:
    """Add up what the experts do for some classes of a world, or for all.

    Args:
        world: A world with experts.
        class_index: The classes; all where none is given.

    Raises:
        WorldError: If the world has no experts or its tables cannot be read.
    """
    layers = {layer.layer: layer.experts for layer in world.graph.experts if layer.experts}
    if not layers:
        raise WorldError(f"{world.path}: a world without experts; there are none to choose from")
    classes = np.arange(len(world.labels)) if class_index is None else class_index
    given = {"classes": classes.tolist()}
    routing = Routing.query(world.path, USE_OF_SPECIES, given)
    edges = Edges.query(world.path, EDGES_OF_SPECIES, given)

    def per_layer(column: str) -> dict[int, NDArray[np.float64]]:
        """Give a column of sums by layer, and zero to experts that no token visited."""
        found = {layer: np.zeros(experts) for layer, experts in layers.items()}
        for layer, sum_E in found.items():
            own = routing["layer"] == layer
            sum_E[routing["expert"][own]] = routing[column][own]
        return found

    return Use(
        tokens={n: values.astype(np.int64) for n, values in per_layer("tokens").items()},
        loss_rise=per_layer("loss_rise"),
        answer_norm=per_layer("answer_norm"),
        edges={layer: _graph(edges, layer, layers[layer]) for layer in sorted(layers)[:-1]},
    )


def _graph(edges: Mapping[str, NDArray[np.generic]], layer: int, experts: int) -> NDArray[np.int64]:
    own = edges["layer"] == layer
    count_EE = np.zeros((experts, experts), np.int64)
    count_EE[edges["expert"][own], edges["next_expert"][own]] = edges["tokens"][own]
    return count_EE


def keep_by_threshold(use: Use, percentile: float, *, at_least: int = 1) -> Kept:
    """Keep the nodes that have an edge at or above a percentile of all edges.

    Edges are shares of the tokens that go from one layer to the next; the percentile is that of the
    edges that some token takes, of all pairs of layers together.

    Args:
        use: Of the place's species.
        percentile: 0 to 100; 0 removes only experts that no token visits.
        at_least: 1 to keep in each layer the expert with most tokens where all edges are weak;
            else 0.

    Raises:
        ConfigError: If the percentile is not one.
    """
    if not 0 <= percentile <= 100:
        raise ConfigError(f"percentile {percentile:g}: expected 0 to 100")
    weight = {layer: count / max(1, count.sum()) for layer, count in use.edges.items()}
    used = np.concatenate([w[w > 0] for w in weight.values()] or [np.zeros(0)])
    theta = np.percentile(used, percentile) if len(used) else 0.0
    strongest = {layer: np.zeros(len(tokens)) for layer, tokens in use.tokens.items()}
    for (layer, following), w_EE in zip(_pairs(use), weight.values(), strict=True):
        strongest[layer] = np.maximum(strongest[layer], w_EE.max(axis=1))
        strongest[following] = np.maximum(strongest[following], w_EE.max(axis=0))
    return {
        layer: _or_busiest((w_E >= theta) & (use.tokens[layer] > 0), use.tokens[layer], at_least)
        for layer, w_E in strongest.items()
    }


def _or_busiest(
    kept_E: NDArray[np.bool_], tokens_E: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Return what is kept; where that is nothing, the first experts by tokens."""
    kept = np.flatnonzero(kept_E)
    return kept if len(kept) else np.argsort(-tokens_E, kind="stable")[:count]


def _pairs(use: Use) -> list[tuple[int, int]]:
    layers = sorted(use.tokens)
    return list(itertools.pairwise(layers))


def keep_without_lowest(
    importance: Mapping[int, NDArray[np.floating]],
    tokens: Mapping[int, NDArray[np.int64]],
    *,
    number: int | None = None,
    size_bytes: Mapping[int, int] | None = None,
    save_bytes: int = 0,
    at_least: int = 1,
) -> Kept:
    """Keep all experts but the least important of all layers together.

    Args:
        importance: Of each expert, by layer, shape (E,) or (E, 2): the second breaks ties of the
            first.
        tokens: Of each expert, by layer; fewer tokens break what ties are left.
        number: Experts to remove; else they are removed until ``save_bytes`` are saved.
        size_bytes: What an expert weighs, by layer.
        save_bytes: What shall be saved.
        at_least: How many experts of each layer stay whatever they are worth.
    """
    order = sorted(
        (*np.atleast_1d(importance[layer][e]).tolist(), int(tokens[layer][e]), layer, e)
        for layer in importance
        for e in range(len(tokens[layer]))
    )
    gone: dict[int, set[int]] = {layer: set() for layer in importance}
    removed = saved = 0
    for *_, layer, e in order:
        if (removed >= number) if number is not None else (saved >= save_bytes):
            break
        if len(tokens[layer]) - len(gone[layer]) <= at_least:
            continue
        gone[layer].add(e)
        removed += 1
        saved += (size_bytes or {}).get(layer, 0)
    return {
        layer: np.array([e for e in range(len(tokens[layer])) if e not in lost], np.int64)
        for layer, lost in gone.items()
    }


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How the experts of a place are chosen: a method, and how many it removes."""

    method: Method
    percentile: float | None = None
    """For ``threshold``: of the edges."""
    number: int | None = None
    """For the others: experts to remove, of all layers together,"""
    save_bytes: int | None = None
    """or bytes to save."""
    seed: int = 0
    """For ``random``."""

    def __post_init__(self) -> None:
        """Refuse an amount that does not go with the method."""
        if self.method not in get_args(Method):
            known = ", ".join(get_args(Method))
            raise ConfigError(f"method {self.method!r} is unknown; use {known}")
        given = [self.percentile, self.number, self.save_bytes]
        right = [self.percentile] if self.method == "threshold" else [self.number, self.save_bytes]
        if sum(x is not None for x in given) != 1 or all(x is None for x in right):
            raise ConfigError(
                "threshold takes a percentile, every other method a number or bytes, for example "
                "threshold:95, first-order:40 or reap:20kB"
            )
        if self.percentile is not None and not 0 <= self.percentile <= 100:
            raise ConfigError(f"percentile {self.percentile:g}: expected 0 to 100")
        if (self.number or 0) < 0 or (self.save_bytes or 0) < 0:
            raise ConfigError("a number of experts or bytes to remove cannot be below 0")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a choice as people type it.

        Raises:
            ConfigError: If it is none.

        Example:
            >>> Choice.parse("reap:20kB").save_bytes
            20000
        """
        method, _, amount = text.partition(":")
        unit = next((unit for unit in UNITS if amount.endswith(unit)), "")
        try:
            value = float(amount.removesuffix(unit))
            whole = round(value * UNITS.get(unit, 1))  # refuses nan and infinity
        except (ValueError, OverflowError):
            raise ConfigError(
                f"experts {text!r}: expected METHOD:AMOUNT, for example threshold:95, "
                "first-order:40 or reap:20kB"
            ) from None
        if unit:
            return cls(method=method, save_bytes=whole)  # type: ignore[arg-type]
        if method == "threshold":
            return cls(method="threshold", percentile=value)
        return cls(method=method, number=whole)  # type: ignore[arg-type]


def choose(
    world: World, class_index: NDArray[np.integer], choice: Choice, *, use: Use | None = None
) -> Kept:
    """Choose the experts that a place keeps.

    Args:
        world: A world with experts.
        class_index: The place's species, as classes of the world.
        choice: How, and how many.
        use: What :func:`use_of` gives for these classes, where it is known already.

    Raises:
        WorldError: If the world has no experts, or no exact drops for ``exact``.
    """
    use = use or use_of(world, class_index)
    at_least = 1 if world.graph.drop_rule == "reroute" else 0
    if choice.percentile is not None:
        return keep_by_threshold(use, choice.percentile, at_least=at_least)
    size_bytes = {
        layer.layer: _saved_bytes(layer, world.graph.drop_rule) for layer in world.graph.experts
    }
    return keep_without_lowest(
        _importance(world, class_index, choice, use),
        use.tokens,
        number=choice.number,
        size_bytes=size_bytes,
        save_bytes=choice.save_bytes or 0,
        at_least=at_least,
    )


def _saved_bytes(layer: ExpertLayer, rule: DropRule) -> int:
    """Count what goes with an expert: its weights and biases; its row of the gate is not counted.

    That row goes under ``reroute`` only. Under ``mean`` a mean answer comes in place of a bias.
    """
    saved = 2 * layer.channels * layer.hidden + layer.hidden
    return 4 * (saved if rule == "mean" else saved + layer.channels)


def _importance(
    world: World, class_index: NDArray[np.integer], choice: Choice, use: Use
) -> Mapping[int, NDArray[np.floating]]:
    method = choice.method
    if method == "exact":
        return _exact(world, class_index, use)
    if method == "first-order":
        return use.loss_rise
    if method == "global":
        return use_of(world).loss_rise
    if method == "random":
        generator = np.random.default_rng(choice.seed)
        return {layer: generator.random(len(tokens)) for layer, tokens in use.tokens.items()}
    tokens = {layer: values.astype(np.float64) for layer, values in use.tokens.items()}
    if method == "frequency":
        return tokens
    return {layer: use.answer_norm[layer] / np.maximum(1, tokens[layer]) for layer in tokens}


def _exact(
    world: World, class_index: NDArray[np.integer], use: Use
) -> Mapping[int, NDArray[np.floating]]:
    """Return lost answers and, to break ties, the rise of the loss, shape (E, 2)."""
    if not (world.path / Drops.file).is_file():
        raise WorldError(
            f"{world.path}: has no exact drops. Publish it with: homerange profile --exact K"
        )
    drops = Drops.read(world.path, OF_SPECIES, {"classes": class_index.tolist()})
    whole = drops.layer < 0
    correct, loss = int(drops.correct[whole].sum()), float(drops.loss_sum[whole].sum())
    found = {}
    for layer, tokens in use.tokens.items():
        own = drops.layer == layer
        sums = [
            np.bincount(drops.expert[own], weights=values[own], minlength=len(tokens))
            for values in (drops.correct, drops.loss_sum)
        ]
        found[layer] = np.stack([correct - sums[0], sums[1] - loss], axis=1)
    return found
