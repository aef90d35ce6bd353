"""The patch routing graph of a place beside that of the whole world (the paper, figure 5).

A line is an edge: the share of the patches between two expert layers that go from one expert to
another. Colours are the paper's, by percentiles of the edges that some patch takes, of all pairs
of layers together: grey below the 90th, red above the 99.9th, blue between.

Where we differ from the paper, and why: points grow with the patches of an expert, because lines
hide how many meet there; and both graphs are of validation photos, so that test photos stay unseen.

Axes used in this file:
    E  experts of a layer      L  edges that some patch takes
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from homerange.report.canvas import (
    BLUE,
    GREY,
    HEAD_IN,
    INK,
    PAPER,
    QUIET,
    RED,
    new_figure,
    plain_axes,
)
from homerange.specialize.choose import Kept, Use

__all__ = ["BANDS", "Graph", "draw_routing", "graph_of", "routing_table", "token_share"]

BANDS = ("below 90", "90 to 99.9", "above 99.9")
"""Percentiles of the edges."""
LINES = ((GREY, 0.35, 0.3), (BLUE, 0.9, 0.55), (RED, 2.0, 0.95))
"""Colour, width in points and opacity of each band."""
HEIGHT_IN = 10.0
SIZE_OF_ALL = 900.0
"""Area, in square points, of an expert that gets all patches of its layer."""


@dataclass(frozen=True, eq=False)
class Graph:
    """The edges that some patch takes, the weakest first."""

    layer_L: NDArray[np.int64]
    expert_L: NDArray[np.int64]
    next_layer_L: NDArray[np.int64]
    next_expert_L: NDArray[np.int64]
    tokens_L: NDArray[np.int64]
    share_L: NDArray[np.float64]
    """Of the tokens between the two layers."""
    band_L: NDArray[np.int64]
    """Index into ``BANDS``."""


def graph_of(use: Use) -> Graph:
    """Return the edges of some species with their shares and colours."""
    parts = [np.zeros((5, 0), np.int64)]
    for (layer, following), count_EE in zip(
        pairwise(sorted(use.tokens)), use.edges.values(), strict=True
    ):
        expert, after = np.nonzero(count_EE)
        tokens = count_EE[expert, after]
        same = np.ones_like(expert)
        parts.append(np.stack([layer * same, expert, following * same, after, tokens]))
    edges_5L = np.concatenate(parts, axis=1)
    total = {layer: int(count_EE.sum()) for layer, count_EE in use.edges.items()}
    share_L = edges_5L[4] / np.array([total[layer] for layer in edges_5L[0].tolist()])
    order_L = np.argsort(share_L, kind="stable")
    share_L = share_L[order_L]
    layer_L, expert_L, next_layer_L, next_expert_L, tokens_L = edges_5L[:, order_L]
    band_L = _band(share_L)
    return Graph(layer_L, expert_L, next_layer_L, next_expert_L, tokens_L, share_L, band_L)


def _band(share_L: NDArray[np.float64]) -> NDArray[np.int64]:
    if not len(share_L):
        return np.zeros(0, np.int64)
    low, high = np.percentile(share_L, [90, 99.9])
    band_L: NDArray[np.int64] = (share_L >= low).astype(np.int64) + (share_L > high)
    return band_L


def token_share(use: Use) -> dict[int, NDArray[np.float64]]:
    """Return the share of its layer's tokens that goes to each expert, shape (E,)."""
    return {layer: tokens_E / max(1, tokens_E.sum()) for layer, tokens_E in use.tokens.items()}


def routing_table(place: Graph, world: Graph, kept: Kept | None) -> dict[str, Sequence[object]]:
    """Return the columns of ``routing.csv``: one row for each edge of the place, then the world.

    The column ``kept`` is 1 where both ends of an edge of the place stay, else 0; empty where no
    experts are chosen.
    """
    columns: dict[str, list[object]] = {"graph": []}
    for name, graph in (("place", place), ("world", world)):
        columns["graph"] += [name] * len(graph.share_L)
        values = {
            "layer": graph.layer_L.tolist(),
            "expert": graph.expert_L.tolist(),
            "next_layer": graph.next_layer_L.tolist(),
            "next_expert": graph.next_expert_L.tolist(),
            "tokens": graph.tokens_L.tolist(),
            "share": graph.share_L.tolist(),
            "percentile": [BANDS[band] for band in graph.band_L.tolist()],
            "kept": _both_kept(graph, kept if name == "place" else None),
        }
        for column, found in values.items():
            columns.setdefault(column, []).extend(found)
    return dict(columns)


