"""Location encoders that TorchSpatial or CSP trained: their ``.pth.tar`` files, read.

A file holds ``state_dict`` and ``params``, the arguments of its training. Frequencies are not
stored: they follow from ``params``, or from the name of the file where it lacks the radii. What
such a file learnt beside the encoder (classes, users, a decoder of images) is left out, by name.
Nothing but tensors and plain values is loaded.

Sources: seai-lab/TorchSpatial and gengchenmai/csp, ``main/trainer.py``.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from homerange.errors import CheckpointError, ConfigError
from homerange.geo.space2vec import Encoding, Space2Vec
from homerange.model.location import LocationEncoder, LocationSpec

__all__ = ["load_torchspatial"]

ENCODINGS: Mapping[str, Encoding] = {
    "Space2Vec-grid": "grid",
    "Space2Vec-theory": "theory",
    "gridcell": "grid",  # as CSP calls them
    "theory": "theory",
}
LEFT_OUT = re.compile(r"(?:loc_enc\.)?(?:class_emb|user_emb|img_dec|loc_dec)\.")
RADII_IN_NAME = re.compile(r"_(\d+\.\d{7})_(\d+\.\d{3})_")


def load_torchspatial(path: Path) -> LocationEncoder:
    """Load the location encoder of a TorchSpatial checkpoint, in evaluation mode.

    Args:
        path: A ``.pth.tar`` file of a Space2Vec grid or theory model; alone, or wrapped beside an
            image decoder as CSP stores it.

    Raises:
        CheckpointError: If the file is missing or is something else, its encoder is of another
            kind, or a tensor is missing, left over or of another shape.
    """
    state, params = _read(path)
    try:
        encoder = LocationEncoder(_spec(params, path))
    except ConfigError as error:
        raise CheckpointError(f"{path}: params of the training: {error}") from error
    found = _encoder_state(state, path)
    wanted = {name: tensor.shape for name, tensor in encoder.state_dict().items()}
    shapes = {name: tensor.shape for name, tensor in found.items()}
    wrong = sorted({name for name, _ in shapes.items() ^ wanted.items()})
    if wrong:
        raise CheckpointError(
            f"{path}: {len(wrong)} tensors of the encoder are missing, left over or of another "
            f"shape than its params say, first {', '.join(wrong[:3])}. Get the file again"
        )
    encoder.load_state_dict(found)
    return encoder.eval()


def _read(path: Path) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such location encoder. Expected a .pth.tar file of TorchSpatial, or a "
            "folder written by: homerange train range"
        )
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise CheckpointError(
            f"{path}: cannot be read as tensors and plain values ({type(error).__name__}). "
            "Expected a .pth.tar file of TorchSpatial"
        ) from error
    parts = [loaded.get(name) for name in ("state_dict", "params")] if loaded else []
    if len(parts) != 2 or not all(isinstance(part, Mapping) for part in parts):
        raise CheckpointError(
            f"{path}: lacks 'state_dict' or 'params'. Expected a .pth.tar file of TorchSpatial"
        )
    return parts[0], parts[1]


def _spec(params: Mapping[str, Any], path: Path) -> LocationSpec:
    kind = str(params.get("spa_enc_type"))
    if kind not in ENCODINGS:
        raise CheckpointError(
            f"{path}: its location encoder is {kind}; expected one of {', '.join(ENCODINGS)}"
        )
    if params.get("freq_init") not in ("geometric", "nerf"):
        raise CheckpointError(
            f"{path}: freq_init is {params.get('freq_init')!r}; expected geometric or nerf, "
            "because drawn frequencies are not stored"
        )
    needed = "frequency_num num_hidden_layer hidden_dim num_filts spa_f_act use_layn".split()
    missing = [name for name in (*needed, "skip_connection", "dropout") if name not in params]
    if missing:
        raise CheckpointError(f"{path}: params lack {', '.join(missing)}. Get the file again")
    low, high = _radii_deg(params, path)
    space2vec = Space2Vec(
        encoding=ENCODINGS[kind],
        scales=params["frequency_num"],
        frequencies=params["freq_init"],
        min_radius_deg=low,
        max_radius_deg=high,
    )
    return LocationSpec(
        space2vec=space2vec,
        hidden_layers=params["num_hidden_layer"],
        hidden=params["hidden_dim"],
        features=params["num_filts"],
        activation=params["spa_f_act"],
        layer_norm=params["use_layn"],
        skip=params["skip_connection"],
        dropout=params["dropout"],
    )


def _radii_deg(params: Mapping[str, Any], path: Path) -> tuple[float, float]:
    if "min_radius" in params and "max_radius" in params:
        return float(params["min_radius"]), float(params["max_radius"])
    in_name = RADII_IN_NAME.search(path.name)
    if in_name is None:
        raise CheckpointError(
            f"{path}: neither params nor the name of the file give min_radius and max_radius. "
            "Keep the name that TorchSpatial gave it"
        )
    return float(in_name[1]), float(in_name[2])


def _encoder_state(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the tensors of the encoder by our names; refuse what nobody knows."""
    plain = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    wrapped = {n: t for n, t in plain.items() if n.startswith("loc_enc.spa_enc.")}
    alone = {n: t for n, t in plain.items() if n.startswith("spa_enc.")}
    unknown = [n for n in plain if n not in wrapped and n not in alone and not LEFT_OUT.match(n)]
    if unknown:
        raise CheckpointError(
            f"{path}: {len(unknown)} tensors are of no part that is known, first "
            f"{', '.join(unknown[:3])}. Expected spa_enc.*, alone or inside loc_enc.*"
        )
    chosen = alone or wrapped
    return {name.partition("spa_enc.")[2]: tensor for name, tensor in chosen.items()}
