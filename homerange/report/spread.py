"""Which share of the land each species covers (the paper, figure 4).

Source: the paper, section 3.1. It asks a pretrained presence model (Cole et al. 2023) and does not
say from which value on a species is present.

Where we differ from the paper, and why: a species covers the S2 cells in which it was recorded,
which needs no model and says nothing that nobody saw; so a species of few records covers few cells,
wherever it lives. A presence model can be asked instead: then a species covers the places where the
model reaches a threshold, which the figure states. Both are shares of all land, Antarctica too.

Axes used in this file:
    N  records      P  points on land      S  species
    2  latitude, longitude (WGS 84, degrees)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from homerange.errors import ManifestError
from homerange.geo.cells import cell_ids, mean_edge_km
from homerange.geo.land import land_points
from homerange.report.canvas import (
    BLUE,
    GREEN,
    HEAD_IN,
    INK,
    QUIET,
    RED,
    TRACK,
    new_figure,
    plain_axes,
)
from homerange.report.tail_fits import FEWEST, LogNormal, PowerLaw, likelier

__all__ = [
    "CELL_LEVEL",
    "PRESENT_FROM",
    "Presence",
    "Spread",
    "draw_spread",
    "spread_of_presence",
    "spread_of_records",
    "spread_table",
]

CELL_LEVEL = 5
"""S2 level of the cells that a record covers: a mean edge of 290 km."""
PRESENT_FROM = 0.1
"""From this value of a presence model on a species counts as present."""
HEIGHT_IN = 7.4

Presence = Callable[[NDArray[np.float64]], NDArray[np.floating]]
"""From places, shape (P, 2), to a number between 0 and 1 for each species, shape (P, S)."""


@dataclass(frozen=True, eq=False)
class Spread:
    """The share of the land that each species covers."""

    species: tuple[str, ...]
    share_S: NDArray[np.float64]
    """Between 0 and 1; 0 for species at sea or nowhere."""
    how: str
    """What counts as covered, for people."""


def spread_of_records(
    species_N: Sequence[str], latlon_N2: NDArray[np.float64], *, level: int = CELL_LEVEL
) -> Spread:
    """Let each species cover the S2 cells in which it was recorded.

    Args:
        species_N: Species of each record.
        latlon_N2: Where, degrees, shape (N, 2).
        level: S2 level of the cells, at most 6: finer ones hold too few points of our grid.

    Raises:
        ManifestError: If there are no records.
        CoordinateError: If a coordinate is NaN or out of range.
    """
    if not len(species_N):
        raise ManifestError(
            "no species has coordinates, so nothing covers any land. Import the photos again with "
            "columns latitude and longitude"
        )
    land_P2, share_P = land_points()
    of_land, land_cell_P = np.unique(cell_ids(land_P2, level), return_inverse=True)
    share_of_cell = np.bincount(land_cell_P, weights=share_P)
    names, which_N = np.unique(np.array(species_N), return_inverse=True)
    pairs = np.unique(np.stack([which_N.astype(np.uint64), cell_ids(latlon_N2, level)]), axis=1)
    at = np.searchsorted(of_land, pairs[1]).clip(max=len(of_land) - 1)
    covered = np.where(of_land[at] == pairs[1], share_of_cell[at], 0.0)
    share_S = np.zeros(len(names))
    np.add.at(share_S, pairs[0].astype(np.int64), covered)
    how = f"S2 cells of level {level} ({mean_edge_km(level):,.0f} km) with a record"
    return Spread(tuple(names.tolist()), share_S, f"{len(species_N):,} records; {how}")


def spread_of_presence(
    species: Sequence[str],
    presence: Presence,
    *,
    present_from: float = PRESENT_FROM,
    step_deg: float = 1.0,
) -> Spread:
    """Let each species cover the places where a presence model expects it.

    Args:
        species: Names, in the order of the model.
        presence: The model.
        present_from: A species is present where the model gives at least this.
        step_deg: Of the grid of places on land.

    Example:
        >>> north = lambda latlon_P2: (latlon_P2[:, :1] > 0).astype(float)
        >>> round(float(spread_of_presence(["Ursus maritimus"], north).share_S[0]), 2)
        0.68
    """
    land_P2, share_P = land_points(step_deg)
    share_S = share_P @ (presence(land_P2) >= present_from)
    how = f"presence model at least {present_from:g}, at {len(land_P2):,} places on land"
    return Spread(tuple(species), share_S.astype(np.float64), how)


def spread_table(spread: Spread) -> dict[str, Sequence[object]]:
    """Return the columns of ``spread.csv``: one row a species, that with the largest share first.

    ``power_law`` and ``log_normal`` are the shares of species that cover at least as much under
    each curve; empty where it was not fitted, or below the smallest value of the power law.
    """
    order_S = np.argsort(-spread.share_S, kind="stable")
    share_S = spread.share_S[order_S]
    law, normal, some_S = _fits(share_S)
    of_tail = law.values / max(1, len(some_S)) if law else 0.0
    return {
        "rank": list(range(1, len(share_S) + 1)),
        "species": [spread.species[i] for i in order_S.tolist()],
        "land_share": share_S.tolist(),
        "power_law": [
            float(of_tail * law.above(np.array([x]))[0]) if law and x >= law.smallest else None
            for x in share_S.tolist()
        ],
        "log_normal": [
            float(normal.above(np.array([x]))[0]) if normal and x > 0 else None
            for x in share_S.tolist()
        ],
    }


def _fits(
    share_S: NDArray[np.float64],
) -> tuple[PowerLaw | None, LogNormal | None, NDArray[np.float64]]:
    """Fit both curves to the shares above 0; return these too."""
    some_S = share_S[share_S > 0]
    return PowerLaw.fit(some_S), LogNormal.fit(some_S), some_S


def draw_spread(spread: Spread) -> Figure:
    """Draw how many species cover how much, and both curves."""
    law, normal, some_S = _fits(spread.share_S)
    nowhere = len(spread.share_S) - len(some_S)
    figure = new_figure(
        "How much of the land a species covers",
        f"{len(spread.species):,} species; {spread.how}"
        + (f"; {nowhere:,} cover no land and are not drawn" if nowhere else ""),
        height_in=HEIGHT_IN,
    )
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(
        left=0.075, right=0.975, wspace=0.22, bottom=1.75 / HEIGHT_IN,
        top=1 - (HEAD_IN + 0.4) / HEIGHT_IN,
    )  # fmt: skip
    if len(some_S):
        _draw_density(left, some_S, normal)
        _draw_ranks(right, some_S, law, normal)
    for axes, title in ((left, "species by share of the land"), (right, "the same, cumulated")):
        axes.set_xscale("log")
        narrow = len(some_S) > 0 and some_S.max() < 30 * some_S.min()
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1, 3)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g} %"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("share of the land that a species covers (logarithmic)")
        plain_axes(axes, title)
    handles, names = right.get_legend_handles_labels()
    figure.legend(
        handles, names, loc="lower left", bbox_to_anchor=(0.065, 0.09), ncols=3, frameon=False,
        fontsize=11, labelcolor=INK,
    )  # fmt: skip
    figure.text(0.075, 0.022, _verdict(some_S, law, normal), fontsize=11, color=QUIET)
    return figure


def _draw_density(axes: Axes, some_S: NDArray[np.float64], normal: LogNormal | None) -> None:
    """Draw a histogram whose bins are equally wide on the logarithmic axis."""
    low, high = float(some_S.min()), float(some_S.max())
    edges = np.geomspace(low * 0.9, high * 1.1, 25)
    axes.hist(some_S, edges.tolist(), color=BLUE, alpha=0.75)
    if normal:
        expected = -np.diff(normal.above(edges)) * len(some_S)
        axes.plot(np.sqrt(edges[:-1] * edges[1:]), expected, color=GREEN, linewidth=2)
    axes.set_ylabel("species in a bin")
    axes.grid(axis="y", color=TRACK, linewidth=0.8)


def _draw_ranks(
    axes: Axes, some_S: NDArray[np.float64], law: PowerLaw | None, normal: LogNormal | None
) -> None:
    """Draw the share of species that cover at least so much: a power law is a straight line."""
    x_S = np.sort(some_S)[::-1]
    axes.scatter(
        x_S, np.arange(1, len(x_S) + 1) / len(x_S), 14, color=BLUE, label="species", zorder=2
    )
    if law:
        line = np.geomspace(law.smallest, x_S[0], 60)
        axes.plot(
            line, law.values / len(x_S) * law.above(line), color=RED, linewidth=2, zorder=3,
            label=f"power law, exponent {law.alpha:.1f}, of the {law.values:,} species from "
            f"{100 * law.smallest:.2g} % on",
        )  # fmt: skip
    if normal:
        line = np.geomspace(x_S[-1], x_S[0], 60)
        median = 100 * np.exp(normal.mean)
        axes.plot(
            line, normal.above(line), color=GREEN, linewidth=2, zorder=3,
            label=f"log-normal, median {median:.2g} %, deviation {normal.deviation:.2f}",
        )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(0.6 / len(x_S), 1.4)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g} %"))
    axes.set_ylabel("species that cover at least so much")
    axes.grid(color=TRACK, linewidth=0.8)


def _verdict(some_S: NDArray[np.float64], law: PowerLaw | None, normal: LogNormal | None) -> str:
    if law is None or normal is None:
        return f"Too few different values to fit a curve: {FEWEST} are needed."
    gain, z = likelier(some_S, normal)
    better = "power law" if gain > 0 else "log-normal"
    sure = "" if abs(z) >= 2 else ", which may be chance"
    return (
        f"The power law describes {law.values:,} of {len(some_S):,} species (largest distance "
        f"{law.distance:.2f}), the log-normal all of them ({normal.distance:.2f}).\n"
        f"With both fitted to all species the {better} is likelier, by a log-likelihood of "
        f"{abs(gain):,.1f} (z = {z:.1f}){sure}."
    )
