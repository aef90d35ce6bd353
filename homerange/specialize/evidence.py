"""The photos that a place is judged by, and what the heads of a world and a package answer.

The world keeps, for each test photo, the input of the class rows. Logits of any head over the same
features are therefore one matrix product, and any place is judged without a photo.

The answers of the world take the class rows from its weights file; those of the package take them
from the cut model. So a wrong cut shows as other answers.

Where we differ from the device, and why: evidence is stored in half precision, so a photo whose
two best logits differ by less than about 0.1 % may be answered otherwise there.

Axes used in this file:
    N  judged photos     C  classes of the world     K  classes of the package     D  features
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from homerange.errors import WorldError
from homerange.geo.cells import cell_level, mean_edge_km
from homerange.geo.coarse import PUBLISHED_LEVEL
from homerange.geo.place import Place
from homerange.specialize.graph import find_class_rows, load_graph
from homerange.specialize.records import counts_for
from homerange.specialize.species import SpeciesTable
from homerange.world.tables import Evidence
from homerange.world.weights import read_tensor
from homerange.world.world import World

__all__ = ["Answers", "Judged", "answer", "judged_photos", "logits_of_world"]

_PHOTOS_AT_A_TIME = 4096


@dataclass(frozen=True, eq=False)
class Judged:
    """Test photos of the species on a list, and test photos taken at the place."""

    feature_ND: NDArray[np.float16]
    class_N: NDArray[np.int32]
    at_place_N: NDArray[np.bool_]
    """Taken at the place; false everywhere where the place is a list of species."""


@dataclass(frozen=True, eq=False)
class Answers:
    """The class that each head answers for each photo, as an index into the world's classes."""

    dense_N: NDArray[np.int64]
    """The world, choosing among all its classes."""
    masked_N: NDArray[np.int64]
    """The world, choosing among the classes of the package."""
    package_N: NDArray[np.int64]
    """The cut model."""


def judged_photos(world: World, table: SpeciesTable) -> Judged:
    """Select the photos that a place is judged by.

    Args:
        world: The world.
        table: The species of the place.

    Returns:
        Test photos only. A photo was taken at the place where a record of it would count there,
        as certain as its cell is fine; its species need not be on the list, and it may be an
        outcome.
    """
    here = _cells_here(table.place, Evidence.cells(world.path))
    photos = Evidence.read(
        world.path,
        "split = 'test' AND (class_index IN (SELECT unnest($classes::INTEGER[])) "
        "OR cell IN (SELECT unnest($cells::UBIGINT[])))",
        {"classes": [row.class_index for row in table.species], "cells": here.tolist()},
    )
    return Judged(photos.feature, photos.class_index, np.isin(photos.cell, here))


def answer(
    world: World,
    table: SpeciesTable,
    feature_ND: NDArray[np.float16],
    *,
    full: onnx.ModelProto,
    cut: onnx.ModelProto,
) -> Answers:
    """Let the world, the world masked to the list, and the package answer for each photo.

    Args:
        world: The world.
        table: The species of the place.
        feature_ND: The input of the class rows, shape (N, D).
        full: The world's graph; its class rows are read from the weights file.
        cut: The model that was cut to the classes of ``table``; its own class rows are used.

    Raises:
        WorldError: If the features do not fit the class rows.
    """
    names = (world.graph.class_weight, world.graph.class_bias)
    of_world = logits_of_world(world, full)
    kept = {t.name: numpy_helper.to_array(t) for t in cut.graph.initializer if t.name in names}
    of_package = _head(world, cut, kept)
    index_K = table.class_index_K
    answer_3N = np.empty((3, len(feature_ND)), np.int64)
    for start in range(0, len(feature_ND), _PHOTOS_AT_A_TIME):
        part = slice(start, start + _PHOTOS_AT_A_TIME)
        logits_NC = of_world(feature_ND[part])
        answer_3N[0, part] = logits_NC.argmax(axis=1)
        answer_3N[1, part] = index_K[logits_NC[:, index_K].argmax(axis=1)]
        answer_3N[2, part] = index_K[of_package(feature_ND[part]).argmax(axis=1)]
    return Answers(*answer_3N)


def logits_of_world(
    world: World, full: onnx.ModelProto | None = None
) -> Callable[[NDArray[np.float16]], NDArray[np.float32]]:
    """Make the function from features (N, D) to the logits (N, C) of all classes of a world.

    Args:
        world: The world; its class rows are read from the weights file.
        full: Its graph, where it is loaded already.
    """
    names = (world.graph.class_weight, world.graph.class_bias)
    tensors = {name: read_tensor(world.weights_path, name) for name in names}
    return _head(world, full or load_graph(world), tensors)


def _cells_here(place: Place, cell_N: NDArray[np.uint64]) -> NDArray[np.uint64]:
    # Every photo is in a cell of level 8 at best, however exact its coordinates are; it is in a
    # coarser one because they are about as uncertain as that cell is wide.
    unsure_km_N = np.array(
        [
            mean_edge_km(level) if level < PUBLISHED_LEVEL else 0.0
            for level in cell_level(cell_N).tolist()
        ]
    )
    return cell_N[counts_for(place, cell_N, unsure_km_N)]


def _head(
    world: World, model: onnx.ModelProto, tensors: Mapping[str, NDArray[np.floating]]
) -> Callable[[NDArray[np.float16]], NDArray[np.float32]]:
    """Make the function from features (N, D) to the logits of a head."""
    rows = find_class_rows(model.graph, world.graph)
    weight = tensors[rows.weight].astype(np.float32)
    weight_DC = weight.T if rows.weight_axis == 0 else weight
    bias_C = tensors[rows.bias].astype(np.float32).reshape(-1)

    def logits(feature_ND: NDArray[np.float16]) -> NDArray[np.float32]:
        """Return the logits (N, C) of features (N, D)."""
        if feature_ND.shape[1] != len(weight_DC):
            raise WorldError(
                f"{world.path / Evidence.file}: a photo has {feature_ND.shape[1]} features; the "
                f"class rows take {len(weight_DC)}. Publish the world again"
            )
        logits_NC: NDArray[np.float32] = feature_ND.astype(np.float32) @ weight_DC + bias_C
        return logits_NC

    return logits
