"""The columns of each table: what was measured here, and beside it what the paper prints.

Shares are in percent, as in the paper. A column NAME_percent has its 95 % interval in NAME_low and
NAME_high; None is an empty cell.
"""

from collections.abc import Sequence

from homerange.data.evaluation import Metrics
from homerange.model.experts import ExpertSpec
from homerange.model.network import build_network
from homerange.profile.work import Work, count_work
from homerange.report.files import Columns
from homerange.report.locations import Location
from homerange.report.measured import PAPER_PX, Measured
from homerange.report.paper import (
    NETWORKS,
    TABLE_1,
    TABLE_2,
    TABLE_3,
    BaselineRow,
    LocationRow,
)
from homerange.specialize.figures import Score

__all__ = ["location_rows", "overall_rows", "place_rows", "readable", "size_rows"]

Row = dict[str, object]
PAPER_TEXT_PX = 224


def location_rows(locations: Sequence[Location], places: str) -> Columns:
    """Return table 1: photos of each split and classes of each location; then, apart, the paper's.

    Where it is known which location is which of the paper, its numbers stand in the same row.
    """
    of_paper, apart = TABLE_1.get(places, {}), not _same_as_in_the_paper(locations)
    rows = []
    for i, one in enumerate(locations):
        row: Row = {"location": one.label, "name": one.name}
        row |= {split: one.photos(split) for split in one.rows}
        row["classes"] = len(one.species)
        beside = of_paper if of_paper and not apart else None
        row |= {f"paper_{split}": beside[split][i] if beside else None for split in one.rows}
        rows.append(row)
    for i, one in enumerate(locations if of_paper and apart else ()):
        row = dict.fromkeys(rows[0]) | {"location": one.label}
        rows.append(row | {f"paper_{split}": photos[i] for split, photos in of_paper.items()})
    return _columns(rows)


def _same_as_in_the_paper(locations: Sequence[Location]) -> bool:
    """Cells are named in the paper; which cluster of cameras is which L is not said."""
    return locations[0].cell is not None


def overall_rows(measured: Sequence[Measured]) -> Columns:
    """Return table 2: each checkpoint over all test photos; then what is left of the paper."""
    rows = []
    for one in measured:
        cameras = one.evaluation.cameras
        row: Row = {"checkpoint": one.name, "parameters_stored": one.work.stored}
        row |= _share("all", one.evaluation.overall)
        row["macro_f1_percent"] = round(100 * one.evaluation.overall.macro_f1, 2)
        row |= _share("known_cameras", cameras.get("known cameras"))
        row |= _share("new_cameras", cameras.get("new cameras"))
        rows.append(row | _baseline(TABLE_2.get(one.name)))
    ours = list(rows[0])
    taken = {one.name for one in measured}
    for name, of_paper in TABLE_2.items():
        if name not in taken:
            rows.append(dict.fromkeys(ours) | _baseline(of_paper))
    return _columns(rows)


def _baseline(row: BaselineRow | None) -> Row:
    return {
        "paper_model": row and row.model,
        "paper_parameters_M": row and row.parameters_m,
        "paper_iNaturalist2017": row and row.inat2017,
        "paper_iNat_Geo_10K": row and row.inat_geo_10k,
        "paper_iWildCam_ID": row and row.iwildcam_id,
        "paper_iWildCam_OOD": row and row.iwildcam_ood,
    }


def place_rows(measured: Sequence[Measured], locations: Sequence[Location], places: str) -> Columns:
    """Return table 3: each checkpoint at each location; then what is left of the paper."""
    of_paper, apart = TABLE_3.get(places, {}), not _same_as_in_the_paper(locations)
    rows = []
    for one in measured:
        for i, (location, right) in enumerate(zip(locations, one.at, strict=True)):
            row: Row = {"checkpoint": one.name, "location": location.label, "name": location.name}
            row["classes"] = len(location.species)
            row |= _share("all_classes", right.every_class if right else None)
            listed = _share("listed", right.on_list if right else None)
            del listed["listed_n"]  # the same photos
            beside = None if apart else of_paper.get(one.name)
            rows.append(row | listed | _at_location(beside, i))
    ours = list(rows[0])
    taken = set() if apart else {one.name for one in measured}
    for name, of_row in of_paper.items():
        for i, location in enumerate(locations if name not in taken else ()):
            place = {"location": location.label, "name": None if apart else location.name}
            rows.append(dict.fromkeys(ours) | place | _at_location(of_row, i))
    return _columns(rows)


