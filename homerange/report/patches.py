"""The patches nearest to the centres of experts, cut out of their photos (the paper, figure 6).

Where we differ from the paper, and why: patches are of validation photos and of the network as it
is, not of training photos and the first gate, so that the figure shows what the experts do; a patch
stands in its surroundings, with a frame around it; of each photo one patch is shown. Photos that
show people are left out, and a picture has no EXIF.

Axes used in this file:
    H, W  pixels of a photo      3  red, green, blue
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from homerange.data.images import Preprocessing, prepare
from homerange.data.manifest import Manifest
from homerange.data.names import OUTCOMES
from homerange.profile.patches import LayerPatches, Near
from homerange.report.canvas import HEAD_IN, INK, PAPER, QUIET, RED, new_figure

__all__ = ["ROWS", "TILES", "draw_patches", "patches_table", "without_people"]

ROWS, TILES = 8, 10
"""Experts that are drawn, and patches of each."""
PATCH_PX = 48
"""Side of a patch in the figure."""
SHOWN = 3
"""Patches from side to side of a tile: one on each side of that in the middle."""
LEFT, GAP, BELOW = 1.5, 0.06, 0.26
"""Room for the expert, between tiles and for the name below; in tiles."""


def without_people(manifest: Manifest) -> Manifest:
    """Return the rows of species in photos that are nowhere labelled as showing a person."""
    images, species = manifest.strings("image"), manifest.strings("species")
    people = {image for image, name in zip(images, species, strict=True) if name == "person"}
    keep = [
        name is not None and name not in OUTCOMES and image not in people
        for image, name in zip(images, species, strict=True)
    ]
    return manifest.where(np.array(keep, bool))


def patches_table(found: LayerPatches, photos: Manifest) -> dict[str, Sequence[object]]:
    """Return the columns of ``patches.csv``: the nearest patches of all experts, with their photos.

    ``row`` and ``column`` count the patches of the layer from the top left corner of the photo, of
    ``side`` each.
    """
    rows = [(e, i, near) for e, of in enumerate(found.nearest) for i, near in enumerate(of, 1)]
    columns: dict[str, Sequence[object]] = {
        "layer": [found.layer] * len(rows),
        "expert": [e for e, _, _ in rows],
        "rank": [i for _, i, _ in rows],
        "cosine": [round(near.cosine, 6) for *_, near in rows],
        "row": [near.row for *_, near in rows],
        "column": [near.column for *_, near in rows],
        "side": [found.side] * len(rows),
    }
    for name in ("species", "image", "source", "licence"):
        texts = photos.strings(name)
        columns[name] = [texts[near.photo] for *_, near in rows]
    return columns


def draw_patches(found: LayerPatches, photos: Manifest, preprocessing: Preprocessing) -> Figure:
    """Draw the nearest patches of some experts, evenly taken among all of the layer.

    Args:
        found: The patches.
        photos: What they were found in.
        preprocessing: How the network saw these photos.
    """
    experts = len(found.nearest)
    every = -(-experts // ROWS)
    chosen = range(0, experts, every)
    row_units, wide = 1 + BELOW, LEFT + TILES * (1 + GAP)
    height_in = HEAD_IN + 0.35 + len(chosen) * row_units * 11.4 / wide
    figure = new_figure(
        f"What the experts of layer {found.layer} look at",
        f"{_every(every)} of {experts:,}, with the patches nearest to its centre in "
        f"{int(found.photos_C.sum()):,} validation photos, the nearest first, each framed",
        height_in=height_in,
    )
    axes = figure.add_axes((0.035, 0.15 / height_in, 0.95, 1 - (HEAD_IN + 0.3) / height_in))
    axes.set_axis_off()
    tokens_E = found.tokens_CE.sum(axis=0)
    for line, expert in enumerate(chosen):
        top = -line * row_units
        share = tokens_E[expert] / max(1, tokens_E.sum())
        axes.text(0, top - 0.5, f"expert {expert}", fontsize=12, color=INK, va="bottom")
        axes.text(
            0, top - 0.55, f"{100 * share:.1f} % of patches", fontsize=10, color=QUIET, va="top"
        )
        if not found.nearest[expert]:
            axes.text(LEFT, top - 0.5, "gets no patch of these photos", fontsize=11, color=QUIET)
        for tile, near in enumerate(found.nearest[expert][:TILES]):
            _draw_tile(axes, near, found.side, photos, preprocessing, LEFT + tile * (1 + GAP), top)
    axes.set_xlim(0, wide)
    axes.set_ylim(-len(chosen) * row_units, 0)
    axes.set_aspect("equal")
    return figure


def _every(step: int) -> str:
    return "All experts" if step == 1 else f"Every {step}{'nd' if step == 2 else 'th'} expert"


def _draw_tile(
    axes: Axes,
    near: Near,
    side: int,
    photos: Manifest,
    preprocessing: Preprocessing,
    left: float,
    top: float,
) -> None:
    """Draw one patch with what lies around it, and the name of the species."""
    tile_HW3 = _cut_out(near, side, photos, preprocessing)
    axes.imshow(tile_HW3, extent=(left, left + 1, top - 1, top), interpolation="lanczos")
    corner = (left + (SHOWN // 2) / SHOWN, top - 1 + (SHOWN // 2) / SHOWN)
    axes.add_patch(
        Rectangle(corner, 1 / SHOWN, 1 / SHOWN, edgecolor=RED, facecolor="none", linewidth=1)
    )
    name = _short(photos.strings("species")[near.photo] or "")
    axes.text(left, top - 1.03, name, fontsize=7.5, color=INK, va="top", fontstyle="italic")


def _cut_out(
    near: Near, side: int, photos: Manifest, preprocessing: Preprocessing
) -> NDArray[np.uint8]:
    """Cut a patch and its neighbours out of a photo as the network sees it, but larger."""
    larger = replace(preprocessing, input_px=side * PATCH_PX)
    square_HW3 = prepare(photos.image_path(near.photo), larger, bbox=photos.bbox(near.photo))
    around = SHOWN // 2
    paper = [int(PAPER[i : i + 2], 16) for i in (1, 3, 5)]
    framed_HW3 = np.empty((PATCH_PX * (side + 2 * around),) * 2 + (3,), np.uint8)
    framed_HW3[:] = paper
    inner = slice(around * PATCH_PX, (around + side) * PATCH_PX)
    framed_HW3[inner, inner] = square_HW3
    y, x = near.row * PATCH_PX, near.column * PATCH_PX
    return framed_HW3[y : y + SHOWN * PATCH_PX, x : x + SHOWN * PATCH_PX]


def _short(name: str) -> str:
    """Shorten a scientific name so that it fits below a tile.

    Example:
        >>> _short("Panthera leo"), _short("Odocoileus virginianus"), _short("Aves")
        ('P. leo', 'O. virginianus', 'Aves')
    """
    genus, _, rest = name.partition(" ")
    return f"{genus[0]}. {rest}"[:19] if rest else genus[:19]
