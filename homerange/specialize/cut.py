"""Cut a world's graph to some of its classes: the class rows become fewer, all else stays.

A logit is one row of the last weight matrix times the features, plus its bias. So the rows of the
kept classes give, bit for bit or to the last digit of a float, the logits that the full head gives
for them. Nothing is trained and no photo is needed: slicing tensors is all that happens, with
``onnx`` and ``numpy``.

Axes used in this file:
    C  classes of the world     K  classes that are kept
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from homerange.errors import WorldError
from homerange.specialize.graph import ClassRows, find_class_rows, load_graph
from homerange.world.weights import read_header, read_rows
from homerange.world.world import World

__all__ = ["cut_classes"]


def cut_classes(world: World, class_index_K: NDArray[np.integer]) -> bytes:
    """Make a self-contained ONNX model that knows some of a world's classes.

    Args:
        world: The world to cut.
        class_index_K: Classes to keep, rising, each in [0, C). Shape (K,), K at least 1.

    Returns:
        The serialised model: the same input, and logits of shape (batch, K) in the order of
        ``class_index_K``. The same classes give the same bytes.

    Raises:
        ValueError: If the classes do not rise, are out of range or are none.
        WorldError: If the graph has no head that can be cut, or does not fit its weights.
    """
    classes = world.description.architecture.classes
    _check_index(class_index_K, classes)
    model = load_graph(world)
    rows = find_class_rows(model.graph, world.graph)
    _embed(model.graph, world.weights_path, rows, class_index_K, classes)
    _declare_output(model.graph, world.graph.output, len(class_index_K))
    _forget_the_exporter(model)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        reason = str(error).splitlines()[0]
        raise WorldError(
            f"{world.graph_path}: is no valid ONNX graph once cut: {reason}"
        ) from error
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _check_index(class_index_K: NDArray[np.integer], classes: int) -> None:
    known = (class_index_K >= 0) & (class_index_K < classes)
    if not len(class_index_K) or not known.all() or (np.diff(class_index_K) <= 0).any():
        raise ValueError(
            f"cannot cut to the classes {class_index_K.tolist()[:10]}; expected at least one, "
            f"rising, each from 0 to {classes - 1}"
        )


def _embed(
    graph: onnx.GraphProto,
    weights_path: Path,
    rows: ClassRows,
    class_index_K: NDArray[np.integer],
    classes: int,
) -> None:
    """Put all weights into the graph, of the class rows only those that are kept."""
    axis_of = {rows.weight: rows.weight_axis, rows.bias: -1}
    external = list(_external(graph, weights_path))
    elsewhere = sorted(axis_of.keys() - {tensor.name for tensor, _, _ in external})
    if elsewhere:
        raise WorldError(
            f"the graph does not take {', '.join(elsewhere)} from {weights_path.name}; every "
            "float weight of a world lies there. Publish the world again"
        )
    for tensor, offset, length in external:
        if tensor.name in axis_of:
            axis = axis_of[tensor.name]
            _check_rows(tensor, weights_path, offset, classes, axis)
            kept = read_rows(weights_path, tensor.name, class_index_K, axis=axis)
            tensor.CopyFrom(numpy_helper.from_array(kept, tensor.name))
        else:
            _fill(tensor, weights_path, offset, length)


def _external(
    graph: onnx.GraphProto, weights_path: Path
) -> Iterator[tuple[onnx.TensorProto, int, int]]:
    """Go through the initializers that lie in the weights file: tensor, offset and length."""
    for tensor in graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entry = {item.key: item.value for item in tensor.external_data}
        if entry.get("location") != weights_path.name or "length" not in entry:
            raise WorldError(
                f"the graph takes {tensor.name!r} from {entry}; expected an offset and a length "
                f"in {weights_path.name}"
            )
        yield tensor, int(entry.get("offset", 0)), int(entry["length"])


def _check_rows(
    tensor: onnx.TensorProto, weights_path: Path, offset: int, classes: int, axis: int
) -> None:
    """Refuse class rows that graph, weights file and world.json do not agree on."""
    stored = read_header(weights_path).get(tensor.name)
    if stored is None or (*stored.shape, stored.offset_bytes) != (*tensor.dims, offset):
        raise WorldError(
            f"{weights_path}: {tensor.name!r} does not lie where the graph expects it: the graph "
            f"says shape {list(tensor.dims)} at byte {offset}, the file says {stored}"
        )
    if tensor.dims[axis] != classes:
        raise WorldError(
            f"the graph's {tensor.name!r} has shape {list(tensor.dims)}; world.json says {classes} "
            "classes"
        )


def _fill(tensor: onnx.TensorProto, weights_path: Path, offset: int, length: int) -> None:
    with weights_path.open("rb") as file:
        file.seek(offset)
        data = file.read(length)
    if len(data) != length:
        raise WorldError(
            f"{weights_path}: ends before {tensor.name!r}, which the graph expects in bytes "
            f"{offset} to {offset + length}"
        )
    tensor.ClearField("external_data")
    tensor.data_location = onnx.TensorProto.DEFAULT
    tensor.raw_data = data


def _declare_output(graph: onnx.GraphProto, name: str, classes: int) -> None:
    """State the new shape of the logits; shapes of values in between are forgotten, not kept."""
    del graph.value_info[:]
    for output in graph.output:
        if output.name == name:
            output.type.tensor_type.shape.dim[-1].dim_value = classes


def _forget_the_exporter(model: onnx.ModelProto) -> None:
    """Remove what exporters note for debugging: it weighs, and names folders of their machine."""
    graph = model.graph
    model.ClearField("doc_string")
    graph.ClearField("doc_string")
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("doc_string")
        del part.metadata_props[:]
    del graph.metadata_props[:]
    del model.metadata_props[:]
