"""The model of a package: its class rows, what goes into them for photos, and other rows in it.

Axes used in this file:
    B  photos of a batch      N  photos that could be read      D  features
"""

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no stubs
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from homerange.data.images import prepare
from homerange.errors import ImageError, ModelError, PackageError
from homerange.progress import progress
from homerange.specialize.adapt.corrections import Correction, LeftOut
from homerange.specialize.adapt.refit import Rows
from homerange.specialize.last_layer import LastLayer, find_last_layer, nodes_behind
from homerange.world.place_package import PlacePackage

__all__ = ["features_of", "open_model", "with_rows"]

BATCH = 4
ERRORS_ONLY = 3


def open_model(package: PlacePackage) -> tuple[onnx.ModelProto, LastLayer]:
    """Read the model of a package and find its class rows.

    Raises:
        PackageError: If the class rows cannot be found, or are not one for each label.
    """
    try:
        model = onnx.load_from_string(package.model)
        last = find_last_layer(model, package.output_name)
    except (ModelError, DecodeError) as error:
        raise PackageError(
            f"{package.path}: its class rows cannot be found, so it cannot be adapted: {error}"
        ) from error
    if last.kind == "Conv" or last.ending or len(last.weight_CD) != len(package.labels):
        raise PackageError(
            f"{package.path}: has {len(last.weight_CD)} class rows ({last.kind}) for "
            f"{len(package.labels)} labels; expected one for each, and logits behind them"
        )
    return model, last


def features_of(
    package: PlacePackage,
    model: onnx.ModelProto,
    last: LastLayer,
    corrections: Sequence[Correction],
) -> tuple[NDArray[np.float32], list[int], list[LeftOut]]:
    """Run photos up to the class rows.

    Returns:
        Features, shape (N, D); the numbers of the corrections that they belong to; and the photos
        that could not be read.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.append(
        helper.make_tensor_value_info(last.features, TensorProto.FLOAT, None)
    )
    options = ort.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    session = ort.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    left_out: list[LeftOut] = []
    read: list[int] = []
    found = []
    with progress("adapt", len(corrections), unit="photos") as step:
        for number_B, rgb_BHW3 in _batches(package, corrections, left_out):
            (feature_BD,) = session.run([last.features], {package.input_name: rgb_BHW3})
            found.append(feature_BD.reshape(len(rgb_BHW3), -1))
            read += number_B
            step(len(number_B))
    size = last.weight_CD.shape[1]
    feature_ND = np.concatenate(found) if found else np.empty((0, size), np.float32)
    return feature_ND.astype(np.float32), read, left_out


def with_rows(package: PlacePackage, model: onnx.ModelProto, last: LastLayer, rows: Rows) -> bytes:
    """Return the model with other class rows, as many as there are now; all else stays.

    Args:
        package: Where the model is from.
        model: Its graph.
        last: Where its class rows are.
        rows: The new ones.
    """
    output = package.output_name
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    weight, bias = "head.classes.weight", "head.classes.bias"
    head = helper.make_node("Gemm", [last.features, weight, bias], [output], "head", transB=1)
    before = nodes_behind(last.features, graph.node)
    used = {name for node in before for name in node.input}
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    tensors += [
        numpy_helper.from_array(rows.weight_CD, weight),
        numpy_helper.from_array(rows.bias_C, bias),
    ]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend([*before, head])
    graph.initializer.extend(tensors)
    for port in graph.output:
        port.type.tensor_type.shape.dim[-1].dim_value = len(rows.bias_C)
    onnx.checker.check_model(changed)
    data: bytes = changed.SerializeToString(deterministic=True)
    return data


def _batches(
    package: PlacePackage, corrections: Sequence[Correction], left_out: list[LeftOut]
) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Prepare photos a few at a time; those that cannot be read are put aside with the reason."""
    waiting: list[tuple[int, NDArray[np.uint8]]] = []
    for number, one in enumerate(corrections):
        try:
            waiting.append((number, prepare(one.path, package.preprocessing)))
        except ImageError as error:
            left_out.append(LeftOut(one.file, str(error).removeprefix(f"{one.path}: ")))
        if len(waiting) == BATCH or (waiting and number == len(corrections) - 1):
            yield [i for i, _ in waiting], np.stack([rgb_HW3 for _, rgb_HW3 in waiting])
            waiting = []
