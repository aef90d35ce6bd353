"""Make a graph smaller on disk without changing what it answers: no weight is touched.

An exporter writes long names, attributes that say what holds anyway, and values that are spread out
where the next node would spread them by itself. In a package of one megabyte that is a twentieth.
"""

from collections import Counter
from collections.abc import Collection, Mapping

import onnx
from onnx import NodeProto, helper

__all__ = ["let_products_spread", "remove_unused", "slim"]

_WITHOUT_SAYING: Mapping[str, Mapping[str, object]] = {
    "Conv": {"auto_pad": b"NOTSET", "group": 1},
    "Reshape": {"allowzero": 0},
    "Shape": {"start": 0},
    "ReduceSum": {"noop_with_empty_axes": 0, "keepdims": 1},
    "ReduceMean": {"noop_with_empty_axes": 0, "keepdims": 1},
    "Softmax": {"axis": -1},
    "Gemm": {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0},
}
"""Attributes by operator that may be left out where they have these values."""

_ALIKE: Mapping[str, int] = {"pads": 0, "strides": 1, "dilations": 1}
"""Attributes of a convolution that may be left out where all of their numbers are this one."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def slim(model: onnx.ModelProto, keep: Collection[str]) -> onnx.ModelProto:
    """Return a copy of a model that answers the same and is smaller on disk.

    Args:
        model: A model with its weights inside.
        keep: Names to leave: those of inputs, outputs, and values that somebody will look for.
    """
    smaller = onnx.ModelProto()
    smaller.CopyFrom(model)
    graph = smaller.graph
    let_products_spread(graph)
    remove_unused(graph)
    _share_equal_constants(graph)
    for node in graph.node:
        _leave_out_defaults(node)
    del graph.value_info[:]
    _shorten_names(graph, keep)
    smaller.producer_name = smaller.producer_version = ""
    graph.name = "g"
    return smaller


def let_products_spread(graph: onnx.GraphProto) -> None:
    """Take out each ``Expand`` before a ``Mul``, which spreads its factors by itself.

    The other factor must not be spread too: it has the shape of the result where it went through
    ``Relu`` from a convolution, as in the attention of MobileViTV2.
    """
    maker = {node.output[0]: node for node in graph.node if len(node.output) == 1}
    uses = Counter(name for node in graph.node for name in node.input)
    for node in graph.node:
        if node.op_type != "Mul":
            continue
        for i, name in enumerate(node.input):
            spread, other = maker.get(name), maker.get(node.input[1 - i])
            if (
                spread is not None
                and spread.op_type == "Expand"
                and uses[name] == 1
                and other is not None
                and other.op_type == "Relu"
            ):
                node.input[i] = spread.input[0]


def remove_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes and tensors whose values nobody takes, as often as there are some."""
    needed = {output.name for output in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed.isdisjoint(node.output):
            continue
        needed.update(node.input)
        kept.append(node)
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(tensors)


def _share_equal_constants(graph: onnx.GraphProto) -> None:
    """Keep one of several tensors with the same type, shape and values."""
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    renamed: dict[str, str] = {}
    tensors = []
    for tensor in graph.initializer:
        key = (tensor.data_type, tuple(tensor.dims), tensor.raw_data)
        if tensor.raw_data and key in first:
            renamed[tensor.name] = first[key]
            continue
        first[key] = tensor.name
        tensors.append(tensor)
    del graph.initializer[:]
    graph.initializer.extend(tensors)
    _rename(graph, renamed)


def _leave_out_defaults(node: NodeProto) -> None:
    known = _WITHOUT_SAYING.get(node.op_type, {})
    kept = []
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if attribute.name in known and value == known[attribute.name]:
            continue
        plain = _ALIKE.get(attribute.name) if node.op_type == "Conv" else None
        if plain is not None and set(value) == {plain}:
            continue
        kept.append(attribute)
    del node.attribute[:]
    node.attribute.extend(kept)


def _shorten_names(graph: onnx.GraphProto, keep: Collection[str]) -> None:
    """Number all values, the most used first, and take their names from the nodes."""
    fixed = {*keep, *(v.name for v in (*graph.input, *graph.output)), ""}
    uses = Counter(name for node in graph.node for name in (*node.input, *node.output))
    uses.update(tensor.name for tensor in graph.initializer)
    names = [name for name, _ in uses.most_common() if name not in fixed]
    short = (name for name in map(_short, range(len(names) + len(fixed))) if name not in fixed)
    _rename(graph, dict(zip(names, short, strict=False)))
    for node in graph.node:
        node.name = ""


def _short(number: int) -> str:
    """Write a number in few characters.

    Example:
        >>> _short(0), _short(36)
        ('0', '10')
    """
    text = ""
    while True:
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
        if not number:
            return text


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for node in graph.node:
        for values in (node.input, node.output):
            for i, name in enumerate(values):
                values[i] = names.get(name, name)
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
