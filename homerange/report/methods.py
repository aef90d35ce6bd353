"""The threshold against other ways to drop as many experts (the paper, figure 10).

Where we differ from the paper, and why: the scores that cost one pass and random choices stand
beside its two ways; random choices are drawn as their mean and their spread over three seeds.
"""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from homerange.report.canvas import (
    BLUE,
    GREEN,
    GREY,
    HEAD_IN,
    INK,
    OCHRE,
    QUIET,
    RED,
    new_figure,
    plain_axes,
)
from homerange.report.curves import percent_axis
from homerange.report.sweep import SEEDS, Drop, Right, Sweep, right_columns
from homerange.specialize.choose import Method
from homerange.specialize.figures import Score

__all__ = ["draw_methods", "methods_table"]

HEIGHT_IN = 10.4
LOOKS: dict[Method, tuple[str, str, str]] = {
    "threshold": (BLUE, "o", "threshold (the paper)"),
    "exact": (RED, "s", "exact importance (the paper)"),
    "first-order": (GREEN, "^", "first-order estimate"),
    "frequency": (OCHRE, "D", "fewest patches"),
    "random": (GREY, "x", f"random, mean and spread of {len(SEEDS)}"),
}
"""Colour, mark and name of each method."""


def methods_table(found: Sweep) -> dict[str, Sequence[object]]:
    """Return the columns of ``methods.csv``: one row for each percentile, method and seed.

    Columns that begin with ``list_`` are of the network that may name the classes of the place
    only.
    """
    drops = found.drops
    return {
        "percentile": [one.percentile for one in drops],
        "dropped": [one.dropped for one in drops],
        "method": [one.method for one in drops],
        "seed": [one.seed for one in drops],
        **right_columns([one.right for one in drops]),
    }


def draw_methods(found: Sweep, *, subtitle: str) -> Figure:
    """Draw the accuracy of each method where all drop the same number of experts.

    Args:
        found: What was measured.
        subtitle: The place and its photos.
    """
    figure = new_figure("Ways to drop the same number of experts", subtitle, height_in=HEIGHT_IN)
    top, bottom = figure.subplots(2, 1, sharex=True, sharey=True)
    figure.subplots_adjust(
        left=0.085, right=0.975, hspace=0.17, bottom=1.75 / HEIGHT_IN,
        top=1 - (HEAD_IN + 0.4) / HEIGHT_IN,
    )  # fmt: skip
    _draw_panel(top, found, lambda right: right.every_class)
    _draw_panel(bottom, found, lambda right: right.on_list)
    plain_axes(top, f"choosing among all classes {_interval(found.whole.every_class)}")
    rights = [found.whole, *(one.right for one in found.drops)]
    highest = max(s.correct / s.photos for one in rights for s in (one.every_class, one.on_list))
    for axes in (top, bottom):
        percent_axis(axes, highest)
    plain_axes(bottom, f"choosing among the place's classes {_interval(found.whole.on_list)}")
    labels = [f"{one.percentile:g}\n{one.dropped:,}" for one in found.of("threshold")]
    bottom.set_xticks(range(len(labels)), labels)
    bottom.set_xlabel(
        f"threshold: percentile of the edges; below it the experts dropped, of {found.experts:,}"
    )
    handles, names = top.get_legend_handles_labels()
    figure.legend(
        handles[::-1], names[::-1], loc="lower left", bbox_to_anchor=(0.075, 0.01), ncols=3,
        frameon=False, fontsize=11, labelcolor=INK, columnspacing=2.2,
    )  # fmt: skip
    return figure


def _draw_panel(axes: Axes, found: Sweep, part: Callable[[Right], Score]) -> None:
    def top1(drops: Sequence[Drop]) -> list[float]:
        """Return the accuracy at each percentile."""
        return [part(one.right).correct / part(one.right).photos for one in drops]

    whole = part(found.whole)
    axes.axhline(
        whole.correct / whole.photos, color=QUIET, linewidth=1.2, linestyle=(0, (4, 3)),
        label="all experts",
    )  # fmt: skip
    for method in reversed(found.methods):  # the paper's on top
        colour, mark, name = LOOKS[method]
        seeds = SEEDS if method == "random" else (0,)
        lines = np.array([top1(found.of(method, seed)) for seed in seeds])
        x = range(lines.shape[1])
        if len(lines) > 1:
            axes.fill_between(
                x, lines.min(axis=0), lines.max(axis=0), color=colour, alpha=0.2, linewidth=0
            )
        axes.plot(
            x, lines.mean(axis=0), color=colour, linewidth=2, marker=mark, markersize=7,
            label=name, clip_on=False,
        )  # fmt: skip


def _interval(whole: Score) -> str:
    """Say how sure a point is, so that nobody reads more from two lines than there is."""
    half = (whole.top1_high - whole.top1_low) / 2
    return f"(95 % interval of a point: about ± {100 * half:.0f} percentage points)"
