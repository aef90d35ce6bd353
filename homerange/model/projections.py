"""What the location stage trains beside the network: it turns places into what layers look at.

Source: the paper, section 3.2, F_loc: the norm of what the location encoder says of a place, a
linear projection for each block, ReLU. Training throws them away with its loss, and nothing needs
them to name a species. They are kept beside the weights of the epoch that is kept, because
without them nobody can ask afterwards how near a species is to a place (the paper, figure 8).

Axes used in this file:
    N  places      F  features of the location encoder      D  channels of a layer
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from homerange.errors import CheckpointError

__all__ = ["PROJECTIONS", "project", "read_projections", "save_projections"]

PROJECTIONS = "location.safetensors"


def save_projections(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Write ``location.safetensors``, replacing the old file in one step.

    Args:
        tensors: ``norm.weight``, ``norm.bias``, and for each block ``project.I.weight`` and
            ``project.I.bias``.
        folder: The checkpoint.
    """
    part = folder / f"{PROJECTIONS}.part"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part)
    part.replace(folder / PROJECTIONS)


def read_projections(folder: Path) -> dict[str, Tensor]:
    """Read what :func:`save_projections` wrote.

    Raises:
        CheckpointError: If it is absent or damaged.
    """
    path = folder / PROJECTIONS
    if not path.is_file():
        raise CheckpointError(
            f"{folder}: has no {PROJECTIONS}. Give a checkpoint of the location stage, trained "
            "with: homerange train location"
        )
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise CheckpointError(f"{path}: damaged ({error}). Copy the checkpoint again") from error


def project(tensors: Mapping[str, Tensor], place_NF: Tensor, channels: int) -> Tensor:
    """Turn places into views for the layers of one block, shape (N, D), each of length 1.

    The block is the one whose layers have as many channels: no two blocks of MobileViTV2 agree in
    that. Without dropout, as a network at rest.

    Args:
        tensors: As :func:`read_projections` gives them.
        place_NF: What the location encoder says of the places.
        channels: D, of the layer.

    Raises:
        CheckpointError: If no projection gives as many channels, or takes as many features.
    """
    sizes = {
        name.removesuffix(".weight"): weight
        for name, weight in tensors.items()
        if name.startswith("project.") and name.endswith(".weight")
    }
    fitting = [name for name, weight in sizes.items() if len(weight) == channels]
    features = place_NF.shape[1]
    if not fitting or len(tensors["norm.weight"]) != features:
        made_for = sorted(len(weight) for weight in sizes.values())
        raise CheckpointError(
            f"the projections of places take {len(tensors['norm.weight'])} features and give "
            f"{made_for} channels; expected {features} and {channels}. Give the location encoder "
            "and the checkpoint of one training, and a layer that places supervised"
        )
    with torch.no_grad():
        normed_NF = functional.layer_norm(
            place_NF, (features,), tensors["norm.weight"], tensors["norm.bias"]
        )
        name = fitting[0]
        view_ND = functional.linear(
            normed_NF, tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        ).relu()
        return functional.normalize(view_ND, dim=-1, eps=1e-8)
