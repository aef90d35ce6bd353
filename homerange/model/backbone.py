"""The encoder: MobileViTV2 of any width, from timm, and the weights that it starts from.

Source: Mehta and Rastegari 2022, arXiv:2206.02680; timm's ``mobilevitv2_050`` to ``_200``. The
paper's network is width 0.5: 1,113,593 parameters and features of 256 numbers.

Input is RGB between 0 and 1, without mean or deviation (METHOD of the original recipe).
"""

from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from homerange.errors import CheckpointError, ConfigError
from homerange.model.experts import ExpertBlock, ExpertSpec

__all__ = [
    "SHIPPED_START",
    "add_experts",
    "build_encoder",
    "feature_size",
    "from_hub",
    "load_encoder",
    "save_start",
    "transformer_layers",
]

BACKBONES = tuple(
    f"mobilevitv2_{width}" for width in ("050", "075", "100", "125", "150", "175", "200")
)
SHIPPED_START = Path(__file__).parent / "start" / "mobilevitv2_050.safetensors"


def build_encoder(backbone: str = "mobilevitv2_050", *, start: str = "none") -> nn.Module:
    """Build an encoder: photos (B, 3, H, W) to pooled features (B, feature_size).

    Args:
        backbone: A MobileViTV2 of timm, ``mobilevitv2_050`` to ``mobilevitv2_200``.
        start: ``"none"`` for random weights, ``"shipped"`` for the start weights in this package,
            ``"timm"`` for the ImageNet weights of timm's hub (needs a network), or the path of a
            ``.safetensors`` or ``.pth`` file: our checkpoint, start weights, or timm's format.

    Raises:
        ConfigError: If the backbone is unknown.
        CheckpointError: If the weights are missing or do not fit.

    Example:
        >>> sum(p.numel() for p in build_encoder("mobilevitv2_050").parameters())
        1113593
    """
    if backbone not in BACKBONES:
        raise ConfigError(f"backbone {backbone!r} is unknown; choose one of {', '.join(BACKBONES)}")
    if start == "timm":
        return from_hub(backbone)
    encoder: nn.Module = timm.create_model(backbone, pretrained=False, num_classes=0)
    if start == "shipped":
        _load_shipped(encoder, backbone)
    elif start != "none":
        load_encoder(encoder, Path(start))
    return encoder


def feature_size(encoder: nn.Module) -> int:
    """Return how many numbers the encoder gives for a photo: 256 at width 0.5."""
    return int(encoder.num_features)  # type: ignore[arg-type]


def transformer_layers(encoder: nn.Module) -> dict[int, str]:
    """Name the transformer layers of an encoder, counted from 0 through all its blocks.

    Example:
        >>> transformer_layers(build_encoder())[3]
        'stages.3.1.transformer.1'
    """
    names = (name for name, _ in encoder.named_modules())
    layers = [n for n in names if n.rpartition(".")[0].endswith("transformer")]
    return dict(enumerate(layers))


def add_experts(encoder: nn.Module, spec: ExpertSpec) -> None:
    """Replace the MLP of some transformer layers by experts with random weights, in place.

    Raises:
        ConfigError: If the encoder has no such layer.
    """
    names = transformer_layers(encoder)
    for layer in spec.layers:
        if layer not in names:
            raise ConfigError(
                f"expert layer {layer} does not exist; this encoder has layers 0 to "
                f"{len(names) - 1}"
            )
        parent, _, last = names[layer].rpartition(".")
        blocks = encoder.get_submodule(parent)
        setattr(blocks, last, ExpertBlock(blocks.get_submodule(last), spec))


def load_encoder(encoder: nn.Module, path: Path) -> None:
    """Load weights into ``encoder``, every one of them or none.

    A class head in the file (``head.*``) is left out: it belongs to other classes.

    Raises:
        CheckpointError: If the file is missing, or a tensor is missing, left over or of another
            shape; the message names the first ones.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such weights file. Expected .safetensors or .pth")
    found = {
        name.removeprefix("encoder."): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in _read(path).items()
        if not name.startswith("head.")
    }
    wanted = encoder.state_dict()
    missing = sorted(wanted.keys() - found.keys())
    unused = sorted(found.keys() - wanted.keys())
    other_shape = sorted(
        name for name in wanted.keys() & found.keys() if wanted[name].shape != found[name].shape
    )
    for what, names in (
        ("missing", missing),
        ("unused", unused),
        ("of another shape", other_shape),
    ):
        if names:
            raise CheckpointError(
                f"{path}: {len(names)} tensors are {what}, first {', '.join(names[:3])}. "
                "These weights are of another network; check the backbone in the recipe"
            )
    encoder.load_state_dict(found)


def save_start(encoder: nn.Module, path: Path, *, card: Mapping[str, str]) -> None:
    """Write the encoder as start weights: half precision, counters of batch norm kept as they are.

    Args:
        encoder: The encoder to write.
        path: Where to write, ``.safetensors``.
        card: How the weights were made, as text; stored in the header of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in encoder.state_dict().items()
    }
    save_file(half, path, metadata=dict(card))


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format raises its own kinds for a damaged file
        raise CheckpointError(
            f"{path}: cannot be read as weights ({type(error).__name__}). Expected a file of "
            "safetensors, or a .pth file that holds tensors only"
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise CheckpointError(f"{path}: found {type(loaded).__name__}, expected a dict of tensors")
    return state


def _load_shipped(encoder: nn.Module, backbone: str) -> None:
    if backbone != SHIPPED_START.stem:
        raise CheckpointError(
            f"the package ships start weights for {SHIPPED_START.stem} only, not for {backbone}. "
            'Use start = "timm", a weights file, or "none"'
        )
    load_encoder(encoder, SHIPPED_START)


def from_hub(backbone: str) -> nn.Module:
    """Build an encoder of timm, of any kind, with the ImageNet weights of its hub.

    Raises:
        CheckpointError: If they cannot be fetched.
    """
    try:
        encoder: nn.Module = timm.create_model(backbone, pretrained=True, num_classes=0)
    except Exception as error:  # the hub raises many kinds, none of them ours
        raise CheckpointError(
            f"could not fetch the ImageNet weights of {backbone} from timm's hub: {error}. "
            'Connect to the network, or use start = "shipped" (of mobilevitv2_050 only), a weights '
            'file, or "none"'
        ) from error
    return encoder
