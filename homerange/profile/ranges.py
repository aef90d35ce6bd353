"""What the values of a world's graph span: smallest and largest number, by class.

An int8 model needs to know the range of each value that goes into or comes out of a product. It is
measured on the graph itself, by the runtime that will run it, photo by photo; so the range of any
place is the union of those of its species, and making its int8 model needs no photo.

Axes used in this file:
    C  classes      V  values of the graph
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from homerange.data.manifest import Manifest
from homerange.model.checkpoint import CheckpointConfig
from homerange.profile.export import GRAPH, INPUT
from homerange.progress import progress
from homerange.train.dataset import PlainPhotos, loader
from homerange.world.parquet import strings
from homerange.world.ranges import Ranges

__all__ = ["activation_ranges", "measured_values"]

BATCH = 16
PRODUCTS = ("Conv", "Gemm", "MatMul")
ONLY_SHAPE = ("Shape", "Size")
"""Nodes whose answer depends on the shape of a photo, not on what it shows."""
ERRORS_ONLY = 3


def activation_ranges(folder: Path, config: CheckpointConfig, judged: Manifest) -> Ranges:
    """Run the validation photos of known classes through the graph of a world.

    Args:
        folder: Holds ``graph.onnx`` and its weights.
        config: For classes and preprocessing.
        judged: Photos; those of the split ``val`` are run. Unreadable ones are left out.
    """
    model = onnx.load(str(folder / GRAPH))
    values = measured_values(model.graph)
    session = _extremes(model, values)
    val = judged.split("val")
    low_CV = np.full((len(config.classes), len(values)), np.inf, np.float32)
    high_CV = -low_CV
    photos_C = np.zeros(len(config.classes), np.int64)
    photos = PlainPhotos(val, config.classes, config.preprocessing)
    with progress("ranges", len(val), unit="photos") as step:
        for batch in loader(photos, batch_size=BATCH, workers=2):
            step(len(batch.unreadable))
            for pixels_3HW, label in zip(batch.pixels_B3HW, batch.class_B.tolist(), strict=True):
                step()
                if label < 0:
                    continue
                rgb_HW3 = np.ascontiguousarray(pixels_3HW.permute(1, 2, 0).numpy())
                ends_2V = np.array(session.run(None, {INPUT: rgb_HW3[None]})).reshape(2, -1)
                low_CV[label] = np.minimum(low_CV[label], ends_2V[0])
                high_CV[label] = np.maximum(high_CV[label], ends_2V[1])
                photos_C[label] += 1
    known = np.flatnonzero(photos_C)
    return Ranges(
        class_index=np.repeat(known, len(values)).astype(np.int32),
        value=strings(values * len(known)),
        low=low_CV[known].ravel(),
        high=high_CV[known].ravel(),
    )


def measured_values(graph: onnx.GraphProto) -> list[str]:
    """Name what goes into and comes out of products, and the outputs, in the order of the nodes.

    Weights are left out, and what is computed from weights alone; so are weights that a token
    fetches, whose range is that of the weights.

    Args:
        graph: Its nodes are in the order in which they can run.
    """
    moving = {value.name for value in graph.input}
    found: list[str] = []
    for node in graph.node:
        sources = node.input[:1] if node.op_type == "Gather" else node.input
        if node.op_type in ONLY_SHAPE or moving.isdisjoint(sources):
            continue
        moving.update(node.output)
        if node.op_type in PRODUCTS:
            found += [name for name in (*node.input, *node.output) if name in moving]
    return list(dict.fromkeys([*found, *(value.name for value in graph.output)]))


def _extremes(model: onnx.ModelProto, values: list[str]) -> ort.InferenceSession:
    """Make the graph answer with the smallest and then the largest number of each value."""
    del model.graph.output[:]
    for op in ("ReduceMin", "ReduceMax"):
        for i, value in enumerate(values):
            name = f"{op}/{i}"
            model.graph.node.append(helper.make_node(op, [value], [name], name=name, keepdims=0))
            model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, []))
    options = ort.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
