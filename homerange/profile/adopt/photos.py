"""An adopted network over the photos of a manifest, by the runtime that the device will use.

Axes used in this file:
    B  photos of a batch      N  photos that could be read      C  classes
"""

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from homerange.data.answers import Answers, Unreadable, check_readable, class_indices
from homerange.data.images import Preprocessing, prepare
from homerange.data.manifest import Manifest
from homerange.errors import ImageError, ManifestError
from homerange.profile.adopt.write import FEATURES, NAMES, open_session
from homerange.progress import progress

__all__ = ["answer_photos"]

BATCH = 4


def answer_photos(
    model: onnx.ModelProto,
    preprocessing: Preprocessing,
    manifest: Manifest,
    classes: Sequence[str],
) -> Answers:
    """Run the graph of a world over every photo of a manifest.

    Args:
        model: The graph, with its weights.
        preprocessing: How photos are prepared.
        manifest: The photos.
        classes: Names of the class rows.

    Raises:
        ManifestError: If there are photos and none of them can be read.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, None))
    session = open_session(watched)
    unreadable: list[Unreadable] = []
    rows: list[int] = []
    found = []
    with progress("adopt", len(manifest), unit="photos") as step:
        for row_B, rgb_BHW3 in _batches(manifest, preprocessing, unreadable):
            found.append(session.run([FEATURES, NAMES.output], {NAMES.input: rgb_BHW3}))
            rows += row_B
            step(len(row_B))
    check_readable(manifest, unreadable)
    class_N = np.array(class_indices(manifest, classes), np.int64)
    features, logits = zip(*found, strict=True) if found else ([], [])
    return Answers(
        np.array(rows, np.int64),
        class_N[rows],
        np.concatenate(features) if found else np.empty((0, 0), np.float32),
        np.concatenate(logits) if found else np.empty((0, len(classes)), np.float32),
        unreadable,
    )


def _batches(
    manifest: Manifest, preprocessing: Preprocessing, unreadable: list[Unreadable]
) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Prepare photos a few at a time; those that cannot be read are put aside with the reason."""
    waiting: list[tuple[int, NDArray[np.uint8]]] = []
    for row, image in enumerate(manifest.strings("image")):
        try:
            path, box = manifest.image_path(row), manifest.bbox(row)
            waiting.append((row, prepare(path, preprocessing, box)))
        except (ImageError, ManifestError) as error:
            unreadable.append(Unreadable(row, image or "", str(error)))
        if len(waiting) == BATCH:
            yield [row for row, _ in waiting], np.stack([rgb_HW3 for _, rgb_HW3 in waiting])
            waiting = []
    if waiting:
        yield [row for row, _ in waiting], np.stack([rgb_HW3 for _, rgb_HW3 in waiting])
