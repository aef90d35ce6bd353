"""The locations L1 to L6 of the paper, or others, in the photos of a manifest.

Source: the paper, section 3.1 and table 1. Its photos to train and to validate lie in the location;
its test photos do not: they are those, from anywhere, of a species that its training photos show.

Axes used in this file:
    N  rows of the manifest
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from homerange.data.manifest import Manifest
from homerange.data.regions import PLACE_SETS
from homerange.errors import ManifestError, PlaceError
from homerange.geo.cells import FINEST_LEVEL, cell_ids, contains, parse_cell

__all__ = ["LARGEST", "Location", "locations_of"]

LARGEST = "regions"
"""Stands for the regions of the manifest with the most training photos."""
MOST = 6
"""As many of them as the paper has."""


@dataclass(frozen=True, eq=False)
class Location:
    """One location and the rows of a manifest that belong to it."""

    label: str
    """``L1``, ``L2`` ..."""
    name: str
    """An S2 cell such as ``2/1``, or a region of the manifest."""
    cell: int | None
    """The S2 cell, where it is one."""
    inside_N: NDArray[np.bool_]
    """Rows that lie there."""
    rows: dict[str, NDArray[np.bool_]]
    """By split: ``train`` and ``val`` inside, ``test`` from anywhere, as in the paper."""
    species: frozenset[str]
    """Species and outcomes of its labelled training photos."""

    @property
    def title(self) -> str:
        """Label and name."""
        return f"{self.label} {self.name}"

    def photos(self, split: str) -> int:
        """Count the labelled rows of one split."""
        return int(self.rows[split].sum())


def locations_of(manifest: Manifest, places: str) -> list[Location]:
    """Find locations in a manifest.

    Args:
        manifest: The photos, with splits.
        places: A set of the paper (``iNat-Geo-10K-6``, ``iWildcam-6``), names with commas between
            (each a region of the manifest, or an S2 cell such as ``2/1``), or ``regions``: the six
            regions with the most training photos.

    Returns:
        One for each name, in this order; it may have no photos.

    Raises:
        ManifestError: If a name is neither a region nor a cell, or ``regions`` is asked for and
            there are none.
    """
    regions = manifest.strings("region_id")
    splits, species = manifest.strings("split"), manifest.strings("species")
    learnt = [
        region
        for region, split, name in zip(regions, splits, species, strict=True)
        if region and split == "train" and name
    ]
    names = _names(places, frozenset(regions), Counter(learnt))
    region_N = np.array([region or "" for region in regions])
    split_N = np.array([split or "" for split in splits])
    species_N = np.array([name or "" for name in species])
    finest_N = _finest_cells(manifest)
    return [
        _location(f"L{i}", name, _cell(name), region_N, finest_N, split_N, species_N)
        for i, name in enumerate(names, start=1)
    ]


def _names(places: str, regions: frozenset[str | None], learnt: Counter[str]) -> tuple[str, ...]:
    """Read what the user names; ``learnt`` counts the labelled training photos of regions."""
    if places == LARGEST:
        if not learnt:
            raise ManifestError(
                "no labelled training photo has a region, so there are no largest ones. "
                "Name S2 cells instead, for example: --places 2/1,0/"
            )
        return tuple(name for name, _ in learnt.most_common(MOST))
    if places in PLACE_SETS:
        return PLACE_SETS[places]
    names = tuple(name.strip() for name in places.split(","))
    for name in names:
        if name not in regions and _cell(name) is None:
            some = ", ".join(region for region, _ in learnt.most_common(5)) or "none"
            raise ManifestError(
                f"{name!r} is no place: expected a set ({', '.join(PLACE_SETS)}), {LARGEST}, an S2 "
                f"cell such as 2/1, or a region of the manifest ({some})"
            )
    return names


def _cell(name: str) -> int | None:
    if "/" not in name:  # a token such as 4c could be the name of a region
        return None
    try:
        return parse_cell(name)
    except PlaceError:
        return None


def _finest_cells(manifest: Manifest) -> NDArray[np.uint64]:
    """Return the finest cell of each row; 0 without coordinates."""
    latlon_N2 = manifest.latlon_N2()
    cell_N = np.zeros(len(manifest), np.uint64)
    known_N = ~np.isnan(latlon_N2).any(axis=1)
    cell_N[known_N] = cell_ids(latlon_N2[known_N], FINEST_LEVEL)
    return cell_N


def _location(
    label: str,
    name: str,
    cell: int | None,
    region_N: NDArray[np.str_],
    finest_N: NDArray[np.uint64],
    split_N: NDArray[np.str_],
    species_N: NDArray[np.str_],
) -> Location:
    inside_N = region_N == name
    if not inside_N.any() and cell is not None:
        inside_N = contains(cell, finest_N)
    here_N = inside_N & (species_N != "")
    learnt = frozenset(species_N[here_N & (split_N == "train")].tolist())
    rows = {split: here_N & (split_N == split) for split in ("train", "val")}
    rows["test"] = (split_N == "test") & np.isin(species_N, sorted(learnt))
    return Location(label, name, cell, inside_N, rows, learnt)