def _at_location(row: LocationRow | None, i: int) -> Row:
    return {
        "paper_model": row and row.model,
        "paper_finetuned_on": row and row.finetuned_on,
        "paper_location_aware": row and row.with_location,
        "paper_percent": row and row.top1[i],
        "paper_row_is_sure": row and row.confidence,
    }


def size_rows(measured: Sequence[Measured], places: str) -> Columns:
    """Return the sizes of the checkpoints, then those of the paper's networks, built again."""
    of_paper = TABLE_3.get(places, {})
    rows = []
    for one in measured:
        px = one.config.preprocessing.input_px
        row: Row = {"network": one.name, "classes": len(one.config.classes)}
        row |= _sizes(one.work, one.work_as_paper, px)
        printed = of_paper.get(one.name)
        row |= {
            "paper_FLOPs_M": printed and printed.flops_m,
            "paper_parameters_M": printed and printed.parameters_m,
        }
        rows.append(row)
    for network in NETWORKS:
        built = build_network(
            classes=network.classes,
            head=network.head,
            experts=ExpertSpec() if network.has_experts else None,
        )
        row = {"network": f"paper's {network.name}", "classes": network.classes}
        row |= _sizes(count_work(built, PAPER_TEXT_PX), count_work(built, PAPER_PX), PAPER_TEXT_PX)
        row |= {
            "paper_FLOPs_M": network.flops_m,
            "paper_parameters_M": network.parameters_m,
        }
        rows.append(row)
    return _columns(rows)


def _sizes(work: Work, work_as_paper: Work, px: int) -> Row:
    return {
        "parameters_stored": work.stored,
        "parameters_active": work.active,
        "input_px": px,
        "MACs_M": round(work.macs / 1e6, 2),
        "as_paper_at_256_px_M": round(work_as_paper.as_the_paper_counts / 1e6, 2),
        "with_experts_at_256_px_M": round(work_as_paper.with_experts / 1e6, 2),
    }


def _share(name: str, found: Score | Metrics | None) -> Row:
    """Return the photos, the share and its interval; all empty where nothing was measured."""
    shares = (found.top1, found.top1_low, found.top1_high) if found and found.photos else [None] * 3
    ends = ("percent", "low", "high")
    return {f"{name}_n": found.photos if found else None} | {
        f"{name}_{end}": None if share is None else round(100 * share, 2)
        for end, share in zip(ends, shares, strict=True)
    }


def _columns(rows: Sequence[Row]) -> Columns:
    return {name: [row[name] for row in rows] for name in rows[0]}


def readable(columns: Columns) -> dict[str, list[object]]:
    """Turn columns into those of a page: an interval stands behind its share.

    Example:
        >>> readable({"all_percent": [50.0], "all_low": [40.0], "all_high": [60.0], "all_n": [99]})
        {'all %': ['50.0 (40.0 to 60.0)'], 'all n': [99]}
    """
    page: dict[str, list[object]] = {}
    for name, values in columns.items():
        base, _, end = name.rpartition("_")
        if end in ("low", "high"):
            continue
        title = name.replace("_percent", " %").replace("_", " ")
        page[title] = [_text(value) for value in values]
        if f"{base}_low" in columns:
            ends = zip(columns[f"{base}_low"], columns[f"{base}_high"], strict=True)
            if end == "percent":
                page[title] = [
                    None if value is None else f"{value:.1f} ({low:.1f} to {high:.1f})"
                    for value, (low, high) in zip(values, ends, strict=True)
                ]
    return page


def _text(value: object) -> object:
    return f"{value:.2f}" if isinstance(value, float) else value
