"""Cut a world's graph to some of its classes and experts; all else stays.

A logit is one row of the last weight matrix times the features, plus its bias. So the rows of the
kept classes give, bit for bit or to the last digit of a float, the logits that the full head gives
for them. What becomes of the tokens of an expert that is gone is the world's drop rule. By the
usual one, ``reroute``, the expert leaves the gate too, so its tokens go to the best of those that
are left; with one expert no gate is needed, with none the MLP of the layer goes. By the others the
gate stays whole, and tokens that it sends to an expert that is gone follow the rule. Nothing is
trained and no photo is needed: slicing tensors is all that happens, with ``onnx`` and ``numpy``.

Axes used in this file:
    C  classes of the world     K  classes, or experts of a layer, that are kept
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from homerange.errors import WorldError
from homerange.specialize.expert_graph import Nodes, expert_nodes
from homerange.specialize.graph import find_class_rows, load_graph, point_at, replace_nodes
from homerange.world.description import DropRule, ExpertLayer
from homerange.world.weights import StoredTensor, read_header, read_rows
from homerange.world.world import World

__all__ = ["KeptExperts", "cut_world", "forget_the_exporter"]


KeptExperts = Mapping[int, NDArray[np.integer]]
"""Experts to keep by the number of their transformer layer: rows of the gate, rising."""

OF_EXPERT = ("w1_EHD", "b1_EH", "w2_EHD", "b2_ED")
"""Tensors of an expert layer with a row for each expert; a gate that reroutes has such rows too."""


def cut_world(
    world: World, class_index_K: NDArray[np.integer], experts: KeptExperts | None = None
) -> bytes:
    """Make a self-contained ONNX model that knows some of a world's classes.

    Args:
        world: The world to cut.
        class_index_K: Classes to keep, rising, each in [0, C). Shape (K,), K at least 1.
        experts: Experts to keep; layers that are not named keep all of theirs. Tokens of the others
            follow ``world.graph.drop_rule``.

    Returns:
        The serialised model: the same input, and logits of shape (batch, K) in the order of
        ``class_index_K``. The same classes give the same bytes.

    Raises:
        ValueError: If the classes do not rise, are out of range or are none; or the experts are
            not those of an expert layer.
        WorldError: If the graph has no head that can be cut, or does not fit its weights.
    """
    classes = world.description.architecture.classes
    _check_index(class_index_K, classes)
    model = load_graph(world)
    rows = find_class_rows(model.graph, world.graph)
    kept = {rows.weight: _Rows(class_index_K, rows.weight_axis, classes)}
    kept[rows.bias] = _Rows(class_index_K, -1, classes)
    for layer in world.graph.experts:
        index_K = (experts or {}).get(layer.layer, np.arange(layer.experts))
        _check_experts(layer, index_K)
        _cut_layer(model.graph, layer, index_K, world.graph.drop_rule)
        kept |= _rows_of_experts(layer, index_K, world.graph.drop_rule)
    header = read_header(world.weights_path)
    _declare_means(model.graph, world, header)
    _check_layers(world, experts or {})
    _embed(model.graph, world.weights_path, header, kept)
    _declare_output(model.graph, world.graph.output, len(class_index_K))
    forget_the_exporter(model)
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


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of a tensor that are kept."""

    index_K: NDArray[np.integer]
    axis: int
    size: int
    """How many there are in the world."""


def _check_layers(world: World, experts: KeptExperts) -> None:
    known = [layer.layer for layer in world.graph.experts]
    unknown = sorted(set(experts) - set(known))
    if unknown:
        raise ValueError(
            f"layer {unknown[0]} of this world has no experts; those that have: {known or 'none'}"
        )


def _check_experts(layer: ExpertLayer, index_K: NDArray[np.integer]) -> None:
    known = (index_K >= 0) & (index_K < layer.experts)
    if not known.all() or (np.diff(index_K) <= 0).any():
        raise ValueError(
            f"cannot keep the experts {index_K.tolist()[:10]} of layer {layer.layer}; expected "
            f"them to rise, each from 0 to {layer.experts - 1}"
        )


