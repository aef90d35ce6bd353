"""Lists of photos for ``predict`` and for other tools: a CSV of files with their known species."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homerange.data.manifest import Manifest
from homerange.errors import PlaceError
from homerange.geo.cells import cell_ids, cell_level, contains
from homerange.geo.place import Cell, Circle
from homerange.geo.sphere import distance_km

__all__ = ["near", "write_photo_list"]


def near(manifest: Manifest, place: Circle | Cell) -> Manifest:
    """Return the rows whose coordinates lie in a place.

    Raises:
        PlaceError: If there are none.
    """
    latlon_N2 = manifest.latlon_N2()
    known_N = ~np.isnan(latlon_N2).any(axis=1)
    inside_N = np.zeros(len(manifest), dtype=bool)
    if known_N.any():
        inside_N[known_N] = _inside(place, latlon_N2[known_N])
    if not inside_N.any():
        raise PlaceError(
            f"none of {len(manifest):,} photos was taken here: {place.describe()}; "
            f"{int(known_N.sum()):,} of them have coordinates. "
            "Try another place or a larger --radius-km"
        )
    return manifest.where(inside_N)


def write_photo_list(manifest: Manifest, path: Path) -> int:
    """Write file, species, latitude and longitude of each photo once; returns how many.

    A photo with several observations gets the species of the first. Paths are absolute, so that
    the list can be moved.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    rows = zip(
        manifest.strings("image"),
        manifest.strings("species"),
        manifest.latlon_N2().tolist(),
        strict=True,
    )
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "species", "latitude", "longitude"])
        for row, (image, species, latlon) in enumerate(rows):
            if image is None or image in seen:
                continue
            seen.add(image)
            known = ["" if np.isnan(value) else value for value in latlon]
            writer.writerow([manifest.image_path(row).resolve().as_posix(), species or "", *known])
    return len(seen)


def _inside(place: Circle | Cell, latlon_N2: NDArray[np.float64]) -> NDArray[np.bool_]:
    if isinstance(place, Circle):
        centre_12 = np.array([[place.latitude_deg, place.longitude_deg]])
        near_N: NDArray[np.bool_] = distance_km(centre_12, latlon_N2)[0] <= place.radius_km
        return near_N
    level = int(cell_level(place.id_1)[0])
    return contains(place.id_1, cell_ids(latlon_N2, level))
