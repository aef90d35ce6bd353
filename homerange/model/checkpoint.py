"""The checkpoint: a folder that holds a trained network and how it was made.

``weights.safetensors`` (the selected weights), ``config.json`` (network, classes, preprocessing,
recipe), ``metrics.json`` (written by ``evaluate``), ``training_state.pt`` (what an interrupted
training needs to go on; safe to delete afterwards). The contract is docs/checkpoint.md.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from homerange.data.images import Preprocessing
from homerange.errors import CheckpointError
from homerange.model.experts import ExpertSpec
from homerange.model.network import HeadKind, SpeciesNetwork, build_network

__all__ = [
    "CHECKPOINT_VERSION",
    "WEIGHTS",
    "CheckpointConfig",
    "load_checkpoint",
    "load_weights",
    "read_config",
    "save_weights",
]

CHECKPOINT_VERSION = 2
FORMAT = "homerange-checkpoint"
OTHER_NETWORKS = ("mobilenet", "gnfg", "flyp")  # systems of homerange.baselines
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """What ``config.json`` says: enough to build the network and to prepare its input."""

    backbone: str
    head: HeadKind
    classes: tuple[str, ...]
    """Scientific names and outcomes, in the order of the class rows."""
    preprocessing: Preprocessing
    experts: ExpertSpec | None = None
    """Experts in place of some MLPs; null for a dense network. Since version 2."""
    recipe: Mapping[str, object] = field(default_factory=dict)
    """Every setting of the training, as it was used."""
    provenance: Mapping[str, object] = field(default_factory=dict)
    """Where the photos came from and what the training started from."""

    def network(self) -> SpeciesNetwork:
        """Build the network with random weights."""
        return build_network(
            classes=len(self.classes),
            backbone=self.backbone,
            head=self.head,
            experts=self.experts,
        )

    def write(self, folder: Path) -> None:
        """Write ``config.json`` into ``folder``."""
        text = {"format": FORMAT, "version": CHECKPOINT_VERSION, **asdict(self)}
        text["preprocessing"] = self.preprocessing.to_json()
        (folder / "config.json").write_text(json.dumps(text, indent=1, ensure_ascii=False) + "\n")


def read_config(folder: Path) -> CheckpointConfig:
    """Read ``config.json`` of a checkpoint.

    Raises:
        CheckpointError: If it is missing, not ours, or of a version that this homerange does not
            know.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(
            f"{folder}: not a checkpoint (no config.json). Make one with: homerange train"
        )
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(f"{path}: not JSON ({error}). Copy the checkpoint again") from error
    if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
        raise CheckpointError(f"{path}: not the config of a homerange checkpoint")
    version = found.pop("version", None)
    if version not in (1, CHECKPOINT_VERSION):
        raise CheckpointError(
            f"{path}: checkpoint version {version}, this homerange reads versions 1 to "
            f"{CHECKPOINT_VERSION}. Use the homerange that wrote it, or train again"
        )
    if version == 1:
        found = {"experts": None} | found
    names = {field.name for field in fields(CheckpointConfig)}
    if found.keys() != names:
        raise CheckpointError(
            f"{path}: lacks {sorted(names - found.keys())} and has unknown "
            f"{sorted(found.keys() - names)}. Copy the checkpoint again"
        )
    found["preprocessing"] = Preprocessing.from_json(found["preprocessing"])
    found["classes"] = tuple(found["classes"])
    found["experts"] = _experts(path, found["experts"])
    return CheckpointConfig(**found)


def _experts(path: Path, found: object) -> ExpertSpec | None:
    if found is None:
        return None
    names = {field.name for field in fields(ExpertSpec)}
    if not isinstance(found, dict) or found.keys() != names:
        raise CheckpointError(
            f"{path}: experts is {found!r}; expected null or an object with {sorted(names)}. "
            "Copy the checkpoint again"
        )
    return ExpertSpec(**found | {"layers": tuple(found["layers"])})


def save_weights(network: nn.Module, folder: Path) -> None:
    """Write ``weights.safetensors``, replacing the old file in one step."""
    target = folder / WEIGHTS
    part = target.with_suffix(".part")
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, part)
    part.replace(target)


def load_checkpoint(
    folder: Path, build: Callable[[CheckpointConfig], SpeciesNetwork] = CheckpointConfig.network
) -> tuple[SpeciesNetwork, CheckpointConfig]:
    """Load the selected weights of a checkpoint, in evaluation mode.

    Args:
        folder: The checkpoint.
        build: Builds the network that its config describes; the default knows world networks,
            ``homerange.baselines.systems.network_of`` other systems too.

    Raises:
        CheckpointError: If a file is missing, a tensor is missing or left over, or the network is
            one of another system that ``build`` does not know.
    """
    config = read_config(folder)
    system = config.recipe.get("system")
    if system in OTHER_NETWORKS and build is CheckpointConfig.network:
        raise CheckpointError(
            f"{folder}: a checkpoint of the baseline {system}, which homerange evaluate can run "
            "and nothing else. Use one of homerange train dense or experts"
        )
    network = build(config)
    what = f"{config.backbone} with a {config.head} head for {len(config.classes)} classes"
    load_weights(network, folder / WEIGHTS, what)
    return network.eval(), config


def load_weights(network: nn.Module, path: Path, what: str) -> None:
    """Load all tensors of a checkpoint into a network, or none.

    Args:
        network: The network.
        path: ``weights.safetensors``.
        what: What the network is, for messages.

    Raises:
        CheckpointError: If the file is missing or damaged, or a tensor is missing or left over.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{path.parent}: no {WEIGHTS} yet. Let the training finish, or resume it"
        )
    found = _read_weights(path)
    shapes = {name: tensor.shape for name, tensor in found.items()}
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    wrong = sorted({name for name, _ in shapes.items() ^ wanted.items()})
    if wrong:
        raise CheckpointError(
            f"{path}: {len(wrong)} tensors do not belong to {what}, first {', '.join(wrong[:3])}. "
            "Copy the checkpoint again"
        )
    network.load_state_dict(found)


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise CheckpointError(f"{path}: damaged ({error}). Copy the checkpoint again") from error
