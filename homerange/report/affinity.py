"""Which experts, and which places, the patches of each class are near (the paper, figures 7, 8).

Source: the paper, sections 4.1 and 4.2; what is counted is in :mod:`homerange.profile.patches`.

Where we differ from the paper, and why: classes stand in the order of their relatives where the
manifest has their families, so that what relatives share shows as a band; a dot marks the location
where most training photos of a class were taken, and how often the nearest location is that one
stands beside the number for shuffled classes, because a picture of six stripes proves nothing.

Axes used in this file:
    C  classes      E  experts      K  locations
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from homerange.data.manifest import Manifest
from homerange.profile.patches import TAU, LayerPatches
from homerange.report.canvas import BLUE, HEAD_IN, INK, PAPER, QUIET, RED, new_figure, plain_axes

__all__ = [
    "DRAWN",
    "class_table",
    "draw_classes",
    "draw_places",
    "expert_shares_EK",
    "in_order",
    "nearest_is_home",
    "place_table",
]

DRAWN = 1000
"""Most classes of a picture; of more, every second, third ... is drawn, as in the paper."""
NAMED = 130
"""Up to so many classes are named."""
SHUFFLES = 1000
SHARES = LinearSegmentedColormap.from_list("shares", [PAPER, BLUE, INK])
RANKS = ("taxon_class", "taxon_order", "taxon_family", "species")


def in_order(photos: Manifest, classes: Sequence[str], photos_C: NDArray[np.int64]) -> list[int]:
    """Return the classes with photos, relatives beside each other; those of no family last."""
    columns = [photos.strings(name) for name in RANKS]
    key = {
        row[-1]: tuple((part is None, part or "") for part in row)
        for row in zip(*columns, strict=True)
    }
    with_photos = [c for c in range(len(classes)) if photos_C[c]]
    return sorted(with_photos, key=lambda c: key[classes[c]])


def class_table(
    found: LayerPatches, classes: Sequence[str], order: Sequence[int]
) -> dict[str, Sequence[object]]:
    """Return the columns of ``class-affinity.csv``: a row for each class and expert it goes to.

    ``share`` is of all patches of the class. Pairs without a patch have no row.
    """
    rows = [(c, e) for c in order for e in np.flatnonzero(found.tokens_CE[c]).tolist()]
    patches_C = found.tokens_CE.sum(axis=1)
    return {
        "class": [classes[c] for c, _ in rows],
        "photos": [int(found.photos_C[c]) for c, _ in rows],
        "layer": [found.layer] * len(rows),
        "expert": [e for _, e in rows],
        "patches": [int(found.tokens_CE[c, e]) for c, e in rows],
        "share": [float(found.tokens_CE[c, e] / patches_C[c]) for c, e in rows],
    }


def draw_classes(found: LayerPatches, classes: Sequence[str], order: Sequence[int]) -> Figure:
    """Draw the share of the patches of each class that goes to each expert."""
    drawn, said = _some(order)
    share_CE = found.tokens_CE[drawn] / found.tokens_CE[drawn].sum(axis=1, keepdims=True)
    named = len(drawn) <= NAMED
    height_in = 9.6 if named else 8.2
    figure = new_figure(
        f"Which experts of layer {found.layer} the classes go to",
        f"{int(found.photos_C.sum()):,} validation photos of {len(order):,} classes{said}; "
        f"{found.side**2} patches a photo",
        height_in=height_in,
    )
    axes = figure.add_axes(
        (0.06, (2.1 if named else 0.75) / height_in, 0.85,
         1 - ((2.1 if named else 0.75) + HEAD_IN + 0.15) / height_in)
    )  # fmt: skip
    _heat(figure, axes, share_CE.T, "share of the patches of a class")
    axes.set_ylabel("expert (number in its layer)")
    _name_classes(axes, [classes[c] for c in drawn])
    plain_axes(axes)
    _small_names(axes, named)
    return figure


def _some(order: Sequence[int]) -> tuple[list[int], str]:
    """Choose the classes that are drawn, and say so."""
    step = -(-len(order) // DRAWN)
    return list(order[::step]), "" if step == 1 else f", every {step}. drawn"


def _heat(figure: Figure, axes: Axes, value_YX: NDArray[np.float64], label: str) -> None:
    """Draw shares; the darkest colour is that of the largest but for one in two hundred."""
    largest = float(np.nanquantile(value_YX, 0.995)) or 1.0
    drawn = axes.imshow(
        value_YX, cmap=SHARES, vmin=0, vmax=largest, aspect="auto", interpolation="nearest"
    )
    box = axes.get_position()
    bar = figure.colorbar(
        drawn, cax=figure.add_axes((box.x1 + 0.014, box.y0, 0.013, box.height)), extend="max",
        format=lambda value, _: f"{100 * value:.0f} %",
    )  # fmt: skip
    bar.set_label(label, fontsize=11, color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=10, colors=QUIET, labelcolor=INK)


def _name_classes(axes: Axes, names: Sequence[str]) -> None:
    if len(names) <= NAMED:
        axes.set_xticks(range(len(names)), names)
    else:
        axes.set_xticks([])
        axes.set_xlabel("classes, relatives beside each other")


def _small_names(axes: Axes, named: bool) -> None:
    """Turn and shrink the names of classes, after the axes have their common style."""
    if named:
        axes.tick_params(axis="x", rotation=90, labelsize=6.5, length=2)


def expert_shares_EK(found: LayerPatches) -> NDArray[np.float64]:
    """Share each expert's centre out among the locations, as patches are."""
    scaled_EK = (found.cosine_EK - found.cosine_EK.max(axis=1, keepdims=True)) / TAU
    share_EK: NDArray[np.float64] = np.exp(scaled_EK)
    share_EK /= share_EK.sum(axis=1, keepdims=True)
    return share_EK


