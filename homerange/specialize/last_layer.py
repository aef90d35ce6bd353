"""The last linear layer of a graph from anywhere: which constants multiply which features.

Walked back from the output. Between the layer and the output may stand what keeps the numbers
(``Flatten``, ``Reshape``, ``Squeeze`` ...), an average over the positions of a map, which commutes
with a 1 x 1 convolution, and one ``Softmax``. Anything else is refused: a head that is cut in the
wrong place still runs, and answers nonsense.

Graphs of worlds have a stricter form, see ``graph.py``.

Axes used in this file:
    C  classes     D  features
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from homerange.errors import ModelError

__all__ = ["LastLayer", "find_last_layer", "nodes_behind"]

Ending = Literal["", "Softmax", "LogSoftmax"]

_ENDINGS: Mapping[str, Ending] = {"Softmax": "Softmax", "LogSoftmax": "LogSoftmax"}
_KEEPS_NUMBERS = {
    "Cast",
    "Dropout",
    "Flatten",
    "Identity",
    "Reshape",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
}
_PRODUCTS = ("Gemm", "MatMul", "Conv")
_OF_CONSTANTS = _KEEPS_NUMBERS | {"Constant", "DequantizeLinear"}
"""Nodes that exporters put between stored weights and the product."""

_EXPECTED = (
    "expected a Gemm, a MatMul or a 1 x 1 Conv with constant weights, and behind it nothing but "
    "Flatten, Reshape, Squeeze and a Softmax. Export the model so that its output is the logits"
)


@dataclass(frozen=True, eq=False)
class LastLayer:
    """The class rows of a graph, whatever form they have there."""

    features: str
    """Value that goes into the product."""
    weight_CD: NDArray[np.float32]
    bias_C: NDArray[np.float32]
    kind: Literal["Gemm", "MatMul", "Conv"]
    """With ``Conv`` the features are a map, (B, D, h, w), whose average counts."""
    ending: Ending
    """What turns the logits into the answer of the graph; an empty text for nothing."""


def find_last_layer(model: onnx.ModelProto, output: str) -> LastLayer:
    """Find the linear layer whose result is an output of a model.

    Args:
        model: With its weights.
        output: Name of the output.

    Raises:
        ModelError: If no linear layer with constant weights leads to the output.
    """
    graph = _Graph(model)
    ending: Ending = ""
    averaged = False
    node = graph.maker(output)
    while node.op_type not in (*_PRODUCTS, "Add"):
        if node.op_type in _ENDINGS and not ending:
            ending = _ENDINGS[node.op_type]
        elif node.op_type == "GlobalAveragePool":
            averaged = True
        elif node.op_type not in _KEEPS_NUMBERS:
            raise ModelError(f"its output {output!r} comes from {_name(node)}; {_EXPECTED}")
        node = graph.maker(node.input[0])
    product, more_C = _without_addition(graph, node)
    kind, features, weight_CD, bias_C = _rows_of(graph, product)
    if averaged and kind != "Conv":
        raise ModelError(f"behind {_name(product)} stands a GlobalAveragePool; {_EXPECTED}")
    bias_C = np.broadcast_to(bias_C.reshape(-1) + more_C.reshape(-1), len(weight_CD))
    return LastLayer(
        features=features,
        weight_CD=np.ascontiguousarray(weight_CD, np.float32),
        bias_C=bias_C.astype(np.float32),
        kind=kind,
        ending=ending,
    )


def nodes_behind(output: str, nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return the nodes that an output comes from, in their order.

    Args:
        output: Name of the output.
        nodes: In an order in which they can run, without branches.
    """
    wanted, kept = {output}, []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


