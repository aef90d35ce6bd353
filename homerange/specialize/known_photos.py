"""Photos whose species somebody knows, to measure models of a place on.

One half chooses among the models and the other half says how good the chosen one is, so that the
number is not that of the luckiest. Where the list has a column ``split``, ``val`` chooses and
``test`` reports; else the names of the files decide, always in the same way.

Axes used in this file:
    N  photos      B  photos of a batch      K  labels of the package
"""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from homerange.data.images import Preprocessing, prepare
from homerange.data.names import class_key
from homerange.errors import ImageError, ManifestError
from homerange.progress import progress
from homerange.specialize.levers import Levers

__all__ = ["KnownPhoto", "answer_photos", "read_known_photos"]

FILE_COLUMNS = ("file", "path", "image", "filepath")
LIST_IN_FOLDER = "manifest.csv"
BATCH = 4
_ONLY_FATAL = 4


@dataclass(frozen=True)
class KnownPhoto:
    """A photo and what it shows."""

    path: Path
    species: str
    chooses: bool
    """Else it reports."""


def read_known_photos(source: Path) -> list[KnownPhoto]:
    """Read a list of photos with their species.

    Args:
        source: A ``.csv`` with columns ``file`` (or ``path``, ``image``, ``filepath``) and
            ``species``, as ``homerange photos`` writes it; or a folder with such a
            ``manifest.csv``. Names are relative to its folder. Rows of split ``train``, and those
            without a species, are left out.

    Raises:
        ManifestError: If there is no such list, or no photo to choose by or to report on.
    """
    path = source / LIST_IN_FOLDER if source.is_dir() else source
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, restval=""))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(
            f"{path}: cannot be read as a list of photos ({error}). Expected a .csv with the "
            "columns file and species, as written by: homerange photos"
        ) from error
    columns = list(rows[0]) if rows else []
    named = next((name for name in FILE_COLUMNS if name in columns), None)
    if named is None or "species" not in columns:
        raise ManifestError(
            f"{path}: has the columns {', '.join(map(str, columns)) or 'nothing'}; expected file "
            "and species"
        )
    found = []
    for row in rows:
        species, split = class_key(row["species"] or ""), row.get("split") or ""
        if species and row[named] and split != "train":
            chooses = split == "val" if split else _chooses(row[named])
            found.append(KnownPhoto(path.parent / row[named], species, chooses))
    choosing = sum(photo.chooses for photo in found)
    if not choosing or choosing == len(found):
        raise ManifestError(
            f"{path}: {choosing} photos to choose by and {len(found) - choosing} to report on; "
            "expected some of both. Give more photos, or a column split with val and test"
        )
    return found


def _chooses(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[0] % 2 == 0


def answer_photos(
    models: Mapping[Levers, bytes],
    photos: Sequence[KnownPhoto],
    labels: Sequence[str],
    preprocessing: Preprocessing,
) -> dict[Levers, NDArray[np.bool_]]:
    """Say which photos each model answers rightly, shape (N,); one that cannot be read is wrong.

    Args:
        models: By their levers; each photo is prepared once for each side.
        photos: The photos.
        labels: Of the models, in the order of their logits.
        preprocessing: Of the world; the side is that of each model.
    """
    right = {levers: np.zeros(len(photos), bool) for levers in models}
    index_of = {label: index for index, label in enumerate(labels)}
    truth_N = np.array([index_of.get(photo.species, -1) for photo in photos])
    sides_px = sorted({levers.input_px for levers in models})
    with progress("measure", len(photos) * len(sides_px), unit="photos") as step:
        for side_px in sides_px:
            prepared = replace(preprocessing, input_px=side_px)
            sessions = {
                levers: _session(model)
                for levers, model in models.items()
                if levers.input_px == side_px
            }
            for start in range(0, len(photos), BATCH):
                batch = photos[start : start + BATCH]
                at_N, rgb_BHW3 = _prepare(batch, prepared)
                step(len(batch))
                if not len(at_N):
                    continue
                for levers, session in sessions.items():
                    (logits_BK,) = session.run(None, {session.get_inputs()[0].name: rgb_BHW3})
                    answer_B = logits_BK.argmax(axis=1)
                    right[levers][start + at_N] = answer_B == truth_N[start + at_N]
    return right


def _prepare(
    batch: Sequence[KnownPhoto], preprocessing: Preprocessing
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Prepare the photos that can be read; return which they are, and their pixels."""
    at, pixels = [], []
    for i, photo in enumerate(batch):
        try:
            pixels.append(prepare(photo.path, preprocessing))
        except (ImageError, OSError):
            continue
        at.append(i)
    return np.array(at, np.int64), np.stack(pixels) if pixels else np.zeros(0, np.uint8)


def _session(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = _ONLY_FATAL
    options.enable_mem_pattern = False
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
