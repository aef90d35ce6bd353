"""Import iWildCam2020-WILDS: its metadata, its class names and the places of its cameras.

Source: the folder ``iwildcam_v2.0`` of the WILDS benchmark (Koh et al. 2021): ``metadata.csv``,
``categories.csv`` and the photos in ``train/``. WILDS has no coordinates; those of the iWildCam
2021 competition (``gps_locations.json``) have the same numbers of cameras.

What we decide:
    - ``val`` and ``test`` are the splits of WILDS from cameras that train has not (OOD), ``id_val``
      and ``id_test`` those from cameras of train (ID). All become val and test here: whether train
      has the camera of a photo is seen from the photos, and ``homerange evaluate`` tells it apart;
    - the competition moved each camera by up to 1 km on purpose. So its coordinates are uncertain
      by 1,000 m;
    - the region is the cluster of cameras: six on the published file. A camera whose country was
      withheld has neither coordinates nor region;
    - empty photos stay, as blanks: WILDS counts ``empty`` as a class, although the paper speaks of
      removing them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from homerange.data.importers import Column, Imported, complete, read_cells
from homerange.data.importers.csv_columns import read_columns
from homerange.data.importers.folder import image_key
from homerange.data.importers.json_file import read_gps
from homerange.data.manifest import Refused
from homerange.data.names import class_key
from homerange.data.times import read_time
from homerange.errors import ManifestError
from homerange.geo.clusters import cluster_by_distance, name_clusters

__all__ = ["MOVED_BY_M", "import_wilds"]

MOVED_BY_M = 1000.0
"""By how much the competition moved its cameras at most, in metres."""

# The middle of each cluster of the published file.
_PLACES = {
    "Kenya": (0.39, 36.87),
    "Guatemala and Belize": (17.44, -89.33),
    "Rwanda": (-2.56, 29.39),
    "Ecuador": (-1.88, -76.76),
    "Bolivia": (-19.82, -58.62),
    "Laos": (20.12, 103.17),
}
_SPLITS = {"train": "train", "val": "val", "test": "test", "id_val": "val", "id_test": "test"}
_NEEDED = ("split", "location", "seq_id", "y", "datetime", "filename")


def import_wilds(
    source: Path,
    *,
    photos: Path | None = None,
    gps: Path | None = None,
    categories: Path | None = None,
) -> Imported:
    """Import iWildCam2020-WILDS.

    Args:
        source: The folder ``iwildcam_v2.0``, or its ``metadata.csv``.
        photos: Folder that holds the folder ``train``; that of ``metadata.csv`` by default.
        gps: ``gps_locations.json`` of iWildCam 2021 or 2022: coordinates by camera.
        categories: ``categories.csv``; the one beside ``metadata.csv`` by default.

    Returns:
        The manifest, the refused rows and notes.

    Raises:
        ManifestError: If a file is absent or not what it should be, no camera has coordinates in
            ``gps``, or no row can be used.
    """
    metadata = source / "metadata.csv" if source.is_dir() else source
    table = read_columns(metadata, _NEEDED, what="the metadata of iWildCam2020-WILDS")
    species_of = _species(metadata.parent / "categories.csv" if categories is None else categories)
    row_N, refused = _known_rows(table, species_of)
    table = table.take(pa.array(row_N))
    row = (row_N + 1).tolist()
    notes: list[str] = []
    columns: dict[str, Column] = {
        "image": [
            image_key(f"train/{name}") if name else None for name in _texts(table, "filename")
        ],
        "species": [species_of[y] for y in _texts(table, "y")],
        "datetime": read_cells(
            table["datetime"].to_pylist(), read_time, what="times", row=row, notes=notes
        ),
        "location_id": table["location"],
        "sequence_id": table["seq_id"],
        "split": [_SPLITS[name] for name in _texts(table, "split")],
        "source": pa.repeat("iWildCam2020-WILDS", len(table)),
        "licence": pa.repeat("CDLA-Permissive-1.0", len(table)),
    }
    if gps is not None:
        columns |= _places(_texts(table, "location"), gps, notes)
    return complete(
        columns,
        source=metadata,
        photos=metadata.parent if photos is None else photos,
        row=row,
        refused=refused,
        notes=notes,
        seed=0,  # every row has its split
        exif=False,
    )


def _texts(table: pa.Table, column: str) -> list[str]:
    return [text or "" for text in table[column].to_pylist()]


def _species(path: Path) -> dict[str, str | None]:
    """Read the class of each ``y``."""
    if not path.is_file():
        raise ManifestError(
            f"{path}: no such file. It belongs to iwildcam_v2.0 and names the classes; where it "
            "lies elsewhere, say so with --categories"
        )
    table = read_columns(path, ("y", "name"), what="the categories of iWildCam2020-WILDS")
    pairs = zip(_texts(table, "y"), _texts(table, "name"), strict=True)
    return {y: class_key(name) for y, name in pairs}


def _known_rows(
    table: pa.Table, species_of: Mapping[str, str | None]
) -> tuple[NDArray[np.int64], list[Refused]]:
    """Find the rows with a known split and class; say why for the others."""
    columns = (_texts(table, name) for name in ("filename", "split", "y"))
    reasons = {}
    for i, (image, split, y) in enumerate(zip(*columns, strict=True)):
        if split not in _SPLITS:
            reasons[i] = image, f"the split is {split!r}; expected one of {', '.join(_SPLITS)}"
        elif y not in species_of:
            reasons[i] = image, f"no category has the y {y!r}"
    known_N = np.ones(len(table), dtype=bool)
    known_N[list(reasons)] = False
    refused = [Refused(i + 1, image, why) for i, (image, why) in reasons.items()]
    return np.flatnonzero(known_N), refused


def _places(cameras: Sequence[str], gps: Path, notes: list[str]) -> dict[str, Column]:
    """Give each row the coordinates and the region of its camera, where they are known."""
    place_of = read_gps(gps)
    here = set(cameras)
    if not here & set(place_of):
        raise ManifestError(
            f"{gps}: knows none of the {len(here):,} cameras; expected their numbers, such as "
            f"{min(here)!r}, as in gps_locations.json of iWildCam 2021"
        )
    if missing := len(here - set(place_of)):
        notes.append(f"{missing:,} of {len(here):,} cameras have no place in {gps}")
    latlon_N2 = np.array(list(place_of.values()))
    cluster_N = cluster_by_distance(latlon_N2)
    names = name_clusters(latlon_N2, cluster_N, _PLACES)
    clusters = zip(place_of, cluster_N.tolist(), strict=True)
    region_of = {camera: names[cluster] for camera, cluster in clusters}
    places = [place_of.get(camera) for camera in cameras]
    return {
        "latitude_deg": [place[0] if place else None for place in places],
        "longitude_deg": [place[1] if place else None for place in places],
        "coordinate_uncertainty_m": [MOVED_BY_M if place else None for place in places],
        "region_id": [region_of.get(camera) for camera in cameras],
    }
