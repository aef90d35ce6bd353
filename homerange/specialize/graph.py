"""The graph of a world, and where its class rows lie: the last weights, one row for each class.

The head is recognised by the names in ``world.json``: a ``Gemm``, or a ``MatMul`` with an ``Add``
behind it, whose result is the output of the graph. Anything else is refused: a head that is cut in
the wrong place still runs, and answers nonsense.

Axes used in this file:
    C  classes     D  features
"""

from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no stubs
from onnx import helper

from homerange.errors import WorldError
from homerange.specialize.expert_graph import Nodes
from homerange.world.description import Graph
from homerange.world.weights import StoredTensor
from homerange.world.world import World

__all__ = ["ClassRows", "attribute", "find_class_rows", "load_graph", "point_at", "replace_nodes"]


@dataclass(frozen=True)
class ClassRows:
    """Where the class rows lie in a graph, and which of their axes counts the classes."""

    weight: str
    weight_axis: int
    """0 for a weight of shape (C, D), 1 for (D, C)."""
    bias: str


def load_graph(world: World) -> onnx.ModelProto:
    """Read the graph of a world without its weights.

    Raises:
        WorldError: If the file is no ONNX graph.
    """
    try:
        return onnx.load(world.graph_path, load_external_data=False)
    except DecodeError as error:
        raise WorldError(
            f"{world.graph_path}: is no ONNX graph ({error}). Publish the world again"
        ) from error


def find_class_rows(graph: onnx.GraphProto, names: Graph) -> ClassRows:
    """Find the node that multiplies features with the class rows.

    Args:
        graph: The graph of a world, or a model cut from one.
        names: What ``world.json`` calls its weight, bias and output.

    Raises:
        WorldError: If the weight is not used exactly once, by a ``Gemm`` or by a ``MatMul`` with
            an ``Add`` of the bias behind it, or if anything stands between that and the output.
    """
    product, axis = _product(graph, names.class_weight)
    last, bias = product, list(product.input[2:])
    if product.op_type == "MatMul":
        last = _only_user(graph, product.output[0])
        bias = [name for name in last.input if name != product.output[0]]
    if last.op_type not in ("Gemm", "Add") or bias != [names.class_bias]:
        raise WorldError(
            f"the class rows {names.class_weight!r} are not followed by an addition of "
            f"{names.class_bias!r}, but by {last.op_type} with {bias or 'nothing'}"
        )
    _only_user(graph, names.class_bias)
    if last.output[0] != names.output:
        raise WorldError(
            f"the class rows give {last.output[0]!r}, which is not the graph's output "
            f"{names.output!r}; a head can be cut only where nothing comes behind it"
        )
    return ClassRows(names.class_weight, axis, names.class_bias)


def replace_nodes(graph: onnx.GraphProto, old: set[str], new: Nodes) -> None:
    """Put new nodes where old ones were, and the constants that they need; in place.

    Args:
        graph: A graph whose nodes have names.
        old: Names of the nodes to remove; their constants go too, unless others need them.
        new: What to write where the first of them stood.
    """
    first = next(i for i, node in enumerate(graph.node) if node.name in old)
    kept = [node for node in graph.node if node.name not in old]
    nodes = [*kept[:first], *new.nodes, *kept[first:]]
    lost = {name for node in graph.node if node.name in old for name in node.input}
    needed = {name for node in nodes for name in node.input}
    tensors = [t for t in graph.initializer if t.name not in lost - needed]
    names = {tensor.name for tensor in new.constants}
    tensors = [*(t for t in tensors if t.name not in names), *new.constants]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)


def point_at(tensor: onnx.TensorProto, weights: Path, stored: StoredTensor) -> None:
    """Make a tensor take its values from where they lie in a weights file beside the graph."""
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    facts = {"location": weights.name, "offset": stored.offset_bytes, "length": stored.size_bytes}
    for key, value in facts.items():
        tensor.external_data.add(key=key, value=str(value))


def _product(graph: onnx.GraphProto, weight: str) -> tuple[onnx.NodeProto, int]:
    """Find the product of features and class rows, and the axis of the weight that is C."""
    node = _only_user(graph, weight)
    axis, factor = 1, weight  # a product takes the columns of its second factor as classes
    if node.op_type == "Transpose":
        axis, factor = 0, node.output[0]
        node = _only_user(graph, factor)
    if node.op_type not in ("Gemm", "MatMul") or node.input[1] != factor:
        raise WorldError(
            f"the class rows {weight!r} go into a {node.op_type} of {list(node.input)}; expected "
            "them as the second factor of a Gemm, or of a MatMul with an Add behind it"
        )
    if node.op_type == "Gemm":
        _check_plain(node)
        axis = 1 - axis if attribute(node, "transB", 0) else axis
    return node, axis


def _check_plain(node: onnx.NodeProto) -> None:
    """Refuse other factors: features times class rows plus bias must be the logits."""
    for name, plain in {"alpha": 1.0, "beta": 1.0, "transA": 0.0}.items():
        found = attribute(node, name, plain)
        if found != plain:
            raise WorldError(
                f"the Gemm of the class rows has {name} = {found:g}; expected {plain:g}, so that "
                "features times class rows plus bias are the logits"
            )


def attribute(node: onnx.NodeProto, name: str, default: float) -> float:
    """Return a number that a node has as an attribute, or what holds without it."""
    found = [helper.get_attribute_value(part) for part in node.attribute if part.name == name]
    return float(found[0]) if found else default


def _only_user(graph: onnx.GraphProto, value: str) -> onnx.NodeProto:
    users = [node for node in graph.node if value in node.input]
    if len(users) != 1:
        raise WorldError(
            f"{value!r} is used by {len(users)} nodes of the graph; a head can be cut where it is "
            "used by one. Publish the world again"
        )
    user: onnx.NodeProto = users[0]
    return user
