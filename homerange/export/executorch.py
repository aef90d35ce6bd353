"""The model of a place as an ExecuTorch program (``.pte``) for XNNPACK, which phones run on.

A package holds an ONNX graph, and ExecuTorch takes torch: so the network is cut in torch, from the
checkpoint that the world of the package was published from, to the classes and experts that the
package has. Then both answer the same drawn photos, and a program that answers otherwise is not
written: a checkpoint of another training shows here.

Axes used in this file:
    B  photos      C  classes of the checkpoint      K  classes of the package
    E  experts     H, W  input_px                    3  red, green, blue
"""

import copy
import io
import logging
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from homerange.errors import CheckpointError, PackageError
from homerange.extras import need
from homerange.model.backbone import transformer_layers
from homerange.model.checkpoint import CheckpointConfig, load_checkpoint
from homerange.model.experts import ExpertMlp
from homerange.model.network import SpeciesNetwork, pixels_to_input
from homerange.output import atomic_file
from homerange.profile.fold import fold_batch_norm
from homerange.world.place_package import PlacePackage, read_package

__all__ = ["Exported", "cut_network", "export_executorch", "program_logits"]

PHOTOS = 8
TOLERANCE = 1e-3
"""Largest difference of a logit; summing in another order makes about 1e-5."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A program that was written."""

    path: Path
    size_bytes: int
    photos: int
    """Drawn photos that package and program answered."""
    largest_difference: float
    """Of one logit, over all of them."""


def export_executorch(package: Path, checkpoint: Path, output: Path) -> Exported:
    """Write the model of a package as an ExecuTorch program for one photo at a time.

    Args:
        package: A place package.
        checkpoint: What the world of the package was published from.
        output: The file to write, ``.pte``: uint8 (1, H, W, 3) to logits (1, K).

    Raises:
        CheckpointError: If the checkpoint lacks a class of the package, or answers otherwise.
        PackageError: If the package is broken or follows a drop rule that has no program yet.
        ExtraNotInstalled: If ExecuTorch is absent.
    """
    need("executorch")
    place = read_package(package)
    network, config = load_checkpoint(checkpoint)
    if config.preprocessing != place.preprocessing:
        raise CheckpointError(
            f"{checkpoint}: prepares photos otherwise than {package}; expected the checkpoint that "
            "the package's world was published from"
        )
    cut = _FromPixels(cut_network(fold_batch_norm(network), config, place)).eval()
    photos_BHW3 = _drawn_photos(place.preprocessing.input_px)
    expected_BK = _package_logits(place, photos_BHW3)
    with torch.no_grad():
        _check(
            cut(torch.from_numpy(photos_BHW3)).numpy(), expected_BK, checkpoint, "the checkpoint"
        )
    data = _lower(cut, place.preprocessing.input_px)
    difference = _check(program_logits(data, photos_BHW3), expected_BK, checkpoint, "the program")
    with atomic_file(output) as file:
        file.write(data)
    return Exported(path=output, size_bytes=len(data), photos=PHOTOS, largest_difference=difference)


