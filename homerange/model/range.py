"""The range model: which species to expect at a place, from its coordinates alone.

Source: the presence model of geo_prior (Mac Aodha et al. 2019), with the location encoder of the
paper and the names of TorchSpatial's code: ``spa_enc`` is the encoder, ``class_emb`` has a row for
each species, without bias. Its checkpoint is a folder with ``config.json`` and
``weights.safetensors``; the contract is docs/checkpoint.md.

Axes used in this file:
    B  places      F  features of Space2Vec      C  species
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import Tensor, nn

from homerange.errors import CheckpointError
from homerange.geo.space2vec import Space2Vec
from homerange.model.checkpoint import WEIGHTS, load_weights
from homerange.model.location import LocationEncoder, LocationSpec
from homerange.model.torchspatial import load_torchspatial

__all__ = [
    "RANGE_VERSION",
    "RangeFacts",
    "RangeNetwork",
    "load_location_encoder",
    "load_range",
    "read_range_facts",
]

RANGE_VERSION = 1
FORMAT = "homerange-range"


class RangeNetwork(nn.Module):
    """A location encoder with one row for each species."""

    def __init__(self, spec: LocationSpec, species: int) -> None:
        super().__init__()
        self.spa_enc = LocationEncoder(spec)
        self.class_emb = nn.Linear(spec.features, species, bias=False)

    def forward(self, feature_BF: Tensor) -> Tensor:
        """Return logits (B, C) for places whose Space2Vec features are given."""
        logits_BC: Tensor = self.class_emb(self.spa_enc(feature_BF))
        return logits_BC


@dataclass(frozen=True, kw_only=True)
class RangeFacts:
    """What ``config.json`` of a range model says."""

    encoder: LocationSpec
    species: tuple[str, ...]
    """Scientific names, in the order of the rows."""
    finest_level: int
    """S2 level of the finest cells that records were made to."""
    recipe: Mapping[str, object] = field(default_factory=dict)
    """Every setting of the training, as it was used."""
    provenance: Mapping[str, object] = field(default_factory=dict)
    """The records that it learnt from, and their licences."""

    def write(self, folder: Path) -> None:
        """Write ``config.json`` into ``folder``."""
        text = {"format": FORMAT, "version": RANGE_VERSION, **asdict(self)}
        (folder / "config.json").write_text(json.dumps(text, indent=1, ensure_ascii=False) + "\n")


def read_range_facts(folder: Path) -> RangeFacts:
    """Read ``config.json`` of a range model.

    Raises:
        CheckpointError: If it is missing, not that of a range model, or of another version.
    """
    path = folder / "config.json"
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{folder}: is no range model ({error}). Make one with: homerange train range"
        ) from error
    if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
        raise CheckpointError(f"{folder}: is no range model. Make one with: homerange train range")
    version = found.pop("version", None)
    if version != RANGE_VERSION:
        raise CheckpointError(
            f"{path}: range model of version {version}, this homerange reads version "
            f"{RANGE_VERSION}. Use the homerange that wrote it, or train again"
        )
    try:
        encoder = dict(found["encoder"])
        space2vec = Space2Vec(**encoder.pop("space2vec"))
        found["encoder"] = LocationSpec(space2vec=space2vec, **encoder)
        return RangeFacts(**found | {"species": tuple(found["species"])})
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: lacks keys or has unknown ones ({error}). Copy the range model again"
        ) from error


def load_range(folder: Path) -> tuple[RangeNetwork, RangeFacts]:
    """Load a range model, in evaluation mode.

    Raises:
        CheckpointError: If a file is missing, or a tensor is missing or left over.
    """
    facts = read_range_facts(folder)
    network = RangeNetwork(facts.encoder, len(facts.species))
    load_weights(network, folder / WEIGHTS, f"a range model of {len(facts.species)} species")
    return network.eval(), facts


def load_location_encoder(path: Path) -> LocationEncoder:
    """Load a location encoder, in evaluation mode: ours or one of TorchSpatial.

    Args:
        path: The folder of a range model, or a ``.pth.tar`` file of TorchSpatial.

    Raises:
        CheckpointError: If it is missing, damaged or something else.
    """
    return load_range(path)[0].spa_enc if path.is_dir() else load_torchspatial(path)
