"""Places as directions among the patches of a layer, to ask how near a patch is to a place.

Source: the paper, section 4.2, figure 8: a place is the mean of F_loc, what the location encoder
says of its photos' coordinates, projected for the layer. This needs a checkpoint of the location
stage. For any other network a place is the mean direction of the patches of training photos that
were taken there. Then a class would be near a place for the sole reason that its own photos are in
that mean; so for each class its own photos are left out: what is measured is whether it
looks like the other species, and the country, of a place.

Axes used in this file:
    B  photos of a batch      T  tokens of a photo      D  channels of the layer
    C  classes                K  places                 N  photos
    2  latitude, longitude
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from homerange.data.manifest import Manifest
from homerange.model.backbone import transformer_layers
from homerange.model.checkpoint import CheckpointConfig
from homerange.model.network import SpeciesNetwork
from homerange.model.pre_mlp import pre_mlp_tokens
from homerange.model.projections import project, read_projections
from homerange.model.range import load_location_encoder
from homerange.progress import progress
from homerange.train.dataset import PlainPhotos, loader

__all__ = ["PlaceViews", "views_of_encoder", "views_of_photos"]

BATCH = 64


@dataclass(frozen=True, eq=False)
class PlaceViews:
    """Directions of places in one layer."""

    mean_KD: Tensor
    """Of length 1."""
    for_class_CKD: Tensor | None
    """For each class without its own photos, of length 1; nan where no other photo is left. None
    where places do not depend on the class."""

    def of(self, class_B: Tensor) -> Tensor:
        """Return the places as they are for photos of some classes, shape (B, K, D)."""
        if self.for_class_CKD is None:
            return self.mean_KD.expand(len(class_B), *self.mean_KD.shape)
        return self.for_class_CKD[class_B]


def views_of_photos(
    network: SpeciesNetwork,
    config: CheckpointConfig,
    photos: Manifest,
    place_N: NDArray[np.int64],
    *,
    places: int,
    layer: int,
) -> PlaceViews:
    """Take the mean direction of the patches of photos for each place.

    Args:
        network: In evaluation mode.
        config: For classes and preprocessing.
        photos: Training photos of the places; those of unknown classes are left out.
        place_N: Place of each photo, from 0; each place has one.
        places: K.
        layer: Number of the layer.
    """
    name = transformer_layers(network.encoder)[layer]
    size = network.encoder.get_submodule(f"{name}.norm2").get_parameter("weight").numel()
    sum_XD = torch.zeros(len(config.classes) * places, size, dtype=torch.float64)
    shown = PlainPhotos(photos, config.classes, config.preprocessing)
    watched = pre_mlp_tokens(network.encoder, [name])
    with progress("places", len(photos), unit="photos") as step, watched as seen, torch.no_grad():
        for batch in loader(shown, batch_size=BATCH, workers=1):
            step(len(batch) + len(batch.unreadable))
            known = batch.known
            if len(known) == 0:
                continue
            network.encoder(known.pixels_B3HW.float() / 255)
            mean_BD = functional.normalize(seen[name], dim=-1).mean(dim=1)
            place_B = torch.from_numpy(place_N[known.photo_B.numpy()])
            sum_XD.index_add_(0, known.class_B * places + place_B, mean_BD.double())
    sum_CKD = sum_XD.view(len(config.classes), places, size)
    others_CKD = sum_CKD.sum(0) - sum_CKD
    # What is left of a sum after its only part is taken away is not exactly zero.
    empty_CK1 = others_CKD.norm(dim=-1, keepdim=True) < 1e-9
    others_CKD = functional.normalize(others_CKD, dim=-1).masked_fill(empty_CK1, torch.nan)
    mean_KD = functional.normalize(sum_CKD.sum(0), dim=-1)
    return PlaceViews(mean_KD.float(), others_CKD.float())


def views_of_encoder(
    latlon: Sequence[NDArray[np.float64]], *, encoder: Path, located: Path, channels: int
) -> PlaceViews:
    """Take the mean of the paper's F_loc over the coordinates of each place.

    Args:
        latlon: Coordinates of the photos of each place, degrees, each of shape (N, 2).
        encoder: The location encoder: the folder of a range model, or a file of TorchSpatial.
        located: The checkpoint of the location stage that has the projections.
        channels: D, of the layer.

    Raises:
        CheckpointError: If a file is missing, damaged, or of another training.
    """
    tensors, location_encoder = read_projections(located), load_location_encoder(encoder)
    means = [
        project(tensors, location_encoder.embed(latlon_N2), channels).mean(dim=0)
        for latlon_N2 in latlon
    ]
    return PlaceViews(functional.normalize(torch.stack(means), dim=-1), None)
