"""What the rows of a manifest must hold, checked once, on import.

What we decide about rows that break the contract:
    - no image, an observation id for the second time, a box outside the photo: the row is refused;
    - coordinates that cannot be used (one missing, out of range, exactly 0, 0): the row stays and
      loses them, counted in a note, because a photo without a place is still a photo to train on;
    - a table whose coordinates look swapped stops with an error, because all would be wrong.
      Swapped means that in more than a tenth of the rows the latitude only fits a longitude.

Axes used in this file:
    N  rows
"""

import numpy as np
from numpy.typing import NDArray

from homerange.data.manifest import BOX_COLUMNS, Manifest, Refused, with_column
from homerange.errors import CoordinateError

__all__ = ["check"]

_BOX_TOLERANCE = 1e-3  # detectors round: 0.7 + 0.3001 is the edge of the photo, not beyond it
_SWAPPED_SHARE = 0.1  # a few typing mistakes are not a swapped table

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]


def check(manifest: Manifest, row_N: _Ints) -> tuple[Manifest, _Ints, list[Refused], list[str]]:
    """Keep the rows that meet the contract; say why for the others.

    Args:
        manifest: Rows whose image and observation id may be null.
        row_N: Data row of the source for each row, counted from 1.

    Returns:
        The manifest that is left, its ``row_N``, the refused rows, and notes on emptied cells.

    Raises:
        CoordinateError: If latitude and longitude look swapped.
    """
    reasons = _reasons(manifest, row_N)
    images = manifest.strings("image")
    refused = [Refused(int(row_N[i]), images[i] or "", why) for i, why in sorted(reasons.items())]
    keep_N = np.ones(len(manifest), dtype=bool)
    keep_N[list(reasons)] = False
    kept, notes = _usable_coordinates(_clip_boxes(manifest.where(keep_N)), row_N[keep_N])
    return kept, row_N[keep_N], refused, notes


def _reasons(manifest: Manifest, row_N: _Ints) -> dict[int, str]:
    reasons = _box_reasons(manifest)
    first_row: dict[str, int] = {}
    ids = manifest.strings("observation_id")
    for i, image in enumerate(manifest.strings("image")):
        identity = ids[i] or ""
        if not image:
            reasons[i] = "no image"
        elif identity in first_row:
            first = first_row[identity]
            reasons[i] = f"observation id {identity!r} was already used by row {first}"
        elif i not in reasons:
            first_row[identity] = int(row_N[i])
    return reasons


def _box_reasons(manifest: Manifest) -> dict[int, str]:
    box_N4 = _box_N4(manifest)
    known_N4 = ~np.isnan(box_N4)
    start_N2, size_N2 = box_N4[:, :2], box_N4[:, 2:]
    outside_N2 = (start_N2 < -_BOX_TOLERANCE) | (start_N2 + size_N2 > 1 + _BOX_TOLERANCE)
    bad_N = (outside_N2 | (size_N2 <= 0)).any(axis=1)
    reasons = {
        int(i): f"box {', '.join(f'{side:g}' for side in box_N4[i])} is not inside the photo; "
        "expected x, y, width, height in 0-1"
        for i in np.flatnonzero(known_N4.all(axis=1) & bad_N)
    }
    for i in np.flatnonzero(known_N4.any(axis=1) & ~known_N4.all(axis=1)):
        reasons[int(i)] = "the box has some of x, y, width, height but not all"
    return reasons


def _clip_boxes(manifest: Manifest) -> Manifest:
    box_N4 = _box_N4(manifest)
    start_N2 = np.clip(box_N4[:, :2], 0, 1)
    size_N2 = np.clip(box_N4[:, :2] + box_N4[:, 2:], 0, 1) - start_N2
    table = manifest.table
    for name, side_N in zip(BOX_COLUMNS, np.hstack([start_N2, size_N2]).T, strict=True):
        table = with_column(table, name, side_N)
    return Manifest(table, manifest.root)


def _box_N4(manifest: Manifest) -> _Floats:
    return np.stack([manifest.floats_N(name) for name in BOX_COLUMNS], axis=1)


def _usable_coordinates(manifest: Manifest, row_N: _Ints) -> tuple[Manifest, list[str]]:
    lat_N, lon_N = manifest.latlon_N2().T
    _refuse_swapped(lat_N, lon_N, row_N)
    one_missing_N = np.isnan(lat_N) != np.isnan(lon_N)
    # Written so that infinity is out of range and nan, which means unknown, is not.
    outside_N = ~one_missing_N & ((np.abs(lat_N) > 90) | (np.abs(lon_N) > 180))
    null_island_N = (lat_N == 0) & (lon_N == 0)
    notes = []
    for bad_N, what in (
        (one_missing_N, "only one of latitude and longitude"),
        (outside_N, "coordinates out of range"),
        (null_island_N, "latitude 0, longitude 0 (a receiver without a fix)"),
    ):
        if bad_N.any():
            i = int(bad_N.argmax())
            notes.append(
                f"{bad_N.sum():,} rows have {what}; their coordinates are now empty "
                f"(first: row {row_N[i]}, latitude {lat_N[i]:g}, longitude {lon_N[i]:g})"
            )
    usable_N = ~(one_missing_N | outside_N | null_island_N)
    table = manifest.table
    for name, degrees_N in (("latitude_deg", lat_N), ("longitude_deg", lon_N)):
        table = with_column(table, name, np.where(usable_N, degrees_N, np.nan))
    return Manifest(table, manifest.root), notes


def _refuse_swapped(lat_N: _Floats, lon_N: _Floats, row_N: _Ints) -> None:
    swapped_N = (np.abs(lat_N) > 90) & (np.abs(lat_N) <= 180) & (np.abs(lon_N) <= 90)
    both = int((~np.isnan(lat_N) & ~np.isnan(lon_N)).sum())
    if swapped_N.sum() <= _SWAPPED_SHARE * both:
        return
    i = int(swapped_N.argmax())
    raise CoordinateError(
        f"row {row_N[i]}: latitude {lat_N[i]:g} and longitude {lon_N[i]:g} look swapped, as in "
        f"{swapped_N.sum():,} of {both:,} rows with coordinates. Expected latitude in [-90, 90]. "
        "Map the columns the other way round: --column latitude_deg=THEIR_LONGITUDE "
        "--column longitude_deg=THEIR_LATITUDE."
    )
