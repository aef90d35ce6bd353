"""A classifier from elsewhere, taken apart: its one input, its class rows, its other nodes.

What a world cannot hold is refused with one line that says what was found: several inputs,
branches, class rows that are computed, weights that are missing.

Axes used in this file:
    C  classes     D  features
"""

from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no stubs
from onnx import TensorProto, compose, inliner

from homerange.errors import ModelError
from homerange.profile.adopt.pixels import Pixels
from homerange.specialize.last_layer import LastLayer, find_last_layer

__all__ = ["PREFIX", "Network", "read_network"]

PREFIX = "net."
"""Of every name in the adopted part of a graph, so that none is one of ours."""

OLDEST_OPSET = 9
INPUT_TYPES: dict[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.UINT8: "uint8",
}


@dataclass(frozen=True, eq=False)
class Network:
    """A classifier, ready to be written as a world."""

    path: Path
    model: onnx.ModelProto
    """With its weights; every name begins with ``PREFIX``."""
    input: str
    input_type: int
    """One of ``INPUT_TYPES``."""
    channels_first: bool
    input_px: int
    output: str
    last: LastLayer


def read_network(path: Path, pixels: Pixels, labels: int) -> Network:
    """Read a classifier and find its class rows.

    Args:
        path: An ``.onnx`` file; external data lies beside it.
        pixels: What the user declares about the input.
        labels: How many classes there must be.

    Raises:
        ModelError: If it is no classifier that can be cut to some of its classes.
    """
    try:
        model = _prepared(_load(path))
        (given,) = model.graph.input
        output, last = _class_rows(model, labels)
        channels_first, input_px = _square(given, pixels)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    kind = given.type.tensor_type.elem_type
    if kind == TensorProto.UINT8 and not pixels.neutral:
        raise ModelError(
            f"{path}: its input {given.name.removeprefix(PREFIX)!r} takes bytes, so nothing can be "
            f"scaled before it; {pixels.name or 'the settings'} would. Choose --pixels bytes"
        )
    return Network(path, model, given.name, kind, channels_first, input_px, output, last)


def _load(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise ModelError("there is no such file; expected a classifier in ONNX")
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise ModelError(f"is no ONNX file ({error}); expected a classifier in ONNX") from error
    if not model.graph.node:
        raise ModelError("is no ONNX file, or an empty one; expected a classifier in ONNX")
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"its weights lie in another file that cannot be read ({reason}). Put it beside the "
            "model again, or save the model as one file"
        ) from error
    return model


def _prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    """Refuse what no world can hold; put the prefix before every name."""
    opset = max((e.version for e in model.opset_import if e.domain in ("", "ai.onnx")), default=0)
    if opset < OLDEST_OPSET:
        raise ModelError(f"has opset {opset}; expected {OLDEST_OPSET} or later. Export it again")
    if model.functions:
        model = inliner.inline_local_functions(model)
    graph = model.graph
    branches = [n for n in graph.node for part in n.attribute if part.HasField("g") or part.graphs]
    if branches:
        raise ModelError(
            f"has a branch or a loop, the node {branches[0].name or branches[0].output[0]!r} "
            f"({branches[0].op_type}); a world is one straight graph. Simplify the model, for "
            "example with onnxsim, or export it again for one fixed size"
        )
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ModelError(f"has {len(inputs)} inputs ({names}); expected one, the photo")
    del graph.input[:]
    graph.input.extend(inputs)
    del graph.value_info[:]
    return compose.add_prefix(model, PREFIX)


def _class_rows(model: onnx.ModelProto, labels: int) -> tuple[str, LastLayer]:
    """Find the output with as many class rows as there are labels."""
    outputs = [value.name for value in model.graph.output]
    found: dict[str, LastLayer] = {}
    reasons = []
    for output in outputs:
        try:
            found[output] = find_last_layer(model, output)
        except ModelError as error:
            reasons.append(str(error).replace(PREFIX, ""))
    fitting = {name: last for name, last in found.items() if len(last.weight_CD) == labels}
    if len(fitting) == 1:
        return next(iter(fitting.items()))
    if fitting:
        names = ", ".join(name.removeprefix(PREFIX) for name in fitting)
        raise ModelError(f"several outputs have {labels} class rows: {names}. Export it with one")
    if not found:
        raise ModelError(reasons[0] if reasons else "has no output; expected the logits")
    rows = " or ".join(f"{len(last.weight_CD):,}" for last in found.values())
    raise ModelError(
        f"has {rows} class rows; there are {labels:,} labels. Expected one label for each row, in "
        "their order"
    )


def _square(given: onnx.ValueInfoProto, pixels: Pixels) -> tuple[bool, int]:
    """Read where the colours are and how large the square is; the user says what is left open."""
    name, tensor = given.name.removeprefix(PREFIX), given.type.tensor_type
    if tensor.elem_type not in INPUT_TYPES:
        kind = TensorProto.DataType.Name(tensor.elem_type)
        raise ModelError(
            f"its input {name!r} takes {kind}; expected one of {', '.join(INPUT_TYPES.values())}"
        )
    dims = [dim.dim_value for dim in tensor.shape.dim]  # 0 where the graph leaves it open
    if len(dims) != 4:
        raise ModelError(f"its input {name!r} has {len(dims)} axes; expected four, a photo")
    channels_first = dims[1] == 3 if pixels.layout == "graph" else pixels.layout == "nchw"
    if dims[1 if channels_first else 3] not in (0, 3) or (
        pixels.layout == "graph" and 3 not in (dims[1], dims[3])
    ):
        raise ModelError(
            f"its input {name!r} has the shape {dims} (0: open); expected 3 colours on the second "
            "or last axis. Say which with --set layout=nchw or layout=nhwc"
        )
    height, width = dims[2:] if channels_first else dims[1:3]
    sides = {side for side in (height, width, pixels.input_px) if side}
    if len(sides) != 1:
        raise ModelError(
            f"its input {name!r} is {height or 'open'} x {width or 'open'} pixels and input_px is "
            f"{pixels.input_px or 'not set'}; expected one square. Say its side with --set "
            "input_px=224"
        )
    return channels_first, sides.pop()
