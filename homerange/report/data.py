"""The verb ``report data``: what a manifest holds and where, drawn.

Three figures, after figures 2 to 4 of the paper, each a PNG with its numbers in a CSV of the same
name: ``map``, ``classes`` and ``spread``. No photo is opened.
"""

from pathlib import Path

import numpy as np

from homerange.data.manifest import Manifest
from homerange.data.names import OUTCOMES
from homerange.report.canvas import Figures, write_figures
from homerange.report.files import Written, make_folder
from homerange.report.frequency import draw_frequency, frequency_table
from homerange.report.locations import locations_of
from homerange.report.map import draw_map, map_table
from homerange.report.spread import (
    CELL_LEVEL,
    PRESENT_FROM,
    Spread,
    draw_spread,
    spread_of_presence,
    spread_of_records,
    spread_table,
)
from homerange.world.range_model import RangeModel

__all__ = ["draw_data"]


def draw_data(
    manifest: Path,
    output: Path,
    *,
    places: str = "iNat-Geo-10K-6",
    level: int = CELL_LEVEL,
    world: Path | None = None,
) -> Written:
    """Draw what a manifest holds; figures of an earlier time in the same folder are replaced.

    Args:
        manifest: The photos, with splits and coordinates.
        output: Folder of the figures; made if absent.
        places: The locations, as :func:`homerange.report.locations.locations_of` takes them.
        level: S2 level of the cells that a record covers, 0 to 6.
        world: A world with a range model, to ask that for the share of the land that each species
            covers, instead of the records.

    Raises:
        ManifestError: If no photo is labelled or has coordinates, or a place is none.
        RunError: If the folder or a figure cannot be written.
        WorldError: If the world has no range model, or it is damaged.
    """
    photos = Manifest.read(manifest)
    locations = locations_of(photos, places)
    columns = frequency_table(photos)
    spread = _expected(world) if world else _recorded(photos, level)
    make_folder(output)
    figures: Figures = {
        "map": (draw_map(photos, locations), map_table(photos, locations)),
        "classes": (draw_frequency(columns), columns),
        "spread": (draw_spread(spread), spread_table(spread)),
    }
    return Written(paths=write_figures(figures, output), notes=(), unreadable=0)


def _expected(world: Path) -> Spread:
    """Let every species cover the places where the range model of a world expects it."""
    model = RangeModel.open(world)
    present_from = PRESENT_FROM if model.threshold is None else model.threshold
    return spread_of_presence(model.species, model.scores, present_from=present_from)


def _recorded(photos: Manifest, level: int) -> Spread:
    """Let every species cover the cells of its photos."""
    latlon_N2, names = photos.latlon_N2(), photos.strings("species")
    row_N = [
        row
        for row, name in enumerate(names)
        if name and name not in OUTCOMES and not np.isnan(latlon_N2[row]).any()
    ]
    return spread_of_records([str(names[row]) for row in row_N], latlon_N2[row_N], level=level)
