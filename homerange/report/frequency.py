"""How many photos each class has, on a logarithmic scale (the paper, figure 3).

Where we differ from the paper, and why: all three splits are drawn, because a class without test
photos is one that nothing is known of.

Axes used in this file:
    C  classes
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from homerange.data.manifest import SPLITS, Manifest
from homerange.errors import ManifestError
from homerange.report.canvas import (
    BLUE,
    GREEN,
    HEAD_IN,
    OCHRE,
    TRACK,
    new_figure,
    plain_axes,
)

__all__ = ["RARE", "draw_frequency", "frequency_table"]

HEIGHT_IN = 7.2
RARE = 10
"""The paper shows classes with fewer training photos several times when it makes a router."""
NAMED = 40
"""Up to so many classes are named on the axis."""
LOOKS = {"train": (BLUE, 1.0), "val": (OCHRE, 2.2), "test": (GREEN, 1.0)}
"""Colour and size of each split; the larger marks lie below, so that both show where they agree."""


def frequency_table(manifest: Manifest) -> dict[str, Sequence[object]]:
    """Return the columns of ``classes.csv``: one row a class, that with most training photos first.

    Raises:
        ManifestError: If no photo is labelled.
    """
    pairs = zip(manifest.strings("species"), manifest.strings("split"), strict=True)
    count = Counter((name, split) for name, split in pairs if name)
    photos = Counter(name for name in manifest.strings("species") if name)
    if not photos:
        raise ManifestError("no photo of the manifest is labelled; label some and import again")
    ordered = sorted(photos, key=lambda name: (-count[name, "train"], -photos[name], name))
    columns: dict[str, Sequence[object]] = {
        "rank": list(range(1, len(ordered) + 1)),
        "class": ordered,
    }
    columns |= {split: [count[name, split] for name in ordered] for split in SPLITS}
    return columns


def draw_frequency(columns: Mapping[str, Sequence[object]]) -> Figure:
    """Draw what :func:`frequency_table` gives."""
    count = {split: np.array(columns[split], np.int64) for split in SPLITS}
    train_C = count["train"]
    figure = new_figure("How many photos each class has", _summary(train_C), height_in=HEIGHT_IN)
    axes = figure.subplots()
    named = len(train_C) <= NAMED
    figure.subplots_adjust(
        left=0.075, right=0.975, bottom=(2.4 if named else 1.2) / HEIGHT_IN,
        top=1 - (HEAD_IN + 0.2) / HEIGHT_IN,
    )  # fmt: skip
    for split, count_C in count.items():
        _draw_split(axes, count_C, split)
    axes.set_xlim(0.5 - len(train_C) / 50, len(train_C) * 1.02 + 0.5)
    axes.set_yscale("log")
    axes.set_ylim(0.8, max(10, max(int(count_C.max()) for count_C in count.values()) * 1.6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylabel("photos (logarithmic)")
    axes.grid(axis="y", color=TRACK, linewidth=0.8)
    if named:
        axes.set_xticks(range(1, len(train_C) + 1), [str(name) for name in columns["class"]])
        axes.tick_params(axis="x", rotation=60)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor", fontstyle="italic")
    else:
        axes.set_xlabel("classes, that with the most training photos first")
    plain_axes(axes)
    axes.legend(frameon=False, fontsize=11, loc="upper right", ncols=len(SPLITS))
    return figure


def _draw_split(axes: Axes, count_C: NDArray[np.int64], split: str) -> None:
    """Draw a mark for each class with photos: a logarithm has no place for none."""
    rank_C = np.arange(1, len(count_C) + 1)
    some_C = count_C > 0
    label = f"{split}: {int(count_C.sum()):,} photos of {int(some_C.sum()):,} classes"
    colour, larger = LOOKS[split]
    size = larger * (28 if len(count_C) <= 200 else 8)
    axes.scatter(rank_C[some_C], count_C[some_C], size, color=colour, label=label, linewidth=0)


def _summary(train_C: NDArray[np.int64]) -> str:
    some_C = train_C[train_C > 0]
    if not len(some_C):
        return f"{len(train_C):,} classes, none of them with a training photo"
    rare = int((train_C < RARE).sum())
    return (
        f"{len(train_C):,} classes with {int(some_C.min()):,} to {int(some_C.max()):,} training "
        f"photos each, median {np.median(some_C):,.0f}; {rare:,} classes have fewer than {RARE}"
    )
