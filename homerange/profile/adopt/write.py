"""An adopted network as ``graph.onnx`` and ``weights.safetensors``, in the form of every world.

Nodes in front of it turn the bytes of a photo into what it was trained on; behind it stand class
rows of ours, the class on the first axis, and nothing after them. That both give the same answers
is tried out on pixels before a world is written.

Axes used in this file:
    B  photos     C  classes
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from homerange.errors import ModelError
from homerange.profile.adopt.network import INPUT_TYPES, PREFIX, Network
from homerange.profile.adopt.pixels import Pixels
from homerange.specialize.cut import forget_the_exporter
from homerange.specialize.graph import point_at
from homerange.specialize.last_layer import nodes_behind
from homerange.world.description import Graph
from homerange.world.weights import read_header

__all__ = ["FEATURES", "NAMES", "check_same_answers", "open_session", "world_graph", "write_graph"]

NAMES = Graph(
    input="image",
    output="logits",
    class_weight="head.classes.weight",
    class_bias="head.classes.bias",
    experts=(),
    drop_rule="reroute",
)
"""What the values of an adopted graph are called."""

FEATURES = "features"
"""Value that goes into the class rows."""

GRAPH, WEIGHTS = "graph.onnx", "weights.safetensors"

STAYS_INSIDE_UP_TO = 16
"""Tensors of so few numbers may be settings that the runtime and the counting need to see."""

TOLERANCE = 1e-3
"""Of the largest answer. Half precision has about as many digits."""

PHOTOS_TRIED = 2
ERRORS_ONLY = 3


def world_graph(network: Network, pixels: Pixels) -> onnx.ModelProto:
    """Join the nodes for pixels, the network up to its features, and class rows of ours."""
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    graph = model.graph
    before, constants = _from_bytes(network, pixels)
    last = network.last
    constants += [
        numpy_helper.from_array(last.weight_CD, NAMES.class_weight),
        numpy_helper.from_array(last.bias_C, NAMES.class_bias),
    ]
    nodes = nodes_behind(NAMES.output, [*before, *graph.node, *_class_rows(network)])
    used = {name for node in nodes for name in node.input}
    tensors = [tensor for tensor in (*graph.initializer, *constants) if tensor.name in used]
    px, classes = network.input_px, len(last.bias_C)
    del graph.node[:], graph.initializer[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)
    graph.input.append(
        helper.make_tensor_value_info(NAMES.input, TensorProto.UINT8, ["batch", px, px, 3])
    )
    graph.output.append(
        helper.make_tensor_value_info(NAMES.output, TensorProto.FLOAT, ["batch", classes])
    )
    graph.name = "adopted"
    forget_the_exporter(model)
    return model


def write_graph(model: onnx.ModelProto, folder: Path) -> None:
    """Write the two files of a graph; its weights move into the second.

    Raises:
        ModelError: If ONNX finds the graph broken.
    """
    outside = [tensor for tensor in model.graph.initializer if _is_weight(tensor)]
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in outside}
    save_file(values, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # the library makes a file that only its owner may read
    stored = read_header(folder / WEIGHTS)
    for tensor in outside:
        point_at(tensor, folder / WEIGHTS, stored[tensor.name])
    (folder / GRAPH).write_bytes(model.SerializeToString(deterministic=True))
    try:
        onnx.checker.check_model(str(folder / GRAPH))
    except onnx.checker.ValidationError as error:
        raise ModelError(f"is no valid ONNX graph: {str(error).splitlines()[0]}") from error


def check_same_answers(network: Network, pixels: Pixels, model: onnx.ModelProto) -> float:
    """Ask the network and the graph that was made of it about the same drawn pixels.

    Args:
        network: As it came, its pixels prepared outside.
        pixels: How.
        model: The graph of the world, with its weights.

    Returns:
        The largest difference of two answers, as a share of the largest answer.

    Raises:
        ModelError: If the answers differ, or the graph cannot take two photos at once.
    """
    px = network.input_px
    shape = (PHOTOS_TRIED, px, px, 3)
    rgb_BHW3 = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    given = pixels.apply(rgb_BHW3, channels_first=network.channels_first)
    theirs = _open(network.model, network.path)
    kind = INPUT_TYPES[network.input_type]
    wanted = [_answer(theirs, network, photo[None].astype(kind)) for photo in given]
    try:
        (logits_BC,) = open_session(model).run([NAMES.output], {NAMES.input: rgb_BHW3})
    except Exception as error:  # the runtime has a dozen error classes of its own
        raise ModelError(
            f"{network.path}: cannot take {PHOTOS_TRIED} photos at once ({_first_line(error)}). "
            "Export it again with an open batch axis"
        ) from error
    wanted_BC = np.stack(wanted)
    found_BC = _ended(logits_BC.astype(np.float64), network.last.ending)
    top = max(float(np.abs(wanted_BC).max()), 1e-6)
    difference = float(np.abs(found_BC - wanted_BC).max()) / top
    found_at = network.last.features.removeprefix(PREFIX)
    if not difference <= TOLERANCE:  # also where it is no number
        raise ModelError(
            f"{network.path}: its class rows were found at {found_at!r}, but give "
            f"other answers than the model ({difference:.2g} of the largest). Something other "
            "than a linear layer makes them; export the model so that its output is the logits"
        )
    return difference


def open_session(model: onnx.ModelProto) -> ort.InferenceSession:
    """Load a model that has its weights inside."""
    options = ort.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    data = model.SerializeToString()
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _from_bytes(
    network: Network, pixels: Pixels
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Write the nodes from ``image`` to the network's own input, only those that do something."""
    std_3 = np.array(pixels.std)
    numbers = {
        "pixels.factor": (1 / (pixels.scale * std_3)).astype(np.float32),
        "pixels.offset": (-np.array(pixels.mean) / std_3).astype(np.float32),
        "pixels.order": np.array([2, 1, 0], np.int64),
    }
    steps: list[tuple[str, str, dict[str, Any]]] = []
    if pixels.colours == "bgr":
        steps.append(("Gather", "pixels.order", {"axis": 3}))
    if network.input_type != TensorProto.UINT8:
        steps.append(("Cast", "", {"to": TensorProto.FLOAT}))
    if not pixels.neutral:
        steps += [("Mul", "pixels.factor", {}), ("Add", "pixels.offset", {})]
    if network.channels_first:
        steps.append(("Transpose", "", {"perm": [0, 3, 1, 2]}))
    if network.input_type in (TensorProto.FLOAT16, TensorProto.DOUBLE):
        steps.append(("Cast", "", {"to": network.input_type}))
    nodes, value = [], NAMES.input
    for i, (op, constant, settings) in enumerate(steps or [("Identity", "", {})]):
        result = network.input if i >= len(steps) - 1 else f"pixels.{i}"
        given = [value, constant] if constant else [value]
        nodes.append(helper.make_node(op, given, [result], name=f"pixels/{i}", **settings))
        value = result
    return nodes, [numpy_helper.from_array(values, name) for name, values in numbers.items()]


