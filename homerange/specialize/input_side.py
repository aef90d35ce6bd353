"""Make a cut model take photos of another side: a lever for time.

Convolutions do not care how large a photo is. MobileViTV2 does at one point: it takes its maps
apart into patches of 2 x 2 pixels and puts them together again, and an exporter writes the numbers
of patches down. Here they are written again for the new side. Where a map cannot be divided, timm
stretches it to the next size that can, so we do as well. The weights stay, so the network sees
animals at a size that it was not trained for: what that costs must be measured.

A graph with other numbers that depend on the side (positions of a vision transformer) is refused.

Source: ``MobileVitV2Block`` in timm 1.0, ``models/mobilevit.py``.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper, shape_inference

from homerange.errors import ConfigError
from homerange.specialize.slim import let_products_spread, remove_unused

__all__ = ["at_side"]

_APART, _TOGETHER = [0, 1, 3, 5, 2, 4], [0, 1, 4, 2, 5, 3]
"""How the six axes of a map in patches are turned."""


@dataclass(frozen=True, eq=False)
class _Patches:
    """Three nodes that take a map apart into patches, or put it together again."""

    first: NodeProto
    last: NodeProto
    shape: list[int]
    """Of the map in patches: six axes."""


def at_side(model: onnx.ModelProto, input_px: int) -> onnx.ModelProto:
    """Return a copy of a cut model that takes photos of another side.

    Args:
        model: As :func:`homerange.specialize.cut.cut_world` makes it.
        input_px: The new side.

    Raises:
        ConfigError: If the graph cannot be written for that side.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    known_px = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    if input_px == known_px:
        return changed
    for axis in (1, 2):
        graph.input[0].type.tensor_type.shape.dim[axis].dim_value = input_px
    let_products_spread(graph)
    apart, together = _find(graph, _APART), _find(graph, _TOGETHER)
    if len(apart) != len(together):
        raise _refusal(known_px, input_px, f"{len(apart)} maps in patches, {len(together)} joined")
    for parts, whole in zip(apart, together, strict=True):
        _write_again(changed, parts, whole, refusal=_refusal(known_px, input_px, "no such maps"))
    remove_unused(graph)
    try:
        shape_inference.infer_shapes(changed, check_type=True, strict_mode=True, data_prop=True)
    except shape_inference.InferenceError as error:
        reason = str(error).splitlines()[0]
        raise _refusal(known_px, input_px, reason) from error
    return changed


def _refusal(known_px: int, input_px: int, reason: str) -> ConfigError:
    return ConfigError(
        f"--input-px {input_px}: the graph of this world, made for {known_px} px, cannot be "
        f"written for another side ({reason}). Leave --input-px out"
    )


def _find(graph: onnx.GraphProto, perm: list[int]) -> list[_Patches]:
    """Find the maps that are turned in this way between two changes of shape, in their order."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    maker = {node.output[0]: node for node in graph.node}
    users = {node.input[0]: node for node in graph.node if node.op_type == "Reshape"}
    found = []
    for node in graph.node:
        first, last = maker.get(node.input[0]) if node.input else None, users.get(node.output[0])
        if node.op_type != "Transpose" or first is None or last is None:
            continue
        if list(node.attribute[0].ints) == perm and first.input[1] in constants:
            shape = numpy_helper.to_array(constants[first.input[1]]).tolist()
            found.append(_Patches(first, last, shape))
    return found


def _write_again(
    model: onnx.ModelProto, apart: _Patches, together: _Patches, refusal: ConfigError
) -> None:
    """Write one block of patches for the side that its map has now."""
    graph = model.graph
    conv = _conv_before(graph, apart.first.input[0], refusal)
    maker = {node.output[0]: node for node in graph.node}
    given = conv.input[0]
    if given in maker and maker[given].op_type == "Resize":
        given = maker[given].input[0]
    side_px = _side(model, given, refusal)
    _, channels, _, patch_px, _, _ = apart.shape
    count = -(-side_px // patch_px)
    fitting_px = count * patch_px
    conv.input[0] = given if fitting_px == side_px else _stretch(graph, conv, given, fitting_px)
    pixels = patch_px * patch_px
    for node, shape in (
        (apart.first, [-1, channels, count, patch_px, count, patch_px]),
        (apart.last, [-1, channels, pixels, count * count]),
        (together.first, [-1, channels, patch_px, patch_px, count, count]),
        (together.last, [-1, channels, fitting_px, fitting_px]),
    ):
        node.input[1] = _constant(graph, f"{node.output[0]}/shape", shape)


def _conv_before(graph: onnx.GraphProto, name: str, refusal: ConfigError) -> NodeProto:
    """Go back from the patches to the convolution over several pixels that begins their block."""
    maker = {node.output[0]: node for node in graph.node}
    while name in maker and maker[name].op_type in ("Conv", "Mul", "Sigmoid"):
        node: NodeProto = maker[name]
        if node.op_type == "Conv" and _kernel(node) != [1, 1]:
            return node
        name = node.input[0]
    raise refusal


def _kernel(conv: NodeProto) -> list[int]:
    return next(list(part.ints) for part in conv.attribute if part.name == "kernel_shape")


def _side(model: onnx.ModelProto, name: str, refusal: ConfigError) -> int:
    """Return the side of a map whose size is fixed by what comes before it."""
    for value in shape_inference.infer_shapes(model, data_prop=True).graph.value_info:
        if value.name == name:
            _, _, height, width = (dim.dim_value for dim in value.type.tensor_type.shape.dim)
            if height and height == width:
                return int(height)
    raise refusal


def _stretch(graph: onnx.GraphProto, conv: NodeProto, given: str, side_px: int) -> str:
    """Stretch a map before a convolution, as timm does: bilinear, corners on corners."""
    stretched = f"{given}/stretched"
    node = helper.make_node(
        "Resize",
        [given, "", "", _constant(graph, f"{stretched}/sides", [side_px, side_px])],
        [stretched],
        mode="linear",
        coordinate_transformation_mode="align_corners",
        axes=[2, 3],
    )
    graph.node.insert(list(graph.node).index(conv), node)
    return stretched


def _constant(graph: onnx.GraphProto, name: str, values: list[int]) -> str:
    graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
    return name
