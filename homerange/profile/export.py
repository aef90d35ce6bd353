"""The network as an ONNX graph whose weights are a safetensors file: one file serves both.

The graph is exported from a copy of the network in which every number is different, because the
exporter joins equal tensors and reshapes some; each initializer is then found again by its values,
takes its name in torch's ``state_dict`` and points at that tensor's bytes in the safetensors file.
The bytes are never copied. A test compares names and bytes.
"""

import copy
import logging
import warnings
from pathlib import Path

import onnx
import torch
from onnx import ModelProto, TensorProto, numpy_helper
from safetensors.torch import save_file
from torch import Tensor, nn

from homerange.model.network import SpeciesNetwork, pixels_to_input
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


def export_graph(network: SpeciesNetwork, folder: Path, *, input_px: int) -> None:
    """Write ``graph.onnx`` and ``weights.safetensors``.

    Args:
        network: In evaluation mode and without batch norm; see ``fold_batch_norm``.
        folder: Where to write.
        input_px: Side of the input; the batch size stays free.

    Raises:
        ValueError: If a tensor of the network cannot be found in the graph.
    """
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # the library makes a file that only its owner may read
    structure = copy.deepcopy(network)
    _make_all_numbers_different(structure)
    model = _export(structure, input_px)
    _rename_by_value(model, structure)
    _point_at_weights(model, folder / WEIGHTS)
    (folder / GRAPH).write_bytes(model.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(folder / GRAPH))


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
        place = stored[initializer.name]
        initializer.ClearField("raw_data")
        initializer.data_location = TensorProto.EXTERNAL
        facts = {"location": weights.name, "offset": place.offset_bytes, "length": place.size_bytes}
        for key, value in facts.items():
            entry = initializer.external_data.add()
            entry.key, entry.value = key, str(value)