def _class_rows(network: Network) -> list[onnx.NodeProto]:
    """Write the nodes from the features of the network to the logits."""
    steps: list[tuple[str, dict[str, Any]]] = [("Cast", {"to": TensorProto.FLOAT})]
    if network.last.kind == "Conv":
        steps.append(("GlobalAveragePool", {}))
    steps.append(("Flatten", {"axis": 1}))
    nodes, value = [], network.last.features
    for i, (op, settings) in enumerate(steps):
        result = FEATURES if i == len(steps) - 1 else f"features.{i}"
        nodes.append(helper.make_node(op, [value], [result], name=f"features/{i}", **settings))
        value = result
    rows = [FEATURES, NAMES.class_weight, NAMES.class_bias]
    return [*nodes, helper.make_node("Gemm", rows, [NAMES.output], name="head", transB=1)]


def _is_weight(tensor: onnx.TensorProto) -> bool:
    if tensor.name in (NAMES.class_weight, NAMES.class_bias):
        return True
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    return tensor.data_type in floats and np.prod(tensor.dims) > STAYS_INSIDE_UP_TO


def _open(model: onnx.ModelProto, path: Path) -> ort.InferenceSession:
    try:
        return open_session(model)
    except Exception as error:  # as above
        raise ModelError(
            f"{path}: the runtime (onnxruntime {ort.__version__}) cannot load it: "
            f"{_first_line(error)}"
        ) from error


def _answer(
    theirs: ort.InferenceSession, network: Network, photo: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Ask the network as it came about one photo, in as large a batch as it insists on."""
    (port,) = theirs.get_inputs()
    size = port.shape[0] if isinstance(port.shape[0], int) else 1
    try:
        (answer,) = theirs.run([network.output], {network.input: np.repeat(photo, size, axis=0)})
    except Exception as error:  # as above
        raise ModelError(
            f"{network.path}: the runtime stops on a photo of {network.input_px} x "
            f"{network.input_px} pixels: {_first_line(error)}"
        ) from error
    found: NDArray[np.float64] = answer[0].astype(np.float64).reshape(-1)
    return found


def _ended(logits_BC: NDArray[np.float64], ending: str) -> NDArray[np.float64]:
    """Do to logits what the network does to its own."""
    if not ending:
        return logits_BC
    shifted_BC = logits_BC - logits_BC.max(axis=1, keepdims=True)
    log_BC: NDArray[np.float64] = shifted_BC - np.log(np.exp(shifted_BC).sum(1, keepdims=True))
    return np.exp(log_BC) if ending == "Softmax" else log_BC


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
