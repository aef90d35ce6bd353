"""A trained network over the photos of a manifest: features and logits, photo by photo.

Evaluation and the profile of a world share this pass, in 32 bit and in evaluation mode.

Axes used in this file:
    N  photos that could be read      D  features      C  classes
"""

import numpy as np
import torch

from homerange.data.answers import Answers, Unreadable, check_readable
from homerange.data.manifest import Manifest
from homerange.model.checkpoint import CheckpointConfig
from homerange.model.network import SpeciesNetwork
from homerange.progress import progress
from homerange.train.dataset import PlainPhotos, loader

__all__ = ["infer"]


def infer(
    network: SpeciesNetwork, config: CheckpointConfig, manifest: Manifest, *, title: str
) -> Answers:
    """Run a network over every photo of a manifest, as the device would prepare them.

    Args:
        network: In evaluation mode.
        config: The checkpoint's, for classes and preprocessing.
        manifest: The photos.
        title: What the progress line says, for example ``"evaluate"``.

    Raises:
        ManifestError: If there are photos and none of them can be read.
    """
    photos = PlainPhotos(manifest, config.classes, config.preprocessing)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device)
    rows, labels, features, logits = [], [], [], []
    unreadable: list[Unreadable] = []
    with progress(title, len(manifest), unit="photos") as step, torch.no_grad():
        for batch in loader(photos, workers=2):
            unreadable += batch.unreadable
            step(len(batch) + len(batch.unreadable))
            if len(batch) == 0:
                continue
            latlon_B2 = photos.latlon_N2[batch.photo_B].to(device)
            features_BD = network.features(batch.pixels_B3HW.to(device).float() / 255.0, latlon_B2)
            rows.append(batch.photo_B.numpy())
            labels.append(batch.class_B.numpy())
            features.append(features_BD.cpu().numpy())
            logits.append(network.classify(features_BD).cpu().numpy())
    check_readable(manifest, unreadable)
    return Answers(
        np.concatenate(rows) if rows else np.empty(0, np.int64),
        np.concatenate(labels) if labels else np.empty(0, np.int64),
        np.concatenate(features) if features else np.empty((0, 0), np.float32),
        np.concatenate(logits) if logits else np.empty((0, len(config.classes)), np.float32),
        unreadable,
    )