class _FromPixels(nn.Module):
    def __init__(self, network: SpeciesNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, K) for decoded photos (B, H, W, 3)."""
        logits_BK: Tensor = self.network(pixels_to_input(image))
        return logits_BK


def cut_network(
    network: SpeciesNetwork, config: CheckpointConfig, package: PlacePackage
) -> SpeciesNetwork:
    """Keep the class rows and experts that a package has.

    Raises:
        CheckpointError: If the network lacks one of them.
        PackageError: If experts were dropped by another rule than ``reroute``.
    """
    cut = copy.deepcopy(network)
    assert cut.head is not None
    missing = sorted(set(package.labels) - set(config.classes))
    if missing:
        raise CheckpointError(
            f"the checkpoint does not know {missing[0]!r} of {package.path}; expected the one that "
            "the package's world was published from"
        )
    index_K = [config.classes.index(label) for label in package.labels]
    rows = cut.head.classes
    cut.head.classes = nn.Linear(rows.in_features, len(index_K))
    with torch.no_grad():
        cut.head.classes.weight.copy_(rows.weight[index_K])
        cut.head.classes.bias.copy_(rows.bias[index_K])
    kept = _kept_experts(package)
    for layer, name in transformer_layers(cut.encoder).items():
        block: Any = cut.encoder.get_submodule(name)
        if isinstance(block.mlp, ExpertMlp):
            if str(layer) in kept:
                _keep(block.mlp, torch.tensor(kept[str(layer)], dtype=torch.long))
            block.mlp = _StaticExperts(block.mlp)
    return cut.eval()


def _kept_experts(package: PlacePackage) -> dict[str, list[int]]:
    dropped = package.place["experts"]
    if not isinstance(dropped, dict) or not dropped:
        return {}
    if dropped["drop_rule"] != "reroute":
        raise PackageError(
            f"{package.path}: drops experts by the rule {dropped['drop_rule']!r}; a program can be "
            "made for 'reroute' only"
        )
    kept: dict[str, list[int]] = dropped["kept"]
    return kept


class _StaticExperts(nn.Module):
    """Experts that are all kept, without the branches that an exporter cannot follow."""

    def __init__(self, mlp: ExpertMlp) -> None:
        super().__init__()
        self.mlp = mlp

    def forward(self, x_BDPN: Tensor, _: Tensor | None = None) -> Tensor:
        """Answer for each token as ``ExpertMlp`` does in evaluation mode."""
        mlp = self.mlp
        y_BDPN = torch.zeros_like(x_BDPN) if mlp.shared is None else mlp.shared(x_BDPN)
        if not mlp.experts:
            return y_BDPN
        x_BTD = x_BDPN.flatten(2).transpose(1, 2)
        share_BTE = mlp.gate(x_BTD).softmax(-1)
        if mlp.top_k == 1:
            chosen_BTK = share_BTE.argmax(-1, keepdim=True)
            weight_BTK = torch.ones_like(share_BTE[..., :1])
        else:
            share_BTK, chosen_BTK = share_BTE.topk(mlp.top_k, dim=-1)
            weight_BTK = share_BTK / share_BTK.sum(-1, keepdim=True)
        answer_BTD = mlp._masked(x_BTD, chosen_BTK, weight_BTK)
        return y_BDPN + answer_BTD.transpose(1, 2).reshape(x_BDPN.shape)


def _keep(mlp: ExpertMlp, index_K: Tensor) -> None:
    """Remove all other experts, from the gate too: their tokens go to the best that is left."""
    for name in ("w1_EHD", "b1_EH", "w2_EHD", "b2_ED"):
        setattr(mlp, name, nn.Parameter(getattr(mlp, name)[index_K].detach()))
    mlp.gate.up = nn.Parameter(mlp.gate.up[index_K].detach())
    mlp.kept_E, mlp.mean_ED = mlp.kept_E[index_K], mlp.mean_ED[index_K]
    mlp.experts = len(index_K)
    mlp.top_k = min(mlp.top_k, mlp.experts)


def _drawn_photos(side_px: int) -> NDArray[np.uint8]:
    """Draw coarse patterns: on pure noise all photos look alike to a network."""
    coarse_B773 = np.random.default_rng(0).integers(0, 256, (PHOTOS, 7, 7, 3), dtype=np.uint8)
    index = np.arange(side_px) * 7 // side_px
    return np.ascontiguousarray(coarse_B773[:, index][:, :, index])


def _package_logits(package: PlacePackage, photos_BHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
    runtime = ort.InferenceSession(package.model, providers=["CPUExecutionProvider"])
    (logits_BK,) = runtime.run([package.output_name], {package.input_name: photos_BHW3})
    found: NDArray[np.float32] = logits_BK
    return found


def _check(
    found_BK: NDArray[np.float32], expected_BK: NDArray[np.float32], checkpoint: Path, who: str
) -> float:
    difference = float(np.abs(found_BK - expected_BK).max())
    same = (found_BK.argmax(1) == expected_BK.argmax(1)).all()
    if difference > TOLERANCE or not same:
        raise CheckpointError(
            f"{checkpoint}: {who} answers otherwise than the package: a logit differs by "
            f"{difference:.2g}, allowed are {TOLERANCE}. Expected the checkpoint that the world of "
            "the package was published from"
        )
    return difference


def _lower(network: nn.Module, side_px: int) -> bytes:
    """Turn a network into a program whose convolutions and matrix products XNNPACK computes."""
    partitioner = need("executorch.backends.xnnpack.partition.xnnpack_partitioner")
    exir = need("executorch.exir")
    image = torch.zeros(1, side_px, side_px, 3, dtype=torch.uint8)
    logging.getLogger("executorch").setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of the exporters, about their own internals
        exported = torch.export.export(network, (image,), strict=False)
        edge = exir.to_edge_transform_and_lower(
            exported, partitioner=[partitioner.XnnpackPartitioner()]
        )
        data: bytes = edge.to_executorch().buffer
    return data


def program_logits(data: bytes, photos_BHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Run a program on photos, one after the other; returns logits (B, K)."""
    runtime = need("executorch.runtime").Runtime.get()
    method = runtime.load_program(data).load_method("forward")
    rows = [method.execute([torch.from_numpy(one[None])])[0] for one in photos_BHW3]
    return np.concatenate([row.numpy() for row in rows])
