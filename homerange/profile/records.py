"""What a world says about places: occurrence, profile and evidence, made coarse before written.

No coordinate passes this file: a photo's place becomes an S2 cell of level 8 (about 36 km) or
coarser where the coordinate is less certain than that, and records become bands of counts.

Axes used in this file:
    N  photos or records      C  classes
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from homerange.data.answers import Answers
from homerange.data.importers.occurrences import Records
from homerange.data.manifest import Manifest
from homerange.data.metrics import in_top
from homerange.data.names import OUTCOMES
from homerange.geo.coarse import UNCERTAINTY_BANDS_KM, coarse_cells
from homerange.world.occurrences import EXTRA
from homerange.world.parquet import strings
from homerange.world.tables import Evidence, Occurrence, Profile, count_band

__all__ = ["added_occurrence", "evidence", "occurrence", "profile_counts", "published_cells"]

RECORD_SPLITS = ("train", "val")
"""Test photos stay out of the occurrence, so that a list can be judged on them."""


def published_cells(manifest: Manifest) -> NDArray[np.uint64]:
    """Return the S2 cell of each photo as it may be published, shape (N,); 0 for no coordinates."""
    return coarse_cells(manifest.latlon_N2(), _uncertainty_km(manifest))


def occurrence(manifest: Manifest) -> Occurrence:
    """Count records by species, cell, month, split and uncertainty; put the counts into bands.

    The uncertainty of a row is the largest of its band, so that one vague record does not take
    the vote of exact ones.
    """
    species_N = np.array([name or "" for name in manifest.strings("species")])
    split_N = np.array([name or "" for name in manifest.strings("split")])
    is_record_N = (
        (species_N != "") & ~np.isin(species_N, OUTCOMES) & np.isin(split_N, RECORD_SPLITS)
    )
    return _counted(
        species=species_N,
        cell=np.where(is_record_N, published_cells(manifest), np.uint64(0)),
        month=np.array([_month(time) for time in manifest.strings("datetime")], np.int8),
        source=split_N,
        uncertainty_km=_uncertainty_km(manifest),
    )


def added_occurrence(records: Records) -> Occurrence:
    """Count records that are no photos of a world, as its source ``extra``; those of ``test`` not.

    The same bands and cells as in :func:`occurrence`; a table of records has no months.
    """
    uncertainty_km_N = records.uncertainty_km_N.astype(np.float32)
    cell_N = coarse_cells(records.latlon_N2, uncertainty_km_N)
    return _counted(
        species=records.species_N,
        cell=np.where(records.split_N == "test", np.uint64(0), cell_N),
        month=np.zeros(len(cell_N), np.int8),
        source=np.full(len(cell_N), EXTRA),
        uncertainty_km=uncertainty_km_N,
    )


def _counted(
    *,
    species: NDArray[np.str_],
    cell: NDArray[np.uint64],
    month: NDArray[np.int8],
    source: NDArray[np.str_],
    uncertainty_km: NDArray[np.float32],
) -> Occurrence:
    """Count the records of each kind, shape (N,) each; those of cell 0 are left out."""
    columns = {
        "species": pa.array(species.tolist(), pa.string()),
        "cell": cell,
        "month": month,
        "source": pa.array(source.tolist(), pa.string()),
        "band": np.digitize(uncertainty_km, UNCERTAINTY_BANDS_KM, right=True),
        "uncertainty_km": uncertainty_km,
    }
    keys = ["species", "cell", "month", "source", "band"]
    grouped = (
        pa.table(columns)
        .filter(pa.array(cell != 0))
        .group_by(keys)
        .aggregate([("uncertainty_km", "max"), ("cell", "count")])
        .sort_by([(key, "ascending") for key in keys])
    )
    return Occurrence(
        species=strings(grouped["species"].to_pylist()),
        cell=grouped["cell"].to_numpy().astype(np.uint64),
        month=grouped["month"].to_numpy().astype(np.int8),
        source=strings(grouped["source"].to_pylist()),
        uncertainty_km=grouped["uncertainty_km_max"].to_numpy().astype(np.float32),
        count_band=count_band(grouped["cell_count"].to_numpy().astype(np.int64)),
    )


def evidence(manifest: Manifest, answers: Answers) -> Evidence:
    """Keep, for each judged photo of a known class, the input of the class rows."""
    known_N = answers.class_N >= 0
    row_N = answers.row_N[known_N]
    sequences = [manifest.strings("sequence_id")[row] for row in row_N.tolist()]
    number = {name: i for i, name in enumerate(sorted({name for name in sequences if name}))}
    return Evidence(
        class_index=answers.class_N[known_N].astype(np.int32),
        cell=published_cells(manifest)[row_N],
        split=_texts(manifest, "split", row_N),
        sequence=np.array([number[name] if name else -1 for name in sequences], np.int32),
        source=_texts(manifest, "source", row_N),
        feature=answers.features_ND[known_N].astype(np.float16),
    )


def profile_counts(manifest: Manifest, answers: Answers) -> Profile:
    """Count the full world's right answers and sum its losses by class, cell and split."""
    known_N = answers.class_N >= 0
    row_N, class_N = answers.row_N[known_N], answers.class_N[known_N]
    logits_NC = answers.logits_NC[known_N].astype(np.float64)
    table = pa.table(
        {
            "class_index": class_N.astype(np.int32),
            "cell": published_cells(manifest)[row_N],
            "split": pa.array(_texts(manifest, "split", row_N).tolist(), pa.string()),
            "photos": np.ones(len(row_N), np.int32),
            "correct": in_top(logits_NC, class_N, 1).astype(np.int32),
            "correct_top5": in_top(logits_NC, class_N, 5).astype(np.int32),
            "loss_sum": _cross_entropy(logits_NC, class_N),
        }
    )
    keys, sums = ["class_index", "cell", "split"], ["photos", "correct", "correct_top5", "loss_sum"]
    grouped = table.group_by(keys).aggregate([(name, "sum") for name in sums])
    grouped = grouped.sort_by([(key, "ascending") for key in keys])
    return Profile(
        class_index=grouped["class_index"].to_numpy().astype(np.int32),
        cell=grouped["cell"].to_numpy().astype(np.uint64),
        split=strings(grouped["split"].to_pylist()),
        photos=grouped["photos_sum"].to_numpy().astype(np.int32),
        correct=grouped["correct_sum"].to_numpy().astype(np.int32),
        correct_top5=grouped["correct_top5_sum"].to_numpy().astype(np.int32),
        loss_sum=grouped["loss_sum_sum"].to_numpy().astype(np.float64),
    )


def _uncertainty_km(manifest: Manifest) -> NDArray[np.float32]:
    metres_N = manifest.table["coordinate_uncertainty_m"].to_numpy().astype(np.float32)
    km_N: NDArray[np.float32] = np.nan_to_num(metres_N, nan=0.0) / np.float32(1000)
    return km_N


def _month(time: str | None) -> int:
    return int(time[5:7]) if time and len(time) >= 7 else 0


def _texts(manifest: Manifest, column: str, row_N: NDArray[np.int64]) -> NDArray[np.object_]:
    values = manifest.strings(column)
    return strings(values[row] or "" for row in row_N.tolist())


def _cross_entropy(
    logits_NC: NDArray[np.float64], class_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    top_N1 = logits_NC.max(axis=1, keepdims=True)
    total_N = np.log(np.exp(logits_NC - top_N1).sum(axis=1)) + top_N1[:, 0]
    own_N = np.take_along_axis(logits_NC, class_N[:, None], axis=1)[:, 0]
    loss_N: NDArray[np.float64] = total_N - own_N
    return loss_N
