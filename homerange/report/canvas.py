"""What all figures share: their paper and colours, their heading, and the two files of each.

Figures are made of matplotlib's objects, without pyplot: nothing is remembered between two of them,
and no screen is needed. They are 2,400 pixels wide and can be read at half of that.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from homerange.errors import RunError
from homerange.output import atomic_file, writing
from homerange.report.files import write_csv
from homerange.specialize.figures import MEASURED_FROM

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "INK",
    "OCHRE",
    "PAPER",
    "PURPLE",
    "QUIET",
    "RED",
    "TRACK",
    "Figures",
    "new_figure",
    "photos_text",
    "plain_axes",
    "write_figures",
]

PAPER, INK, QUIET, TRACK = "#fdfcf9", "#23271f", "#6d7268", "#e2e0d7"
GREY, BLUE, RED, GREEN, OCHRE, PURPLE = (
    "#9a9d95",
    "#2f6db3",
    "#c2382e",
    "#3f8a4d",
    "#b9812a",
    "#7d5a9b",
)
Figures = Mapping[str, tuple[Figure, Mapping[str, Sequence[object]]]]
"""By name, what is drawn and the numbers behind it, column by column."""
DPI = 200
WIDTH_IN = 12.0
HEAD_IN = 0.95
"""Room for the heading."""


def new_figure(title: str, subtitle: str, *, height_in: float) -> Figure:
    """Return a figure with a heading; axes are placed below it by the caller.

    Args:
        title: The first line.
        subtitle: What stands below it: the place and the number of photos.
        height_in: Height in inches, of 200 pixels; the width is 12.
    """
    figure = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    figure.text(0.04, 1 - 0.22 / height_in, title, fontsize=19, color=INK, va="top")
    figure.text(0.04, 1 - 0.62 / height_in, subtitle, fontsize=12, color=QUIET, va="top")
    return figure


def plain_axes(axes: Axes, title: str = "") -> None:
    """Take from axes what says nothing: box, tick marks; the title goes to the left."""
    axes.set_facecolor(PAPER)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=QUIET, labelcolor=INK, labelsize=11)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(fontsize=12, color=INK)
    axes.set_title(title, fontsize=13, color=INK, loc="left", pad=10)


def photos_text(photos: int, kind: str) -> str:
    """Say how many photos a figure stands on, and whether that is enough to measure.

    Example:
        >>> photos_text(1200, "test"), photos_text(12, "test")
        ('1,200 test photos', '12 test photos: too few to measure')
    """
    return f"{photos:,} {kind} photos" + (": too few to measure" if photos < MEASURED_FROM else "")


def write_figures(figures: Figures, folder: Path) -> tuple[Path, ...]:
    """Write ``NAME.png`` and ``NAME.csv`` of each figure, each file whole or not at all.

    Args:
        figures: What is drawn.
        folder: Where; it exists.

    Returns:
        The pictures.

    Raises:
        RunError: If a file cannot be written.
    """
    paths = []
    for name, (figure, columns) in figures.items():
        write_csv(columns, folder / f"{name}.csv")
        picture = folder / f"{name}.png"
        with writing(picture, RunError), atomic_file(picture) as file:
            figure.savefig(file, format="png", dpi=DPI, metadata={"Software": "homerange figures"})
        paths.append(picture)
    return tuple(paths)
