"""Step ii of the paper: fine-tune a checkpoint, supervised by where its photos were taken.

The location encoder is frozen. The projections that are trained beside the network are no part of
it: they lie beside its weights, for figures only, and nothing needs a place to run.
"""

from pathlib import Path

import numpy as np
from lightning.fabric import Fabric

from homerange.data.manifest import Manifest
from homerange.errors import ManifestError
from homerange.model.backbone import transformer_layers
from homerange.model.checkpoint import WEIGHTS, load_checkpoint
from homerange.model.network import SpeciesNetwork
from homerange.model.range import load_location_encoder
from homerange.train.contrast import LocationLoss
from homerange.train.experts import freeze_gates
from homerange.train.location_config import LocationConfig
from homerange.train.stage import Stage, Trained, check_same_network, sha256_of, train_stage

__all__ = ["train_location"]


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
        encoder: The location encoder: the folder of a range model, or a ``.pth.tar`` file of
            TorchSpatial.
        resume: Go on from the last saved state in ``output``.

    Raises:
        CheckpointError: If the checkpoint has no class head, or a file does not fit.
        ConfigError: If the recipe names another backbone or head than the checkpoint.
        ManifestError: If no photo of split train has coordinates, or as
            :func:`homerange.train.stage.train_stage`.
    """
    _check_coordinates(manifest)
    network, facts = load_checkpoint(from_checkpoint)
    check_same_network(from_checkpoint, facts, config)
    config.supervised(len(transformer_layers(network.encoder)))  # refuses layers that are not there
    location_encoder = load_location_encoder(encoder)

    def build(_: tuple[str, ...], __: Manifest) -> SpeciesNetwork:
        """Go on with the network of the checkpoint."""
        assert network.head is not None
        network.head.dropout.p = config.head_dropout
        if facts.recipe.get("routing") == "random":
            freeze_gates(network)
        return network

    def location(trained: SpeciesNetwork, fabric: Fabric) -> LocationLoss:
        """Make the location loss with new projections."""
        return LocationLoss(trained.encoder, config, fabric, location_encoder)

    stage = Stage(
        classes=facts.classes,
        experts=facts.experts,
        start=f"checkpoint sha256 {sha256_of(from_checkpoint / WEIGHTS)}, "
        f"location encoder sha256 {sha256_of(encoder / WEIGHTS if encoder.is_dir() else encoder)}",
        build=build,
        location=location,
    )
    return train_stage(manifest, output, config, stage, resume=resume)


def _check_coordinates(path: Path) -> None:
    """Refuse, before anything is written, photos of which none has a place."""
    photos = Manifest.read(path).split("train")
    if np.isnan(photos.latlon_N2()).any(axis=1).all():
        raise ManifestError(
            f"{path}: none of {len(photos):,} photos of split train has coordinates, so places "
            "cannot supervise. Import them again with columns latitude and longitude"
        )
