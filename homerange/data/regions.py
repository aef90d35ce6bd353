"""Regions of a manifest: S2 cells as regions, and the photos that belong to some of them.

Source: the paper's six places of each data set (section 3.1, figures 1 and 2), on which it
finetunes and tests (section 4.4, table 3). "-6" is finetuning on the photos of all six and "-1" on
those of one. Its test photos are not those of the place, but those of a species that the training
photos of the place show.

Axes used in this file:
    N  rows
"""

import difflib
from collections import Counter

import numpy as np

from homerange.data.manifest import Manifest, with_column
from homerange.errors import ManifestError
from homerange.geo.adaptive_cells import adaptive_cells
from homerange.geo.cells import to_path

__all__ = ["PLACE_SETS", "name_cells", "photos_of"]

PLACE_SETS = {
    "iNat-Geo-10K-6": ("2/1", "2/2", "2/0", "0/", "1/", "4/2"),
    "iWildcam-6": ("Kenya", "Guatemala and Belize", "Rwanda", "Ecuador", "Bolivia", "Laos"),
}
"""Name in the paper -> ``region_id`` of its places. The cells stand in the order of figure 2, L1 to
L6; the order of the clusters in the paper is not known, and here the largest comes first."""


def photos_of(manifest: Manifest, places: str) -> Manifest:
    """Return the photos of a set of places: to finetune on, and to test on.

    Args:
        manifest: The photos, with splits.
        places: A name of PLACE_SETS ("-6" of the paper), or the ``region_id`` of one place ("-1").

    Returns:
        The train and val rows of these places, and the test rows, from anywhere, of a species (or
        outcome) that the train rows show.

    Raises:
        ManifestError: If there is no such place, or it has no labelled photo in train.
    """
    wanted = PLACE_SETS.get(places, (places,))
    columns = (manifest.strings(name) for name in ("region_id", "split", "species"))
    rows = list(zip(*columns, strict=True))
    regions = Counter(region for region, _, _ in rows if region)
    if places not in PLACE_SETS and places not in regions:
        raise ManifestError(_no_place(places, regions))
    learnt = {
        name for region, split, name in rows if region in wanted and split == "train" and name
    }
    if not learnt:
        found = sum(regions[region] for region in wanted)
        raise ManifestError(
            f"{places}: none of {found:,} photos there is labelled and in train, so there is "
            f"nothing to learn. Its regions are {', '.join(wanted)}"
        )
    chosen = [
        name in learnt if split == "test" else region in wanted for region, split, name in rows
    ]
    return manifest.where(np.array(chosen, dtype=bool))


def name_cells(manifest: Manifest, *, n_max: int) -> tuple[Manifest, list[str]]:
    """Make S2 cells the regions: small ones where there are many photos.

    Args:
        manifest: Rows whose coordinates are known or empty.
        n_max: Most rows of a cell; see ``adaptive_cells``.

    Returns:
        The manifest with a cell such as ``2/1`` as ``region_id``, empty for rows without
        coordinates or in a cell of too few rows; and notes that count these.

    Raises:
        ConfigError: If ``n_max`` is less than 1.
    """
    latlon_N2 = manifest.latlon_N2()
    located_N = ~np.isnan(latlon_N2).any(axis=1)
    found = adaptive_cells(latlon_N2[located_N], n_max=n_max)
    name_of = {cell: to_path(cell) for cell in np.unique(found.cell_N).tolist()}
    cells = zip(found.cell_N.tolist(), found.kept_N.tolist(), strict=True)
    names = np.full(len(manifest), None, dtype=object)
    names[located_N] = [name_of[cell] if kept else None for cell, kept in cells]
    small = int((~found.kept_N).sum())
    kept = len(np.unique(found.cell_N[found.kept_N]))
    notes = [f"{kept:,} S2 cells of at most {n_max:,} rows are the regions"]
    if small:
        notes.append(f"{small:,} rows lie in cells of too few rows and have no region")
    named = with_column(manifest.table, "region_id", names.tolist())
    return Manifest(named, manifest.root), notes


def _no_place(places: str, regions: Counter[str]) -> str:
    near = difflib.get_close_matches(places, [*PLACE_SETS, *regions], n=1)
    hint = f". Did you mean {near[0]!r}?" if near else "."
    known = ", ".join(name for name, _ in regions.most_common(10)) or "none"
    return (
        f"no photo has the region {places!r}{hint} Expected one of the sets "
        f"{', '.join(PLACE_SETS)}, or a region of the manifest ({known})"
    )
