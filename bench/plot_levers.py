"""Draw the paired differences of bench/findings.py and bench/planted.py, for docs/findings.md.

    python bench/plot_levers.py

Reads ``bench/results/findings.json`` and ``planted.json``, writes ``docs/pictures/*.png``: for each
lever the difference in top-1 to its control, with its 95 % interval. A lever pays where the whole
interval lies right of 0 at equal or fewer bytes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from homerange.report.canvas import (
    BLUE,
    GREEN,
    GREY,
    HEAD_IN,
    INK,
    QUIET,
    RED,
    new_figure,
    plain_axes,
)

RESULTS = Path(__file__).parent / "results"
PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
ROW_IN, FOOT_IN = 0.36, 0.8
AMOUNTS = {"half": "without half", "three quarters": "without three quarters"}
FINDINGS = {
    "head slice, dense": ("dense: head slice", "dense: whole"),
    "head slice, experts": ("experts: head slice", "experts: whole"),
    "experts, against dense": ("experts: head slice", "dense: head slice"),
    "experts, against one bottleneck": ("experts: head slice", "bottleneck: head slice"),
    "experts, against random routing": ("experts: head slice", "random routing: head slice"),
    "any-subset training, dense": ("dense, any subset: head slice", "dense: head slice"),
    "any-subset training, experts": ("experts, any subset: head slice", "experts: head slice"),
    "teacher, dense": ("dense, teacher: head slice", "dense: head slice"),
    **{
        f"{method} at {p}, against random dropping": (
            f"experts: {name}",
            f"experts: random, as many as threshold {p}",
        )
        for p in (90, 99)
        for method, name in (
            ("threshold", f"threshold {p}"),
            ("exact", f"exact, as many as threshold {p}"),
            ("first-order", f"first-order, as many as threshold {p}"),
            ("global", f"global, as many as threshold {p}"),
        )
    },
}
PLANTED = {
    "head slice, dense": ("dense: head slice", "dense: whole"),
    "head slice, experts": ("experts: head slice", "experts: whole"),
    "experts, against dense": ("experts: head slice", "dense: head slice"),
    "location stage": ("experts after location: head slice", "experts: head slice"),
    "any-subset training, dense": ("dense, any subset: head slice", "dense: head slice"),
    "any-subset training, experts": ("experts, any subset: head slice", "experts: head slice"),
    **{
        f"{amount} dropped by {method}, against {control}": (
            f"experts: {treatment}, {method}",
            f"experts: {treatment}, {control}",
        )
        for amount, treatment in AMOUNTS.items()
        for method in ("first-order", "frequency")
        for control in ("random", "global")
    },
    **{
        f"{name}, {amount} dropped": (
            f"experts{network}: {treatment}, first-order",
            f"experts: {treatment}, first-order",
        )
        for name, network in (("location stage", " after location"), ("any subset", ", any subset"))
        for amount, treatment in AMOUNTS.items()
    },
}


def main() -> None:
    """Draw both pictures."""
    findings, planted = (
        json.loads((RESULTS / f"{name}.json").read_text()) for name in ("findings", "planted")
    )
    PICTURES.mkdir(exist_ok=True)
    found = pairs_of(findings)
    draw(
        "Which lever pays at a place",
        "115 species, drawn places: three seeds, 24 places, 1,035 test photos",
        {"": {name: found[pair] for name, pair in FINDINGS.items() if pair in found}},
        PICTURES / "levers.png",
    )
    found = pairs_of(planted)
    draw(
        "Where animals look different in each region",
        f"Synthetic planets: three seeds, 8 regions, {sum(planted['test_photos'])} test photos",
        {
            geography: {
                name: found[f"{geography} {one}", f"{geography} {other}"]
                for name, (one, other) in PLANTED.items()
            }
            for geography in ("planted", "shuffled")
        },
        PICTURES / "planted.png",
    )


def pairs_of(record: Mapping) -> dict[tuple[str, str], Mapping]:
    """Index the differences of a record by lever and control."""
    return {(one["lever"], one["against"]): one for one in record["results"]["differences"]}


def draw(title: str, subtitle: str, panels: Mapping[str, Mapping[str, Mapping]], to: Path) -> None:
    """Draw one panel of intervals for each geography, side by side, and save it."""
    names = list(next(iter(panels.values())))
    height_in = HEAD_IN + FOOT_IN + ROW_IN * len(names) + 0.4
    figure = new_figure(title, subtitle, height_in=height_in)
    axes = figure.subplots(1, len(panels), sharey=True, sharex=True, squeeze=False)[0]
    figure.subplots_adjust(
        left=0.37, right=0.97, wspace=0.08, bottom=FOOT_IN / height_in,
        top=1 - (HEAD_IN + 0.4) / height_in,
    )  # fmt: skip
    for one, (name, found) in zip(axes, panels.items(), strict=True):
        draw_intervals(one, [found[lever] for lever in names])
        plain_axes(one, name)
        one.spines["left"].set_visible(False)
        one.tick_params(axis="y", length=0)
    low, high = axes[0].get_xlim()
    axes[0].set_xlim(low, high + 0.12 * (high - low) * len(panels))  # room for the last number
    figure.text(
        0.665, 0.2 / height_in, "difference in top-1 to the control, percentage points, 95 %",
        fontsize=12, color=INK, ha="center",
    )  # fmt: skip
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    figure.savefig(to, dpi=100)


def draw_intervals(axes: Axes, found: Sequence[Mapping]) -> None:
    """Draw a line a lever; green where it pays, red where it surely loses."""
    axes.axvline(0, color=QUIET, linewidth=1)
    for y, one in enumerate(found):
        low, high = (100 * value for value in one["difference_95"])
        colour = GREEN if one["pays"] else RED if high < 0 else BLUE if low > 0 else GREY
        axes.plot([low, high], [y, y], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot(100 * one["difference"], y, "o", color=colour, markersize=8)
        axes.text(high + 0.4, y, f"{100 * one['difference']:+.1f}", va="center", color=INK)


if __name__ == "__main__":
    main()