def _both_kept(graph: Graph, kept: Kept | None) -> list[object]:
    if kept is None:
        return [""] * len(graph.share_L)
    ends = zip(
        graph.layer_L.tolist(),
        graph.expert_L.tolist(),
        graph.next_layer_L.tolist(),
        graph.next_expert_L.tolist(),
        strict=True,
    )
    return [int(u in kept[layer] and v in kept[after]) for layer, u, after, v in ends]


def draw_routing(
    place: Use, world: Use, kept: Kept | None, *, subtitle: str, panels: tuple[str, str]
) -> Figure:
    """Draw both graphs side by side.

    Args:
        place: What the experts do for the species of the place.
        world: What they do for all.
        kept: Experts that stay; those that go are hollow. None where no experts are chosen.
        subtitle: The place.
        panels: What stands above each graph.
    """
    figure = new_figure("Where patches go, from expert to expert", subtitle, height_in=HEIGHT_IN)
    both = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(
        left=0.07, right=0.97, wspace=0.09, bottom=1.35 / HEIGHT_IN,
        top=1 - (HEAD_IN + 0.7) / HEIGHT_IN,
    )  # fmt: skip
    for axes, use, own, title in zip(both, (place, world), (kept, None), panels, strict=True):
        _draw_graph(axes, graph_of(use), token_share(use), own)
        plain_axes(axes, title)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(length=0)
    both[0].set_ylabel("expert (number in its layer)")
    _legend(figure, hollow=kept is not None)
    return figure


def _draw_graph(
    axes: Axes, graph: Graph, share: Mapping[int, NDArray[np.float64]], kept: Kept | None
) -> None:
    column = {layer: float(i) for i, layer in enumerate(sorted(share))}
    for band, (colour, width, opacity) in enumerate(LINES):
        own_L = graph.band_L == band
        ends = zip(
            graph.layer_L[own_L].tolist(),
            graph.expert_L[own_L].tolist(),
            graph.next_layer_L[own_L].tolist(),
            graph.next_expert_L[own_L].tolist(),
            strict=True,
        )
        segments = [[(column[m], u), (column[n], v)] for m, u, n, v in ends]
        axes.add_collection(
            LineCollection(
                segments, colors=colour, linewidths=width, alpha=opacity, zorder=band + 1
            )
        )
    for layer, share_E in share.items():
        _draw_experts(axes, column[layer], share_E, None if kept is None else kept[layer])
    axes.set_xticks(list(column.values()), [f"layer {layer}" for layer in column])
    axes.set_xlim(-0.18, len(column) - 0.82)
    most = max(len(share_E) for share_E in share.values())
    axes.set_ylim(most - 0.2, -0.8)  # expert 0 on top


def _draw_experts(
    axes: Axes, x: float, share_E: NDArray[np.float64], kept: NDArray[np.int64] | None
) -> None:
    expert_E = np.arange(len(share_E))
    stays_E = np.ones(len(share_E), bool) if kept is None else np.isin(expert_E, kept)
    size_E = 9.0 + SIZE_OF_ALL * share_E
    for mask_E, face in ((stays_E, INK), (~stays_E, PAPER)):
        axes.scatter(
            np.full(int(mask_E.sum()), x), expert_E[mask_E], size_E[mask_E],
            facecolor=face, edgecolor=INK, linewidth=0.8, zorder=6, clip_on=False,
        )  # fmt: skip


def _legend(figure: Figure, *, hollow: bool) -> None:
    texts = (
        "below the 90th percentile",
        "90th to 99.9th",
        "above the 99.9th",
    )
    handles = [
        Line2D([], [], color=colour, linewidth=max(1.2, width * 1.6), label=text)
        for (colour, width, _), text in zip(LINES, texts, strict=True)
    ]
    points = [(INK, "expert")]
    if hollow:
        points = [(INK, "expert that stays"), (PAPER, "expert that is dropped")]
    handles += [
        Line2D([], [], marker="o", linestyle="", markersize=7, markerfacecolor=face,
               markeredgecolor=INK, label=text)
        for face, text in points
    ]  # fmt: skip
    figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.035, 0.012), ncols=len(handles),
        frameon=False, fontsize=11, labelcolor=INK, handletextpad=0.6, columnspacing=1.6,
    )  # fmt: skip
    figure.text(
        0.04, 0.062, "A line is the share of the patches between two layers that take it; "
        "percentiles are of all lines of a graph. Points grow with patches.",
        fontsize=11, color=QUIET,
    )  # fmt: skip
