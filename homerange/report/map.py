"""Where the locations lie, on a map of the Earth (the paper, figure 2).

Where we differ from the paper, and why: the photos of each location stand on the map, because the
paper's own cells have from 272 to 8,766. Cells are drawn whole; photos are never drawn as points,
and a location that is no cell is a mark in the middle of its photos, to a whole degree.

Axes used in this file:
    N  rows of the manifest      P  points on land      V  corners of an outline
    2  latitude, longitude (WGS 84, degrees)
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from numpy.typing import NDArray

from homerange.data.manifest import Manifest
from homerange.geo.cells import cell_centre, cell_ids, cell_level, contains, to_token
from homerange.geo.land import land_points, outlines
from homerange.geo.sphere import to_latlon, to_xyz
from homerange.report.canvas import (
    BLUE,
    GREEN,
    HEAD_IN,
    INK,
    OCHRE,
    PAPER,
    PURPLE,
    QUIET,
    RED,
    TRACK,
    new_figure,
    plain_axes,
)
from homerange.report.locations import Location

__all__ = ["draw_map", "map_table"]

HEIGHT_IN = 7.6
STEP_DEG = 0.25
"""Between the points that are asked whether they lie in a cell; a pixel and a half."""
COLOURS = (BLUE, OCHRE, GREEN, RED, PURPLE, INK)


def map_table(manifest: Manifest, locations: Sequence[Location]) -> dict[str, Sequence[object]]:
    """Return the columns of ``map.csv``: one row for each location.

    ``latitude_deg`` and ``longitude_deg`` are the centre of a cell, or the middle of the photos of
    a region to a whole degree; ``land_share`` is the share of all land that a cell holds.
    """
    places = [_middle(manifest, one) for one in locations]
    return {
        "location": [one.label for one in locations],
        "name": [one.name for one in locations],
        "s2_token": [None if one.cell is None else to_token(one.cell) for one in locations],
        "latitude_deg": [None if place is None else round(place[0], 2) for place in places],
        "longitude_deg": [None if place is None else round(place[1], 2) for place in places],
        "land_share": [_land_share(one) for one in locations],
        "train": [one.photos("train") for one in locations],
        "val": [one.photos("val") for one in locations],
        "test": [one.photos("test") for one in locations],
        "classes": [len(one.species) for one in locations],
    }


def _middle(manifest: Manifest, location: Location) -> tuple[float, float] | None:
    if location.cell is not None:
        latitude, longitude = cell_centre(np.array([location.cell], np.uint64))[0].tolist()
        return latitude, longitude
    latlon_N2 = manifest.latlon_N2()[location.inside_N]
    latlon_N2 = latlon_N2[~np.isnan(latlon_N2).any(axis=1)]
    if not len(latlon_N2):
        return None
    latitude, longitude = to_latlon(to_xyz(latlon_N2).mean(axis=0)).round().tolist()
    return latitude, longitude


def _land_share(location: Location) -> float | None:
    if location.cell is None:
        return None
    latlon_P2, share_P = land_points()
    return round(float(share_P[_in_cell(location.cell, latlon_P2)].sum()), 4)


def _in_cell(cell: int, latlon_P2: NDArray[np.float64]) -> NDArray[np.bool_]:
    level = int(cell_level(np.array([cell], np.uint64))[0])
    return contains(cell, cell_ids(latlon_P2, level))


def draw_map(manifest: Manifest, locations: Sequence[Location]) -> Figure:
    """Draw land, locations and how many training photos lie in each."""
    rows = len(manifest)
    located = int((~np.isnan(manifest.latlon_N2()).any(axis=1)).sum())
    figure = new_figure(
        "Where the locations lie",
        f"{rows:,} photos, {located:,} of them with coordinates; a number is the training photos "
        "of a location",
        height_in=HEIGHT_IN,
    )
    axes = figure.subplots()
    figure.subplots_adjust(
        left=0.075, right=0.975, bottom=0.6 / HEIGHT_IN, top=1 - (HEAD_IN + 0.1) / HEIGHT_IN
    )
    _draw_land(axes)
    for i, location in enumerate(locations):
        _draw_location(axes, manifest, location, COLOURS[i % len(COLOURS)])
    axes.set_xlim(-180, 180)
    axes.set_ylim(-90, 90)
    axes.set_aspect("equal")
    axes.set_xticks(range(-180, 181, 45))
    axes.set_yticks(range(-90, 91, 45))
    axes.set_xlabel("longitude (degrees east)")
    axes.set_ylabel("latitude (degrees north)")
    plain_axes(axes)
    return figure


def _draw_land(axes: Axes) -> None:
    parts = [np.concatenate([corner_V2, corner_V2[:1]]) for corner_V2 in outlines()]
    codes = [
        [Outline.MOVETO, *[Outline.LINETO] * (len(part) - 2), Outline.CLOSEPOLY] for part in parts
    ]
    outline = Outline(np.concatenate(parts)[:, ::-1], np.concatenate(codes))
    axes.add_patch(PathPatch(outline, facecolor=TRACK, edgecolor=QUIET, linewidth=0.4))


def _draw_location(axes: Axes, manifest: Manifest, location: Location, colour: str) -> None:
    middle = _middle(manifest, location)
    if middle is None:
        return
    latitude, longitude = middle
    photos = f"{location.photos('train'):,}"
    if location.cell is not None:
        _draw_cell(axes, location.cell, colour)
        text, side, away = f"{location.title}\n{photos}", "center", 0
    else:
        axes.scatter([longitude], [latitude], 90, color=colour, edgecolor=PAPER, zorder=6)
        text = f"{location.title}: {photos}"
        side, away = ("left", 4) if longitude < 90 else ("right", -4)
    axes.text(
        longitude + away, latitude, text, ha=side, va="center", fontsize=12, color=INK, zorder=5,
        linespacing=1.3, bbox={"facecolor": PAPER, "alpha": 0.8, "edgecolor": "none", "pad": 3},
    )  # fmt: skip


def _draw_cell(axes: Axes, cell: int, colour: str) -> None:
    """Colour the points of a grid that lie in a cell: poles and dateline need no case of their own.

    The grid reaches beyond the map, so that the line around a cell is closed at its edge.
    """
    latitude = np.arange(-90 + STEP_DEG / 2, 90, STEP_DEG)
    longitude = np.arange(-180 + STEP_DEG / 2, 180, STEP_DEG)
    grid = np.stack(np.meshgrid(latitude, longitude, indexing="ij"), axis=-1)
    inside = _in_cell(cell, grid.reshape(-1, 2)).reshape(grid.shape[:2]).astype(float)
    around = np.pad(inside, 1)
    y = np.concatenate([[-90 - STEP_DEG], latitude, [90 + STEP_DEG]])
    x = np.concatenate([[-180 - STEP_DEG], longitude, [180 + STEP_DEG]])
    axes.contourf(x, y, around, levels=[0.5, 1.5], colors=[colour], alpha=0.3, zorder=2)
    axes.contour(x, y, around, levels=[0.5], colors=[colour], linewidths=1.6, zorder=3)
