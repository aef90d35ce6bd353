"""Store the weights of a cut model in fewer bits: 16, 8 or 4; nothing else of it changes.

The graph turns them back into floats of 32 bits before they are used, and activations are not
touched, so no photo is needed. What is no weight of a product stays 32 bits: biases, norms that no
convolution absorbs, and the gates of experts, whose choice could flip.

16: half precision. 8: whole numbers times a scale for each row (symmetric, per channel). 4: whole
numbers times a scale for each 32 values of a row, of some scales the one with the smallest squared
error. At 4 bits the class rows, and rows that 32 does not divide, keep 8. Scales are stored in half
precision, rounded up, so that the largest value of a row still fits.

Where we differ from the usual form, and why: ONNX Runtime keeps a ``DequantizeLinear`` for the sake
of processors with int8 arithmetic, and computes it again for each photo: half as much time again
(``bench/bytes.py``). A ``Cast`` and a ``Mul`` say the same and are folded while the model loads.

Axes used in this file:
    R  rows of a weight, or blocks of rows     V  values that share a scale
"""

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from homerange.errors import ConfigError, WorldError
from homerange.specialize.absorb import absorb_norms
from homerange.specialize.graph import attribute
from homerange.world.description import Graph

__all__ = ["BLOCK", "Bits", "quantize"]

Bits = Literal[32, 16, 8, 4]

BLOCK = 32
"""Values that share a scale at 4 bits."""

OPSET_OF_4_BITS, IR_OF_4_BITS = 21, 10
"""The first versions of ONNX with numbers of 4 bits."""

_NO_WEIGHTS = ("gate.up", "gate.down", "b1_EH", "b2_ED", "mean_ED")
"""Tensors of an expert layer that are factors of a product, but gates or biases."""

_EXPERT_WEIGHTS = ("w1_EHD", "w2_EHD")
_LARGEST_8, _LARGEST_4 = 127, 7
_CLIPS = np.linspace(0.7, 1.0, 13, dtype=np.float32)
"""Parts of the largest value that are tried as the end of the range at 4 bits."""


def quantize(model: onnx.ModelProto, names: Graph, bits: int) -> onnx.ModelProto:
    """Return a copy of a cut model whose weights are stored in some bits.

    Args:
        model: As :func:`homerange.specialize.cut.cut_world` makes it, with its weights inside.
        names: What ``world.json`` says of the graph: its class rows and expert layers.
        bits: 32 (nothing changes), 16, 8 or 4.

    Raises:
        ConfigError: If ``bits`` is none of them.
        WorldError: If a weight is not finite, or too large for the type.
    """
    if bits not in get_args(Bits):
        raise ConfigError(f"bits is {bits}; expected {', '.join(map(str, get_args(Bits)))}")
    stored = onnx.ModelProto()
    stored.CopyFrom(model)
    if bits == 32:
        return stored
    absorb_norms(stored.graph)
    writer = _Writer(bits, names.class_weight)
    spans = dict(_weights(stored.graph, names))
    for tensor in stored.graph.initializer:
        if tensor.name in spans:
            writer.store(tensor.name, numpy_helper.to_array(tensor), spans[tensor.name])
        else:
            writer.tensors.append(tensor)
    if any(tensor.data_type == TensorProto.INT4 for tensor in writer.tensors):
        stored.opset_import[0].version = max(OPSET_OF_4_BITS, stored.opset_import[0].version)
        stored.ir_version = max(IR_OF_4_BITS, stored.ir_version)
    nodes = [*writer.nodes, *stored.graph.node]
    del stored.graph.initializer[:], stored.graph.node[:]
    stored.graph.initializer.extend(writer.tensors)
    stored.graph.node.extend(nodes)
    return stored


