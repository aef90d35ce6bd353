"""Two published worlds, each made once: a plain head at 96 px, and the paper's head at 224 px.

Their networks were not trained. Batch norm knows the photos and each class row points to the mean
feature of its photos, so that answers differ and are right now and then.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tiny_training import CLASSES, tiny_manifest

from homerange.data.images import Preprocessing
from homerange.data.manifest import Manifest
from homerange.model.checkpoint import CheckpointConfig, load_checkpoint, save_weights
from homerange.profile.publish import Published, publish
from homerange.train.dataset import PlainPhotos, loader

torch.set_num_threads(1)  # one core is enough for tiny networks


@dataclass(frozen=True)
class Made:
    """A world and what it was made from."""

    checkpoint: Path
    manifest: Path
    world: Path
    published: Published


def write_checkpoint(folder, manifest, *, classes, head, input_px):
    """A network that was given photos to look at instead of a training."""
    config = CheckpointConfig(
        backbone="mobilevitv2_050",
        head=head,
        classes=classes,
        preprocessing=Preprocessing(input_px=input_px, fit="squash"),
        recipe={"name": "looked", "seed": 4},
        provenance={"start": "none"},
    )
    photos = PlainPhotos(Manifest.read(manifest).split("train"), classes, config.preprocessing)
    (batch,) = loader(photos, workers=0)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(11)
        network = config.network()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
        network.train().features(batch.pixels_B3HW / 255)
        draw_class_rows(network.eval(), batch)
    folder.mkdir()
    config.write(folder)
    save_weights(network, folder)
    return folder


def draw_class_rows(network, batch):
    """Random rows; those of the classes in the batch point to the mean of their photos."""
    rows = network.head.classes
    features_BD = network.features(batch.pixels_B3HW / 255)
    middle_D = features_BD.mean(dim=0)
    spread = (features_BD - middle_D).norm(dim=1).mean()
    rows.weight.normal_(std=float(0.5 / spread))
    for label in batch.class_B.unique():
        away_D = features_BD[batch.class_B == label].mean(dim=0) - middle_D
        rows.weight[label] = 4 / spread * away_D / away_D.norm()
    rows.bias.copy_(-rows.weight @ middle_D)


def make_world(folder, *, classes, head, input_px, **photos):
    manifest = tiny_manifest(folder, **photos)
    checkpoint = write_checkpoint(
        folder / "checkpoint", manifest, classes=classes, head=head, input_px=input_px
    )
    published = publish(checkpoint, manifest, folder / "world")
    return Made(checkpoint, manifest, folder / "world", published)


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """Four classes; 12 validation and 28 test photos."""
    folder = tmp_path_factory.mktemp("plain")
    how = {"classes": CLASSES, "head": "plain", "input_px": 96}
    return make_world(folder, **how, train=16, val=12, test=28)


@pytest.fixture(scope="session")
def bottleneck(tmp_path_factory):
    """As many classes as iNaturalist-Geo has in the paper: 5,089."""
    folder = tmp_path_factory.mktemp("bottleneck")
    invented = [f"Fictus species{i:04}" for i in range(5085)]
    how = {"classes": (*CLASSES[:-1], *invented, "blank"), "head": "bottleneck", "input_px": 224}
    return make_world(folder, **how, train=8, val=4, test=6)


@pytest.fixture(scope="session")
def network_of():
    """The network of a world in torch, with its batch norm, as it was trained."""
    return lambda made: load_checkpoint(made.checkpoint)[0]
