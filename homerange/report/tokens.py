"""How the patches of a place spread over the experts of each layer, beside the whole world.

The paper says that few experts are used very often (section 3.3): this shows how few, and whether
they are the same ones at the place and in the world.

Axes used in this file:
    E  experts of a layer
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from homerange.report.canvas import (
    BLUE,
    GREY,
    HEAD_IN,
    INK,
    OCHRE,
    QUIET,
    TRACK,
    new_figure,
    plain_axes,
)
from homerange.report.routing import token_share
from homerange.specialize.choose import Kept, Use

__all__ = ["draw_tokens", "tokens_table"]

ROW_IN = 3.5


def tokens_table(place: Use, world: Use, kept: Kept | None) -> dict[str, Sequence[object]]:
    """Return the columns of ``tokens.csv``: one row for each expert.

    The column ``kept`` is 1 for an expert that stays, 0 for one that is dropped, and empty where no
    experts are chosen.
    """
    rows: list[tuple[object, ...]] = []
    share, of_world = token_share(place), token_share(world)
    for layer, tokens_E in place.tokens.items():
        for e, tokens in enumerate(tokens_E.tolist()):
            everywhere = int(world.tokens[layer][e])
            stays = "" if kept is None else int(e in kept[layer])
            shares = (float(share[layer][e]), float(of_world[layer][e]))
            rows.append((layer, e, tokens, shares[0], everywhere, shares[1], stays))
    names = ("layer", "expert", "tokens", "share", "world_tokens", "world_share", "kept")
    return dict(zip(names, zip(*rows, strict=True), strict=True))


def draw_tokens(place: Use, world: Use, kept: Kept | None, *, subtitle: str) -> Figure:
    """Draw the share of each expert, layer by layer, the busiest of the place first.

    Args:
        place: What the experts do for the species of the place.
        world: What they do for all.
        kept: Experts that stay; those that go are hollow. None where no experts are chosen.
        subtitle: The place and its photos.
    """
    share, of_world = token_share(place), token_share(world)
    rows = math.ceil(len(share) / 2)
    height_in = HEAD_IN + rows * ROW_IN + 0.6
    figure = new_figure("Which experts the patches go to", subtitle, height_in=height_in)
    grid = figure.subplots(rows, 2, squeeze=False, sharey=True)
    figure.subplots_adjust(
        left=0.07, right=0.975, wspace=0.08, hspace=0.32, bottom=1.0 / height_in,
        top=1 - (HEAD_IN + 0.45) / height_in,
    )  # fmt: skip
    for axes in grid.flat[len(share) :]:
        axes.set_visible(False)
    for axes, (layer, share_E) in zip(grid.flat, sorted(share.items()), strict=False):
        _draw_layer(axes, share_E, of_world[layer], None if kept is None else kept[layer])
        plain_axes(axes, f"layer {layer}: {_half(share_E)}")
    for axes in grid[:, 0]:
        axes.set_ylabel("share of the layer's patches")
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    for axes in grid[-1]:
        axes.set_xlabel("experts, the busiest of the place first", labelpad=8)
    handles, names = grid.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="lower left", bbox_to_anchor=(0.055, 0.008), ncols=len(names),
        frameon=False, fontsize=11, labelcolor=INK, columnspacing=2,
    )  # fmt: skip
    return figure


def _draw_layer(
    axes: Axes,
    share_E: NDArray[np.float64],
    of_world_E: NDArray[np.float64],
    kept: NDArray[np.int64] | None,
) -> None:
    order_E = np.argsort(-share_E, kind="stable")
    x_E = np.arange(len(order_E))
    stays_E = np.ones(len(order_E), bool) if kept is None else np.isin(order_E, kept)
    name = "the place" if kept is None else "the place, experts that stay"
    axes.bar(x_E[stays_E], share_E[order_E][stays_E], 0.8, color=BLUE, label=name)
    if not stays_E.all():
        axes.bar(
            x_E[~stays_E], share_E[order_E][~stays_E], 0.8,
            color="none", edgecolor=GREY, linewidth=1, label="the place, experts that are dropped",
        )  # fmt: skip
    axes.scatter(x_E, of_world_E[order_E], 16, color=OCHRE, zorder=3, label="the whole world")
    axes.axhline(
        1 / len(order_E), color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)), label="an even share"
    )
    axes.set_xlim(-0.8, len(order_E) - 0.2)
    axes.set_xticks([])
    axes.grid(axis="y", color=TRACK, linewidth=0.8)


def _half(share_E: NDArray[np.float64]) -> str:
    """Say how many experts get half of the patches."""
    if not share_E.any():
        return "no patches"
    half = int(np.searchsorted(np.cumsum(np.sort(share_E)[::-1]), 0.5 - 1e-12)) + 1
    return f"{half} of {len(share_E)} experts get half of the patches"
