"""The network as an ONNX graph whose weights are a safetensors file: one file serves both.

Experts are exported as a multiplication by a marker, whose place is then taken by the nodes of
``homerange.specialize.expert_graph``, so that worlds and packages are written by one hand.

The graph is exported from a copy of the network in which every number is different, because the
exporter joins equal tensors and reshapes some; each initializer is then found again by its values,
takes its name in torch's ``state_dict`` and points at that tensor's bytes in the safetensors file.
The bytes are never copied. A test compares names and bytes. Beside them lie, under the drop rule
``mean``, the mean answers of the experts: a cut takes them, the graph of the world does not.
"""

import copy
import logging
import warnings
from pathlib import Path

import onnx
import torch
from onnx import ModelProto, numpy_helper
from safetensors.torch import save_file
from torch import Tensor, nn

from homerange.model.backbone import transformer_layers
from homerange.model.experts import ExpertMlp
from homerange.model.network import SpeciesNetwork, pixels_to_input
from homerange.specialize.expert_graph import expert_nodes
from homerange.specialize.graph import point_at, replace_nodes
from homerange.world.description import ExpertLayer
from homerange.world.weights import read_header

__all__ = ["GRAPH", "INPUT", "OPSET", "OUTPUT", "WEIGHTS", "export_graph"]

GRAPH = "graph.onnx"
WEIGHTS = "weights.safetensors"
INPUT = "image"
OUTPUT = "logits"
OPSET = 20


class _FromPixels(nn.Module):
    """The network from decoded photos (B, H, W, 3), uint8, to logits (B, C)."""

    def __init__(self, network: SpeciesNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, C) for decoded photos (B, H, W, 3)."""
        logits_BC: Tensor = self.network(pixels_to_input(image))
        return logits_BC


def export_graph(network: SpeciesNetwork, folder: Path, *, input_px: int) -> list[ExpertLayer]:
    """Write ``graph.onnx`` and ``weights.safetensors``; return the expert layers of the graph.

    Args:
        network: In evaluation mode and without batch norm; see ``fold_batch_norm``. Experts whose
            drop rule is ``mean`` know their mean answers.
        folder: Where to write.
        input_px: Side of the input; the batch size stays free.

    Raises:
        ValueError: If a tensor of the network cannot be found in the graph.
    """
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(state | _mean_answers(network), folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # the library makes a file that only its owner may read
    structure = copy.deepcopy(network)
    mlps = _mark_experts(structure)
    _make_all_numbers_different(structure)
    model = _export(structure, input_px)
    _rename_by_value(model, structure)
    layers = [
        _write_experts(model.graph, layer, f"encoder.{name}.mlp", mlps[f"encoder.{name}.mlp"])
        for layer, name in transformer_layers(network.encoder).items()
        if f"encoder.{name}.mlp" in mlps
    ]
    _add_tensors(model.graph, network, layers)
    _point_at_weights(model, folder / WEIGHTS)
    (folder / GRAPH).write_bytes(model.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(folder / GRAPH))
    return layers


def _mean_answers(network: SpeciesNetwork) -> dict[str, Tensor]:
    return {
        f"{name}.mean_ED": mlp.mean_ED.contiguous()
        for name, mlp in network.named_modules()
        if isinstance(mlp, ExpertMlp) and mlp.experts and mlp.drop_rule == "mean"
    }


class _Marker(nn.Module):
    """Stands where experts stand: a node that is easy to find in the exported graph."""

    def __init__(self) -> None:
        super().__init__()
        self.marker = nn.Parameter(torch.ones(1))

    def forward(self, x_BDPN: Tensor, _: Tensor) -> Tensor:
        """Multiply by the marker."""
        return x_BDPN * self.marker


def _mark_experts(network: SpeciesNetwork) -> dict[str, ExpertMlp]:
    """Put a marker in the place of each expert MLP; return those by the prefix of their tensors."""
    found = {n: m for n, m in network.named_modules() if isinstance(m, ExpertMlp)}
    for name in found:
        parent, _, last = name.rpartition(".")
        setattr(network.get_submodule(parent), last, _Marker())
    return found


def _write_experts(graph: onnx.GraphProto, number: int, prefix: str, mlp: ExpertMlp) -> ExpertLayer:
    """Replace the marker of one layer by the nodes of its experts."""
    marker = f"{prefix}.marker"
    (position,) = [i for i, node in enumerate(graph.node) if marker in node.input]
    node = graph.node[position]
    (given,) = [name for name in node.input if name != marker]
    (added,) = [other for other in graph.node if node.output[0] in other.input]
    (residual,) = [name for name in added.input if name != node.output[0]]
    layer = ExpertLayer(
        layer=number,
        prefix=prefix,
        input=given,
        output=node.output[0],
        residual=residual,
        channels=mlp.channels,
        experts=mlp.experts,
        hidden=mlp.b1_EH.shape[1] if mlp.experts else 0,
        low_rank=bool(mlp.experts) and mlp.gate.down is not None,
        top_k=mlp.top_k,
        shared=mlp.shared.fc1.out_channels if mlp.shared is not None else 0,
    )
    replace_nodes(graph, {node.name}, expert_nodes(layer))
    return layer


def _add_tensors(
    graph: onnx.GraphProto, network: SpeciesNetwork, layers: list[ExpertLayer]
) -> None:
    """Declare the tensors of the experts that the new nodes take."""
    state = network.state_dict()
    used = {name for node in graph.node for name in node.input}
    for name, tensor in state.items():
        if name in used and any(name.startswith(f"{layer.prefix}.") for layer in layers):
            graph.initializer.append(numpy_helper.from_array(tensor.numpy(), name))


def _make_all_numbers_different(network: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))


def _export(network: SpeciesNetwork, input_px: int) -> ModelProto:
    image = torch.zeros(2, input_px, input_px, 3, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        program = torch.onnx.export(
            _FromPixels(network).eval(),
            (image,),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model: ModelProto = program.model_proto
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]  # stack traces: kilobytes that hold paths of this machine
        node.doc_string = ""
    return model


def _rename_by_value(model: ModelProto, network: SpeciesNetwork) -> None:
    """Give each initializer that holds a tensor of the network its name there."""
    name_of = {tensor.numpy().tobytes(): name for name, tensor in network.state_dict().items()}
    renamed: dict[str, str] = {}
    for initializer in model.graph.initializer:
        name = name_of.pop(numpy_helper.to_array(initializer).tobytes(), None)
        if name is not None:
            renamed[initializer.name] = name
            initializer.name = name
    if name_of:
        lost = sorted(name_of.values())
        raise ValueError(f"{len(lost)} tensors are not in the exported graph, first {lost[0]}")
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)


def _point_at_weights(model: ModelProto, weights: Path) -> None:
    """Replace the values of the network's tensors by where they stand in the weights file."""
    stored = read_header(weights)
    for initializer in model.graph.initializer:
        if initializer.name not in stored:
            continue  # a constant of the graph, such as the 255 of the normalisation
        point_at(initializer, weights, stored[initializer.name])
