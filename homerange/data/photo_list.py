"""Lists of photos for ``predict`` and for other tools: a CSV of files with their known species."""

import csv
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homerange.data.manifest import Manifest
from homerange.errors import ManifestError, PlaceError
from homerange.geo.cells import cell_ids, cell_level, contains
from homerange.geo.place import Area, Cell, Circle, Place, areas_of
from homerange.geo.sphere import distance_km
from homerange.output import atomic_file, writing

__all__ = ["near", "taken_in", "write_photo_list"]

_COLUMNS = ("file", "species", "latitude", "longitude")


def near(manifest: Manifest, place: Place) -> Manifest:
    """Return the rows whose coordinates lie in a place.

    Raises:
        PlaceError: If there are none.
    """
    inside_N = taken_in(manifest, place)
    if not inside_N.any():
        known_N = ~np.isnan(manifest.latlon_N2()).any(axis=1)
        wider = {Circle: "larger --radius-km", Cell: "coarser cell"}.get(type(place), "larger one")
        raise PlaceError(
            f"none of {len(manifest):,} photos was taken here: {place.describe()}; "
            f"{int(known_N.sum()):,} of them have coordinates. "
            f"Try another place or a {wider}"
        )
    return manifest.where(inside_N)


def taken_in(manifest: Manifest, place: Place) -> NDArray[np.bool_]:
    """Return whether each photo was taken in a place, shape (N,); false where nobody knows."""
    latlon_N2 = manifest.latlon_N2()
    known_N = ~np.isnan(latlon_N2).any(axis=1)
    inside_N = np.zeros(len(manifest), dtype=bool)
    if known_N.any():
        inside = [_inside(area, latlon_N2[known_N]) for area in areas_of(place)]
        inside_N[known_N] = np.any(inside, axis=0)
    return inside_N


def write_photo_list(manifest: Manifest, path: Path) -> int:
    """Write file, species, latitude and longitude of each photo once; returns how many.

    A photo with several observations gets the species of the first. Paths are absolute, so that
    the list can be moved.

    Raises:
        ManifestError: If the list cannot be written, or a photo is an address on the web; a list
            of that name is then as it was.
    """
    seen: set[str] = set()
    rows = zip(
        manifest.strings("image"),
        manifest.strings("species"),
        manifest.latlon_N2().tolist(),
        strict=True,
    )
    lines: list[list[object]] = []
    for row, (image, species, latlon) in enumerate(rows):
        if image is None or image in seen:
            continue
        seen.add(image)
        known = ["" if np.isnan(value) else value for value in latlon]
        lines.append([manifest.image_path(row).resolve().as_posix(), species or "", *known])
    with writing(path, ManifestError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            text = io.TextIOWrapper(file, encoding="utf-8", newline="")
            csv.writer(text).writerows([_COLUMNS, *lines])
            text.detach()  # flushes, and leaves the file open to its owner
    return len(lines)


def _inside(area: Area, latlon_N2: NDArray[np.float64]) -> NDArray[np.bool_]:
    if isinstance(area, Circle):
        centre_12 = np.array([[area.latitude_deg, area.longitude_deg]])
        near_N: NDArray[np.bool_] = distance_km(centre_12, latlon_N2)[0] <= area.radius_km
        return near_N
    if isinstance(area, Cell):
        level = int(cell_level(area.id_1)[0])
        return contains(area.id_1, cell_ids(latlon_N2, level))
    return area.outline.holds(latlon_N2)
