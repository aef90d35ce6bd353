"""The animal detector MegadetectorLite as an ONNX file that ``predict --detector`` takes.

Its weights are not ours and not in this repository: they lie, under the MIT licence, in the wheel
of ``zamba`` on PyPI. Fetch that with ``pip download zamba --no-deps`` and export it once.

Axes used in this file:
    B  photos      H, W  the square      3  red, green, blue      A  candidate boxes
"""

import io
import logging
import pickle
import warnings
import zipfile
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from homerange import __version__
from homerange.errors import CheckpointError
from homerange.export.yolox import STRIDES, ConvBlock, YoloxTiny
from homerange.output import atomic_file

__all__ = ["export_detector"]

MEMBER = "zamba/object_detection/yolox/assets/yolox_tiny_640_20220528.pth"
NAME = "MegadetectorLite (YOLOX-tiny, MIT licence, from zamba)"
OPSET = 20


def export_detector(weights: Path, output: Path, *, input_px: int = 640) -> int:
    """Write the detector as one ONNX file.

    Args:
        weights: The wheel of zamba, or the file of weights in it (``.pth``).
        output: The file to write, ``.onnx``: uint8 (batch, ``input_px``, ``input_px``, 3), RGB, to
            candidate boxes (batch, A, 5): left, top, right, bottom in pixels, confidence.
        input_px: Side of the square; it must divide by 32. The weights were trained at 640.

    Returns:
        The size of the file in bytes.

    Raises:
        CheckpointError: If there are no such weights, or they are of another network.
    """
    if input_px < STRIDES[-1] or input_px % STRIDES[-1]:
        raise CheckpointError(
            f"a detector cannot have {input_px} px; expected a multiple of {STRIDES[-1]}"
        )
    model = _export(_FromPixels(_fold(_load(weights))), input_px)
    data: bytes = model.SerializeToString(deterministic=True)
    with atomic_file(output) as file:
        file.write(data)
    return len(data)


class _FromPixels(nn.Module):
    """The network from red, green and blue bytes. It was trained on blue, green and red."""

    def __init__(self, network: YoloxTiny) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return candidate boxes (B, A, 5) for squares (B, H, W, 3)."""
        boxes_BA5: Tensor = self.network(image.permute(0, 3, 1, 2).flip(1).float())
        return boxes_BA5


def _load(weights: Path) -> YoloxTiny:
    network = YoloxTiny().eval()
    try:
        data = _weights_bytes(weights)
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)["model"]
        network.load_state_dict(state)
    except (OSError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{weights}: holds no weights of YOLOX-tiny with one class ({error}). Expected the "
            "wheel of zamba 2.7: pip download zamba --no-deps"
        ) from error
    return network


def _weights_bytes(weights: Path) -> bytes:
    if weights.suffix != ".whl":
        return weights.read_bytes()
    with zipfile.ZipFile(weights) as wheel:
        return wheel.read(MEMBER)


def _fold(network: YoloxTiny) -> YoloxTiny:
    """Take the batch norms into the convolutions before them."""
    for block in list(network.modules()):
        if isinstance(block, ConvBlock):
            block.conv = fuse_conv_bn_eval(block.conv, block.bn)
            block.bn = nn.Identity()  # type: ignore[assignment]
    return network


def _export(network: nn.Module, input_px: int) -> onnx.ModelProto:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        program = torch.onnx.export(
            network.eval(),
            (torch.zeros(2, input_px, input_px, 3, dtype=torch.uint8),),
            dynamo=True,
            input_names=["image"],
            output_names=["boxes"],
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # stack traces: kilobytes that hold paths of this machine
        node.doc_string = ""
    del model.metadata_props[:]
    model.producer_name, model.producer_version = "homerange", __version__
    model.metadata_props.add(key="name", value=NAME)
    return model