def place_table(
    found: LayerPatches,
    classes: Sequence[str],
    order: Sequence[int],
    places: Sequence[str],
    home: Mapping[int, int],
) -> dict[str, Sequence[object]]:
    """Return the columns of ``place-affinity.csv``: classes with each location, then experts.

    ``home`` is 1 for the location with most training photos of a class, else 0, and empty for
    experts and for classes without training photos in any; ``cosine`` is that of an expert's
    centre.
    """  # fmt: skip
    share_EK = expert_shares_EK(found)
    rows: list[tuple[object, ...]] = []
    for c in order:
        for k, place in enumerate(places):
            is_home = int(home[c] == k) if c in home else None
            share = float(found.share_CK[c, k])
            rows.append(("class", classes[c], int(found.photos_C[c]), place, share, is_home, None))
    for e, share_K in enumerate(share_EK.tolist()):
        for place, share, cosine in zip(places, share_K, found.cosine_EK[e].tolist(), strict=True):
            rows.append(("expert", e, None, place, share, None, cosine))
    names = ("of", "name", "photos", "location", "share", "home", "cosine")
    return dict(zip(names, zip(*rows, strict=True), strict=True))


def nearest_is_home(
    share_CK: NDArray[np.float64], home: Mapping[int, int]
) -> tuple[int, float, int]:
    """Count how many classes are nearest to the location where most of their photos were taken.

    Args:
        share_CK: Share of the patches of each class that belongs to each location.
        home: That location, for the classes that have one.

    Returns:
        The number, the mean number after the homes are shuffled among the classes (seed 0), and
        the number of classes.

    Example:
        >>> share_CK = np.array([[0.9, 0.1], [0.2, 0.8]])
        >>> nearest_is_home(share_CK, {0: 0, 1: 1})[::2]
        (2, 2)
    """
    known = [c for c in home if not np.isnan(share_CK[c]).any()]
    if not known:
        return 0, 0.0, 0
    nearest_C = share_CK[known].argmax(axis=1)
    home_C = np.array([home[c] for c in known])
    shuffle = np.random.default_rng(0).permutation
    shuffled = [int((nearest_C == shuffle(home_C)).sum()) for _ in range(SHUFFLES)]
    return int((nearest_C == home_C).sum()), float(np.mean(shuffled)), len(known)


def draw_places(
    found: LayerPatches,
    classes: Sequence[str],
    order: Sequence[int],
    places: Sequence[str],
    home: Mapping[int, int],
    *,
    how: str,
) -> Figure:
    """Draw which locations the classes are near, and below it the experts.

    Args:
        found: What was found.
        classes: Names of all classes.
        order: Those to draw, in order.
        places: Names of the locations.
        home: Location with most training photos of each class that has any.
        how: What a location is, for people.
    """  # fmt: skip
    drawn, said = _some(order)
    named = len(drawn) <= NAMED
    hits, shuffled, known = nearest_is_home(found.share_CK, home)
    height_in = 10.4
    figure = new_figure(
        f"Which locations classes and experts of layer {found.layer} are near",
        f"{int(found.photos_C.sum()):,} validation photos of {len(order):,} classes{said}; {how}",
        height_in=height_in,
    )
    top = figure.add_axes((0.105, 5.35 / height_in, 0.79, 3.35 / height_in))
    _heat(figure, top, found.share_CK[drawn].T, "share of its patches")
    x = [x for x, c in enumerate(drawn) if c in home]
    y = [home[c] for c in drawn if c in home]
    top.scatter(x, y, 9 if named else 1, color=RED, linewidth=0)
    _name_classes(top, [classes[c] for c in drawn])
    bottom = figure.add_axes((0.105, 1.25 / height_in, 0.79, 1.9 / height_in))
    _heat(figure, bottom, expert_shares_EK(found).T, "share of its centre")
    bottom.set_xlabel("expert (number in its layer)")
    plain_axes(top, "classes: share of the patches that are nearest to a location")
    plain_axes(bottom, "experts: location that the centre is nearest to")
    for axes in (top, bottom):
        axes.set_yticks(range(len(places)), places)
    _small_names(top, named)
    figure.text(
        0.04, 0.016,
        "A red dot: the location with most training photos of a class.\nFor "
        f"{hits:,} of {known:,} classes the nearest location is that one; for shuffled classes it "
        f"would be {shuffled:.1f} on average.",
        fontsize=11, color=QUIET,
    )  # fmt: skip
    return figure