class _Graph:
    """Looks up what makes a value, and what value constants have."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._maker = {name: node for node in model.graph.node for name in node.output}
        self._stored = {tensor.name: tensor for tensor in model.graph.initializer}
        self._opsets: dict[str, int] = {entry.domain: entry.version for entry in model.opset_import}

    def maker(self, value: str) -> onnx.NodeProto:
        """Return the node that makes a value."""
        if value not in self._maker:
            raise ModelError(f"no node computes {value!r}; {_EXPECTED}")
        node: onnx.NodeProto = self._maker[value]
        return node

    def is_constant(self, value: str) -> bool:
        """Whether a value depends on no input of the graph, as far as class rows are stored so."""
        if value in self._stored:
            return True
        node = self._maker.get(value)
        return (
            node is not None
            and node.op_type in _OF_CONSTANTS
            and all(self.is_constant(name) for name in node.input if name)
        )

    def constant(self, value: str) -> NDArray[np.floating]:
        """Return the value of a constant, computed through the nodes that only reshape it."""
        if value in self._stored:
            return numpy_helper.to_array(self._stored[value])
        node = self._maker[value]
        given = {name: self.constant(name) for name in node.input if name}
        (found,) = ReferenceEvaluator(node, opsets=self._opsets).run(None, given)
        return np.asarray(found)


def _without_addition(
    graph: _Graph, node: onnx.NodeProto
) -> tuple[onnx.NodeProto, NDArray[np.floating]]:
    """Return the product before the addition of a constant, and that constant."""
    if node.op_type != "Add":
        return node, np.zeros(1)
    constant = [name for name in node.input if graph.is_constant(name)]
    moving = [name for name in node.input if name not in constant]
    if len(constant) != 1 or len(moving) != 1:
        raise ModelError(f"the logits are the sum {_name(node)} of two results; {_EXPECTED}")
    product = graph.maker(moving[0])
    if product.op_type not in _PRODUCTS:
        raise ModelError(f"{_name(node)} adds to the result of {_name(product)}; {_EXPECTED}")
    return product, graph.constant(constant[0])


def _rows_of(
    graph: _Graph, node: onnx.NodeProto
) -> tuple[Literal["Gemm", "MatMul", "Conv"], str, NDArray[np.floating], NDArray[np.floating]]:
    """Return kind, features, weight (C, D) and bias of a product with a constant."""
    features, *names = [name for name in node.input if name]
    moving = [name for name in names if not graph.is_constant(name)]
    if not names or moving:
        raise ModelError(
            f"the class rows of {_name(node)} are computed ({', '.join(moving) or 'nothing'}), not "
            f"stored, so no row of them can be cut; {_EXPECTED}"
        )
    weight, *bias = [graph.constant(name) for name in names]
    settings = {part.name: helper.get_attribute_value(part) for part in node.attribute}
    bias_C = bias[0] if bias else np.zeros(1)
    if node.op_type == "Conv":
        return "Conv", features, _of_convolution(node, weight, settings), bias_C
    if weight.ndim != 2:
        raise ModelError(f"{_name(node)} multiplies with {list(weight.shape)} numbers; {_EXPECTED}")
    if node.op_type == "MatMul":
        return "MatMul", features, weight.T, bias_C
    if settings.get("transA"):
        raise ModelError(f"{_name(node)} has transA = 1; {_EXPECTED}")
    weight_CD = weight if settings.get("transB") else weight.T
    alpha, beta = settings.get("alpha", 1.0), settings.get("beta", 1.0)
    return "Gemm", features, weight_CD * np.float32(alpha), bias_C * np.float32(beta)


def _of_convolution(
    node: onnx.NodeProto, weight: NDArray[np.floating], settings: dict[str, object]
) -> NDArray[np.floating]:
    plain = {"group": 1, "strides": [1, 1], "pads": [0, 0, 0, 0]}
    odd = [name for name, value in plain.items() if settings.get(name, value) != value]
    if weight.ndim != 4 or weight.shape[2:] != (1, 1) or odd:
        raise ModelError(
            f"{_name(node)} is no plain 1 x 1 convolution: weights of shape {list(weight.shape)}"
            f"{', ' if odd else ''}{', '.join(f'{n} = {settings[n]}' for n in odd)}; {_EXPECTED}"
        )
    return weight[:, :, 0, 0]


def _name(node: onnx.NodeProto) -> str:
    return f"the node {node.name or node.output[0]!r} ({node.op_type})"