def _cut_layer(
    graph: onnx.GraphProto, layer: ExpertLayer, index_K: NDArray[np.integer], rule: DropRule
) -> None:
    """Write the nodes of a layer again for fewer experts; without any MLP it only hands on."""
    if len(index_K) == layer.experts:
        return
    old = {node.name for node in graph.node if node.name.startswith(f"{layer.prefix}/")}
    if rule != "reroute":
        replace_nodes(graph, old, expert_nodes(layer, kept_K=index_K.astype(np.int64), rule=rule))
        return
    experts = len(index_K)
    smaller = replace(layer, experts=experts, top_k=min(layer.top_k, max(1, experts)))
    if experts or layer.shared:
        replace_nodes(graph, old, expert_nodes(smaller))
        return
    (added,) = [node for node in graph.node if layer.output in node.input]
    handed_on = helper.make_node(
        "Identity", [layer.residual], added.output, name=f"{layer.prefix}/none"
    )
    replace_nodes(graph, {*old, added.name}, Nodes([handed_on], []))


def _rows_of_experts(
    layer: ExpertLayer, index_K: NDArray[np.integer], rule: DropRule
) -> dict[str, _Rows]:
    """Say which rows of the tensors of a layer are kept: means are those of the others."""
    kept = dict.fromkeys(OF_EXPERT, index_K)
    if rule == "reroute":
        kept["gate.up"] = index_K
    kept["mean_ED"] = np.setdiff1d(np.arange(layer.experts), index_K)
    return {f"{layer.prefix}.{n}": _Rows(rows, 0, layer.experts) for n, rows in kept.items()}


def _declare_means(
    graph: onnx.GraphProto, world: World, header: Mapping[str, StoredTensor]
) -> None:
    """Declare the mean answers that the rule ``mean`` takes: the world's graph has no use for them.

    Raises:
        WorldError: If the weights file lacks them.
    """
    used = {name for node in graph.node for name in node.input}
    for name in (f"{layer.prefix}.mean_ED" for layer in world.graph.experts):
        if name not in used:
            continue
        if name not in header:
            raise WorldError(
                f"{world.weights_path}: has no tensor {name!r}, which the drop rule mean takes. "
                "Publish the world again"
            )
        tensor = TensorProto(name=name, dims=header[name].shape, data_type=TensorProto.FLOAT)
        point_at(tensor, world.weights_path, header[name])
        graph.initializer.append(tensor)


def _embed(
    graph: onnx.GraphProto,
    weights_path: Path,
    header: Mapping[str, StoredTensor],
    kept: Mapping[str, _Rows],
) -> None:
    """Put all weights into the graph that it uses, of classes and experts only the kept rows."""
    used = {name for node in graph.node for name in node.input}
    external = list(_external(graph, weights_path))
    elsewhere = sorted((kept.keys() & used) - {tensor.name for tensor, _, _ in external})
    if elsewhere:
        raise WorldError(
            f"the graph does not take {', '.join(elsewhere)} from {weights_path.name}; every "
            "float weight of a world lies there. Publish the world again"
        )
    for tensor, offset, length in external:
        if tensor.name not in kept:
            _fill(tensor, weights_path, offset, length)
            continue
        rows = kept[tensor.name]
        _check_rows(tensor, weights_path, header.get(tensor.name), offset, rows)
        values = read_rows(weights_path, tensor.name, rows.index_K, axis=rows.axis, header=header)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(tensors)


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
    tensor: onnx.TensorProto,
    weights_path: Path,
    stored: StoredTensor | None,
    offset: int,
    rows: _Rows,
) -> None:
    """Refuse rows that graph, weights file and world.json do not agree on."""
    if stored is None or (*stored.shape, stored.offset_bytes) != (*tensor.dims, offset):
        raise WorldError(
            f"{weights_path}: {tensor.name!r} does not lie where the graph expects it: the graph "
            f"says shape {list(tensor.dims)} at byte {offset}, the file says {stored}"
        )
    if tensor.dims[rows.axis] != rows.size:
        raise WorldError(
            f"the graph's {tensor.name!r} has shape {list(tensor.dims)}; world.json says "
            f"{rows.size} classes or experts"
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


def forget_the_exporter(model: onnx.ModelProto) -> None:
    """Remove what exporters note for debugging: it weighs, and names folders of their machine."""
    graph = model.graph
    model.ClearField("doc_string")
    graph.ClearField("doc_string")
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("doc_string")
        del part.metadata_props[:]
    del graph.metadata_props[:]
    del model.metadata_props[:]