def _weights(graph: onnx.GraphProto, names: Graph) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Go through the weights of products: the name, and the axes that a row of it spans."""
    others = {f"{layer.prefix}.{name}" for layer in names.experts for name in _NO_WEIGHTS}
    experts = {f"{layer.prefix}.{name}" for layer in names.experts for name in _EXPERT_WEIGHTS}
    axes_of = {
        tensor.name: len(tensor.dims)
        for tensor in graph.initializer
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in others
    }
    yield from ((name, (2,)) for name in sorted(experts & axes_of.keys()))
    turned = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Transpose"}
    seen = set(experts)
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        factor = node.input[1]
        name = turned.get(factor, factor)
        if name not in axes_of or name in seen:
            continue
        seen.add(name)
        rows_first = node.op_type == "Conv" or bool(attribute(node, "transB", 0))
        rows_first ^= factor in turned
        yield name, tuple(range(1, axes_of[name])) if rows_first else (0,)


class _Writer:
    """Collects stored tensors, and the nodes that turn them into the floats they stand for."""

    def __init__(self, bits: int, class_weight: str) -> None:
        self.bits = bits
        self.class_weight = class_weight
        self.tensors: list[TensorProto] = []
        self.nodes: list[NodeProto] = []

    def store(self, name: str, values: NDArray[np.float32], span: tuple[int, ...]) -> None:
        """Store one weight; ``span`` are the axes that a row of it spans."""
        width = int(np.prod([values.shape[axis] for axis in span]))
        if self.bits == 16:
            with np.errstate(over="ignore"):
                half = values.astype(np.float16)
            self._check(name, half)
            self._float(numpy_helper.from_array(half, f"{name}/half"), name)
        elif self.bits == 4 and name != self.class_weight and span != (0,) and width % BLOCK == 0:
            self._store_4(name, values)
        else:
            self._store_8(name, values, span)

    def _store_8(self, name: str, values: NDArray[np.float32], span: tuple[int, ...]) -> None:
        scale = _half_up(np.abs(values).max(axis=span, keepdims=True) / _LARGEST_8)
        self._check(name, scale)
        whole = np.rint(values / scale.astype(np.float32)).astype(np.int8)
        tensor = numpy_helper.from_array(whole, f"{name}/whole")
        self._multiply(name, tensor, scale, name)

    def _store_4(self, name: str, values: NDArray[np.float32]) -> None:
        blocks_RV = values.reshape(-1, BLOCK)
        scale_R1 = _best_scale(blocks_RV)
        self._check(name, scale_R1)
        tensor = TensorProto(
            name=f"{name}/whole",
            data_type=TensorProto.INT4,
            dims=blocks_RV.shape,
            raw_data=_packed(_whole_4(blocks_RV, scale_R1.astype(np.float32))),
        )
        shape = f"shape/{'x'.join(map(str, values.shape))}"
        if all(shape != known.name for known in self.tensors):
            self.tensors.append(numpy_helper.from_array(np.array(values.shape, np.int64), shape))
        blocks = self._multiply(name, tensor, scale_R1, f"{name}/blocks")
        self.nodes.append(helper.make_node("Reshape", [blocks, shape], [name]))

    def _multiply(
        self, name: str, tensor: TensorProto, scale: NDArray[np.float16], output: str
    ) -> str:
        factors = (
            self._float(tensor, f"{name}/float"),
            self._float(numpy_helper.from_array(scale, f"{name}/scale"), f"{name}/step"),
        )
        self.nodes.append(helper.make_node("Mul", factors, [output]))
        return output

    def _float(self, tensor: TensorProto, output: str) -> str:
        self.tensors.append(tensor)
        self.nodes.append(helper.make_node("Cast", [tensor.name], [output], to=TensorProto.FLOAT))
        return output

    def _check(self, name: str, stored: NDArray[np.float16]) -> None:
        if not np.isfinite(stored).all():
            raise WorldError(
                f"the weight {name!r} has values that are not finite or too large for {self.bits} "
                "bits. Take --bits 32, or publish the world again"
            )


def _half_up(scale: NDArray[np.floating]) -> NDArray[np.float16]:
    """Round to half precision, never down and never to 0."""
    with np.errstate(over="ignore"):
        half = scale.astype(np.float16)
    low = half < scale
    half[low] = np.nextafter(half[low], np.float16(np.inf))
    return np.maximum(half, np.finfo(np.float16).smallest_subnormal)


def _best_scale(blocks_RV: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return the scale of each block with the smallest squared error, shape (R, 1).

    Values beyond the range become its ends. A scale has the sign that takes the largest value to
    -8: that is a number of 4 bits, and 8 is none.
    """
    end_R1 = np.take_along_axis(blocks_RV, np.abs(blocks_RV).argmax(axis=1)[:, None], axis=1)
    sign_R1 = np.where(end_R1 > 0, -1, 1).astype(np.float16)
    best_R1 = _half_up(np.abs(end_R1) / _LARGEST_4) * sign_R1
    least_R1 = np.full(best_R1.shape, np.inf, np.float32)
    for clip in _CLIPS:
        scale_R1 = _half_up(np.abs(end_R1) * clip / _LARGEST_4) * sign_R1
        step_R1 = scale_R1.astype(np.float32)
        error_RV = _whole_4(blocks_RV, step_R1) * step_R1 - blocks_RV
        error_R1 = np.square(error_RV).sum(axis=1, keepdims=True)
        better_R1 = error_R1 < least_R1
        best_R1 = np.where(better_R1, scale_R1, best_R1)
        least_R1 = np.where(better_R1, error_R1, least_R1)
    return best_R1


def _whole_4(blocks_RV: NDArray[np.float32], step_R1: NDArray[np.float32]) -> NDArray[np.int8]:
    whole_RV: NDArray[np.int8] = np.clip(np.rint(blocks_RV / step_R1), -8, 7).astype(np.int8)
    return whole_RV


def _packed(whole_RV: NDArray[np.int8]) -> bytes:
    """Put two numbers into a byte, the first in its lower half: the layout of ONNX."""
    half = whole_RV.ravel().view(np.uint8) & 15
    return (half[0::2] | half[1::2] << 4).tobytes()
