"""Several manifests as one, for a world that is trained on more than one collection of photos.

Splits stay as they are, except where they would share a photo, a camera, a sequence or a burst: a
group that the manifests have on several sides is put on the first of train, val and test. Image
paths become relative to the folder that all collections share.

What we decide:
    - a row with the image file, box and species of a row of an earlier manifest is a repeat and is
      refused;
    - a camera or a sequence of the same id is the same, unless the coordinates of its rows are more
      than ``ANOTHER_PLACE_KM`` apart, beyond their uncertainty. Then two collections number alike,
      and the later id gets the number of its manifest in front (``2:id``).

Axes used in this file:
    N  rows
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from homerange.data.importers import Imported
from homerange.data.manifest import BOX_COLUMNS, Manifest, Refused, schema, with_column
from homerange.data.splits import reunite
from homerange.errors import ManifestError
from homerange.geo.sphere import great_circle_km

__all__ = ["ANOTHER_PLACE_KM", "join_manifests"]

ANOTHER_PLACE_KM = 1.0
"""A coordinate that was rounded to 0.01 degrees is off by 0.8 km at most."""


def join_manifests(sources: Sequence[Path]) -> Imported:
    """Join manifests into one.

    Args:
        sources: Manifests, at least two, written by ``homerange import``.

    Returns:
        All rows in order but for the refused ones, which repeat a row of an earlier manifest. An
        observation id that stands in two manifests gets the number of its manifest in front
        (``2:id``). Notes count such ids and what was divided by the splits.

    Raises:
        ManifestError: If there are fewer than two, their photos share no folder, or a split has
            another name than train, val or test.
    """
    if len(sources) < 2:
        raise ManifestError(f"join needs at least two manifests, got {len(sources)}")
    manifests = [Manifest.read(source) for source in sources]
    try:
        root = Path(os.path.commonpath([manifest.root.resolve() for manifest in manifests]))
    except ValueError as error:
        raise ManifestError("the photos of these manifests share no folder") from error
    parts = [_moved(manifest, root) for manifest in manifests]
    parts, refused = _without_repeats(parts, sources)
    parts, renamed = _number_observations(parts)
    parts, elsewhere = _number_elsewhere(parts, "location_id")
    parts, elsewhere_too = _number_elsewhere(parts, "sequence_id")
    joined = Manifest(pa.concat_tables([part.table for part in parts]), root)
    joined, divided, moved = _reunited(joined)
    facts = (
        (renamed, "observation ids stood in two manifests and were numbered"),
        (
            elsewhere + elsewhere_too,
            "ids of cameras or sequences stood for another place in an earlier manifest and were "
            "numbered",
        ),
        (
            divided,
            "cameras, sequences, bursts or photos stood on two sides of the splits: each is whole "
            f"now, in the first of train, val and test that it had; {moved:,} rows moved",
        ),
    )
    return Imported(joined, refused, [f"{count:,} {what}" for count, what in facts if count])


def _moved(manifest: Manifest, root: Path) -> Manifest:
    """Let the image paths start from another folder."""
    prefix = Path(os.path.relpath(manifest.root.resolve(), root)).as_posix()
    images = [_image(prefix, str(name)) for name in manifest.strings("image")]
    return Manifest(with_column(manifest.table, "image", images), root)


def _image(prefix: str, name: str) -> str:
    """Put the folder of a collection before a path, unless the path says where it is by itself."""
    if prefix == "." or "://" in name or Path(name).is_absolute():
        return name
    return f"{prefix}/{name}"


def _files(manifest: Manifest) -> list[str]:
    """Name the file of each row: one file has one name, however its path is written."""
    names = [str(name) for name in manifest.strings("image")]
    return [name if "://" in name else os.path.normpath(manifest.root / name) for name in names]


def _without_repeats(
    parts: Sequence[Manifest], sources: Sequence[Path]
) -> tuple[list[Manifest], list[Refused]]:
    """Refuse rows that an earlier manifest has; two rows alike in one manifest are two animals."""
    first_with: dict[tuple[object, ...], str] = {}
    refused: list[Refused] = []
    kept = []
    for part, source in zip(parts, sources, strict=True):
        columns = [part.table[name].to_pylist() for name in ("species", *BOX_COLUMNS)]
        rows = list(zip(_files(part), *columns, strict=True))
        repeats = [first_with.get(row) for row in rows]
        refused += [
            Refused(i + 1, str(part.table["image"][i]), f"in {source}: repeats {first}")
            for i, first in enumerate(repeats)
            if first is not None
        ]
        for i, row in enumerate(rows):
            first_with.setdefault(row, f"row {i + 1} of {source}")
        kept.append(part.where(np.array([first is None for first in repeats], dtype=bool)))
    return kept, refused


def _number_observations(parts: Sequence[Manifest]) -> tuple[list[Manifest], int]:
    """Make the observation ids different; count those that were changed."""
    seen: set[str] = set()
    renamed = 0
    numbered = []
    for number, part in enumerate(parts, start=1):
        ids = [str(one) for one in part.strings("observation_id")]
        clashes = seen.intersection(ids)
        renamed += len(clashes)
        ids = [f"{number}:{one}" if one in clashes else one for one in ids]
        seen.update(ids)
        numbered.append(Manifest(with_column(part.table, "observation_id", ids), part.root))
    return numbered, renamed


@dataclass(frozen=True)
class _Disc:
    """The smallest that covers some coordinates with their uncertainty, around their mean."""

    centre_2: NDArray[np.float64]
    reach_km: float

    def is_apart(self, other: "_Disc") -> bool:
        gap_km = float(great_circle_km(self.centre_2, other.centre_2))
        return gap_km - self.reach_km - other.reach_km > ANOTHER_PLACE_KM


def _number_elsewhere(parts: Sequence[Manifest], column: str) -> tuple[list[Manifest], int]:
    """Number the ids that an earlier manifest has at another place; count them.

    An id is compared with every camera that has had it, so that what is numbered in the second
    manifest is found again in the third. Without coordinates it is the first of them.
    """
    known: dict[str, dict[str, list[_Disc]]] = defaultdict(dict)
    renamed = 0
    numbered = []
    for number, part in enumerate(parts, start=1):
        new = {}
        for name, discs in _discs(part, column).items():
            same = [
                other
                for other, others in known[name].items()
                if not (discs and others and all(discs[0].is_apart(one) for one in others))
            ]
            new[name] = same[0] if same else f"{number}:{name}" if known[name] else name
            known[name].setdefault(new[name], []).extend(discs)
        renamed += sum(name != old for old, name in new.items())
        ids = [None if name is None else new[name] for name in part.strings(column)]
        numbered.append(Manifest(with_column(part.table, column, ids), part.root))
    return numbered, renamed


def _discs(manifest: Manifest, column: str) -> dict[str, list[_Disc]]:
    """Cover the coordinates of each id by one disc; none for an id without coordinates."""
    rows: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(manifest.strings(column)):
        if name is not None:
            rows[name].append(i)
    latlon_N2 = manifest.latlon_N2()
    unsure_km_N = np.nan_to_num(manifest.floats_N("coordinate_uncertainty_m")) / 1000
    return {name: _disc(latlon_N2[chosen], unsure_km_N[chosen]) for name, chosen in rows.items()}


def _disc(latlon_N2: NDArray[np.float64], unsure_km_N: NDArray[np.float64]) -> list[_Disc]:
    known_N = ~np.isnan(latlon_N2).any(axis=1)
    if not known_N.any():
        return []
    centre_2 = latlon_N2[known_N].mean(axis=0)
    reach_km_N = great_circle_km(centre_2, latlon_N2[known_N]) + unsure_km_N[known_N]
    return [_Disc(centre_2, float(reach_km_N.max()))]


def _reunited(joined: Manifest) -> tuple[Manifest, int, int]:
    """Put divided groups on one side; count the groups, and the rows whose split changed."""
    files = Manifest(with_column(joined.table, "image", _files(joined)), joined.root)
    names, divided = reunite(files)
    moved = sum(old != new for old, new in zip(joined.strings("split"), names, strict=True))
    table = with_column(joined.table, "split", names).cast(schema())
    return Manifest(table, joined.root), divided, moved
