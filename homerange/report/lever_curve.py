"""The verb ``report levers``: what a package's levers save, and what they cost in right answers.

Everything is in the ``place.json`` of a package that was made with a lever or a limit; neither the
world nor a photo is needed. The left panel is about bytes, the right one about multiply-adds: bits
of weights move a model in the one, smaller photos in the other.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from homerange.errors import PackageError
from homerange.report.canvas import (
    BLUE,
    GREY,
    HEAD_IN,
    INK,
    QUIET,
    RED,
    TRACK,
    new_figure,
    plain_axes,
    write_figures,
)
from homerange.report.files import Written, make_folder
from homerange.world.place_package import PlacePackage, read_package

__all__ = ["draw_levers", "levers_table"]

HEIGHT_IN = 5.6
_UNITS = {"bits": "bits", "input_px": "px"}
_COLUMNS = ("model", "bits", "input_px", "experts", "bytes", "macs", "ms", "accuracy", "known")


def draw_levers(package: str | Path, output: str | Path) -> Written:
    """Draw the levers of a package: ``levers.png``, with its numbers in ``levers.csv``.

    Args:
        package: A ``.homerange`` file that was made with a lever or a limit.
        output: Folder of the figure; made if absent.

    Raises:
        PackageError: If the package is broken, or says nothing of levers.
        RunError: If the folder or a file cannot be written.
    """
    read = read_package(package)
    columns = levers_table(read)
    make_folder(Path(output))
    paths = write_figures({"levers": (_draw(read.name, columns), columns)}, Path(output))
    return Written(paths=paths, notes=(), unreadable=0)


def levers_table(package: PlacePackage) -> dict[str, Sequence[object]]:
    """Return the columns of ``levers.csv``: the control, each lever alone, the package.

    Raises:
        PackageError: If the package says nothing of levers.
    """
    levers = package.place.get("levers")
    if not isinstance(levers, dict) or not levers:
        raise PackageError(
            f"{package.path}: was made without levers, so there is nothing to draw. Make it again, "
            "for example with: homerange get --budget knee"
        )
    try:
        rows = [
            _row("control", levers["control"]),
            *(_row("one lever", one) for one in levers["alone"]),
            _row("this package", levers["chosen"]),
        ]
    except (KeyError, TypeError) as error:
        raise PackageError(
            f"{package.path}: place.json has levers that cannot be read ({error!r}). Make the "
            "package again with: homerange get"
        ) from error
    return dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True))


def _row(name: str, one: Mapping[str, Mapping[str, object]]) -> list[object]:
    levers, size = one["levers"], one["size"]
    return [
        name,
        *(levers[key] for key in ("bits", "input_px", "experts")),
        size["bytes"],
        size["macs"],
        *(one[key] for key in ("ms", "accuracy", "known")),
    ]


def _draw(name: str, columns: Mapping[str, Sequence[object]]) -> Figure:
    known = set(columns["known"]) - {"exact", "not known"}
    how = f"accuracy of smaller models {' and '.join(sorted(map(str, known))) or 'not known'}"
    figure = new_figure("What each lever saves, and what it costs", f"{name}: {how}",
                        height_in=HEIGHT_IN)  # fmt: skip
    left, right = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(
        left=0.075, right=0.975, wspace=0.1, bottom=0.8 / HEIGHT_IN,
        top=1 - (HEAD_IN + 0.4) / HEIGHT_IN,
    )  # fmt: skip
    _panel(left, columns, "bits", "bytes", "megabytes of the model on disk")
    _panel(right, columns, "input_px", "macs", "million multiply-adds a photo")
    left.yaxis.set_major_formatter(PercentFormatter(1))
    left.set_ylabel("accuracy on the place's species")
    plain_axes(left, "fewer bits")
    plain_axes(right, "smaller photos")
    return figure


def _panel(
    axes: Axes, columns: Mapping[str, Sequence[object]], lever: str, cost: str, label: str
) -> None:
    """Draw the control, each model with this lever pulled, and a ring for the package."""
    amounts = [amount / 1e6 for amount in columns[cost] if isinstance(amount, int)]
    rows = zip(*(columns[key] for key in ("model", lever, "accuracy")), amounts, strict=True)
    for name, value, accuracy, amount in rows:
        if not isinstance(accuracy, float):
            continue
        if name == "this package":
            axes.plot(amount, accuracy, "o", color=RED, markersize=17, fillstyle="none",
                      markeredgewidth=2.2)  # fmt: skip
        elif name == "control" or value != columns[lever][0]:
            axes.plot(
                amount, accuracy, "o", color=GREY if name == "control" else BLUE, markersize=8
            )
            text = "control" if name == "control" else f"{value} {_UNITS[lever]}"
            axes.annotate(text, (amount, accuracy), xytext=(0, 14), textcoords="offset points",
                          fontsize=10, color=INK, ha="center")  # fmt: skip
    axes.set_xlabel(label)
    axes.set_xlim(0, 1.1 * max(amounts))
    axes.margins(y=0.2)
    axes.grid(color=TRACK, linewidth=0.8)
    axes.annotate("ring: this package", (0.99, 0.02), xycoords="axes fraction", ha="right",
                  fontsize=10, color=QUIET)  # fmt: skip
