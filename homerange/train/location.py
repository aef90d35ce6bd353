"""Step ii of the paper: fine-tune a checkpoint, supervised by where its photos were taken.

The location encoder is frozen: what it says of each photo's place is computed once. The projections
that are trained beside the network are thrown away with the location loss; the checkpoint holds the
network alone, so that nothing needs a place to run.

Axes used in this file:
    N  photos      F  features of the location encoder
"""

from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor

from homerange.data.manifest import Manifest
from homerange.errors import ManifestError
from homerange.model.backbone import transformer_layers
from homerange.model.checkpoint import WEIGHTS, load_checkpoint
from homerange.model.location import LocationEncoder
from homerange.model.network import SpeciesNetwork
from homerange.model.torchspatial import load_torchspatial
from homerange.train.contrast import LocationLoss
from homerange.train.experts import freeze_gates
from homerange.train.location_config import LocationConfig
from homerange.train.stage import (
    Places,
    Stage,
    Trained,
    check_same_network,
    sha256_of,
    train_stage,
)

__all__ = ["places_of", "train_location"]


def train_location(
    manifest: Path,
    output: Path,
    config: LocationConfig,
    *,
    from_checkpoint: Path,
    encoder: Path,
    resume: bool = False,
) -> Trained:
    """Fine-tune a checkpoint with the location loss and write a checkpoint of the same shape.

    Args:
        manifest: A manifest with splits and coordinates, with the species of the checkpoint.
        output: Folder of the checkpoint; made if absent.
        config: The recipe.
        from_checkpoint: The checkpoint to go on from, dense or with experts.
        encoder: The location encoder: a ``.pth.tar`` file of TorchSpatial.
        resume: Go on from the last saved state in ``output``.

    Raises:
        CheckpointError: If the checkpoint has no class head, or a file does not fit.
        ConfigError: If the recipe names another backbone or head than the checkpoint.
        ManifestError: If no photo of split train has coordinates, or as
            :func:`homerange.train.stage.train_stage`.
    """
    network, facts = load_checkpoint(from_checkpoint)
    check_same_network(from_checkpoint, facts, config)
    config.supervised(len(transformer_layers(network.encoder)))  # refuses layers that are not there
    location_encoder = load_torchspatial(encoder)

    def build(_: tuple[str, ...], __: Manifest) -> SpeciesNetwork:
        """Go on with the network of the checkpoint."""
        assert network.head is not None
        network.head.dropout.p = config.head_dropout
        if facts.recipe.get("routing") == "random":
            freeze_gates(network)
        return network

    def loss(trained: SpeciesNetwork, fabric: Fabric) -> LocationLoss:
        """Make the location loss with new projections."""
        size = location_encoder.spec.features
        return LocationLoss(trained.encoder, config, fabric, place_size=size)

    stage = Stage(
        classes=facts.classes,
        experts=facts.experts,
        start=f"checkpoint sha256 {sha256_of(from_checkpoint / WEIGHTS)}, "
        f"location encoder sha256 {sha256_of(encoder)}",
        build=build,
        places=Places(encode=lambda photos: places_of(photos, location_encoder), loss=loss),
    )
    return train_stage(manifest, output, config, stage, resume=resume)


def places_of(photos: Manifest, encoder: LocationEncoder) -> Tensor:
    """Encode where photos were taken, shape (N, F); NaN without coordinates.

    Raises:
        ManifestError: If no photo has coordinates.
    """
    latlon_N2 = photos.latlon_N2()
    known_N = ~np.isnan(latlon_N2).any(axis=1)
    if not known_N.any():
        raise ManifestError(
            f"none of {len(photos):,} photos of split train has coordinates, so places cannot "
            "supervise. Import them again with columns latitude and longitude"
        )
    place_NF = torch.full((len(photos), encoder.spec.features), torch.nan)
    place_NF[torch.from_numpy(known_N)] = encoder.embed(latlon_N2[known_N])
    return place_NF
