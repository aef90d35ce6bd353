"""Let a convolution absorb the scale and shift of the norm before it: exact but for rounding.

A convolution of single pixels of ``x * g + b`` is one of ``x`` with the weights ``W * g`` and the
bias ``W b``. So two tensors and two nodes of each norm go, where nothing else takes its result: in
MobileViTV2 before the attention and, without experts, before the MLP.

Axes used in this file:
    O  channels out      I  channels in
"""

from collections import Counter

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, numpy_helper

__all__ = ["absorb_norms"]


def absorb_norms(graph: onnx.GraphProto) -> None:
    """Write the scale and shift of norms into the convolutions behind them; in place."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    maker = {node.output[0]: node for node in graph.node}
    uses = Counter(name for node in graph.node for name in node.input)
    gone: list[NodeProto] = []
    for conv in graph.node:
        if conv.op_type != "Conv" or not _plain(conv, tensors):
            continue
        shift = maker.get(conv.input[0])
        scale = maker.get(shift.input[0]) if shift is not None else None
        if shift is None or scale is None or (scale.op_type, shift.op_type) != ("Mul", "Add"):
            continue
        own = [shift.input[1], scale.input[1], *conv.input[1:]]
        values = [*own, shift.output[0], scale.output[0]]
        if any(name not in tensors for name in own) or any(uses[name] != 1 for name in values):
            continue
        _absorb(*(tensors[name] for name in own))
        conv.input[0] = scale.input[0]
        gone += [scale, shift]
    for node in gone:
        graph.node.remove(node)
    left = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in left]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _plain(conv: NodeProto, tensors: dict[str, TensorProto]) -> bool:
    """Whether a convolution is one of single pixels over all channels, with a bias."""
    weight = tensors.get(conv.input[1])
    grouped = any(part.name == "group" and part.i != 1 for part in conv.attribute)
    return (
        weight is not None
        and len(conv.input) == 3
        and list(weight.dims[2:]) == [1, 1]
        and not grouped
    )


def _absorb(shift: TensorProto, scale: TensorProto, weight: TensorProto, bias: TensorProto) -> None:
    weight_OI11 = numpy_helper.to_array(weight)
    scale_I = numpy_helper.to_array(scale).reshape(-1)
    shift_I = numpy_helper.to_array(shift).reshape(-1)
    bias_O = numpy_helper.to_array(bias) + weight_OI11[:, :, 0, 0] @ shift_I
    scaled_OI11 = weight_OI11 * scale_I[:, None, None]
    weight.CopyFrom(numpy_helper.from_array(scaled_OI11.astype(np.float32), weight.name))
    bias.CopyFrom(numpy_helper.from_array(bias_O.astype(np.float32), bias.name))
