"""What the threshold costs at a place, and how many experts it drops (the paper, figure 9).

Where we differ from the paper, and why: the accuracy also stands there for a network that may
name the place's species only, which is what a package does; each has its 95 % interval, and beside
them stands what always answering the commonest species would reach.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from homerange.report.canvas import (
    BLUE,
    GREEN,
    HEAD_IN,
    INK,
    OCHRE,
    PURPLE,
    TRACK,
    new_figure,
    plain_axes,
)
from homerange.report.sweep import Sweep, right_columns
from homerange.specialize.figures import Score

__all__ = ["curves_table", "draw_curves", "percent_axis"]

HEIGHT_IN = 9.0


def curves_table(found: Sweep) -> dict[str, Sequence[object]]:
    """Return the columns of ``curves.csv``; the first row, without percentile, drops nothing.

    Columns that begin with ``list_`` are of the network that may name the classes of the place
    only.
    """
    drops = found.of("threshold")
    return {
        "percentile": ["", *(one.percentile for one in drops)],
        "dropped": [0, *(one.dropped for one in drops)],
        "experts": [found.experts] * (1 + len(drops)),
        **right_columns([found.whole, *(one.right for one in drops)]),
    }


def draw_curves(found: Sweep, *, subtitle: str, commonest: float) -> Figure:
    """Draw accuracy above, and the number of dropped experts below.

    Args:
        found: What was measured.
        subtitle: The place and its photos.
        commonest: Accuracy of always answering the commonest species.
    """
    figure = new_figure(
        "What the threshold drops, and what it costs", subtitle, height_in=HEIGHT_IN
    )
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.7, 1])
    figure.subplots_adjust(
        left=0.085, right=0.975, hspace=0.22, bottom=1.35 / HEIGHT_IN,
        top=1 - (HEAD_IN + 0.4) / HEIGHT_IN,
    )  # fmt: skip
    drops = found.of("threshold")
    rights = [found.whole, *(one.right for one in drops)]
    names = ("choosing among all classes", "choosing among the place's classes")
    # The wider line lies below, so that both show where they agree.
    _draw_scores(top, [right.on_list for right in rights], GREEN, 5.0, names[1])
    _draw_scores(top, [right.every_class for right in rights], BLUE, 2.0, names[0])
    top.axhline(
        commonest, color=OCHRE, linewidth=1.2, linestyle=(0, (4, 3)),
        label="always the commonest species",
    )  # fmt: skip
    percent_axis(top, max(s.top1_high for one in rights for s in (one.every_class, one.on_list)))
    figure.legend(
        loc="lower left", bbox_to_anchor=(0.075, 0.01), ncols=3, frameon=False, fontsize=11,
        labelcolor=INK, columnspacing=2.2,
    )  # fmt: skip
    plain_axes(top, "accuracy on test photos, with 95 % intervals")
    _draw_dropped(bottom, [0, *(one.dropped for one in drops)], found.experts)
    labels = ["none\ndropped", *(f"{one.percentile:g}" for one in drops)]
    bottom.set_xticks(range(len(labels)), labels)
    bottom.set_xlabel("threshold: percentile of the edges of the routing graph")
    plain_axes(bottom, f"experts dropped, of {found.experts:,}")
    return figure


def percent_axis(axes: Axes, highest: float) -> None:
    """Let the vertical axis reach from 0 to a little above the highest accuracy, in percent."""
    axes.set_ylim(0, min(1.02, highest * 1.06 + 0.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylabel("top-1 accuracy")
    axes.grid(axis="y", color=TRACK, linewidth=0.8)


def _draw_scores(
    axes: Axes, scores: Sequence[Score], colour: str, width: float, label: str
) -> None:
    x = range(len(scores))
    axes.fill_between(
        x,
        [score.top1_low for score in scores],
        [score.top1_high for score in scores],
        color=colour,
        alpha=0.13,
        linewidth=0,
    )
    top1 = [score.correct / score.photos for score in scores]
    axes.plot(
        x, top1, color=colour, linewidth=width, marker="o", markersize=4 + width, label=label,
        clip_on=False,
    )  # fmt: skip


def _draw_dropped(axes: Axes, dropped: Sequence[int], experts: int) -> None:
    bars = axes.bar(range(len(dropped)), dropped, 0.62, color=PURPLE)
    axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=11, color=INK)
    axes.set_ylim(0, experts * 1.12)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylabel("experts")
