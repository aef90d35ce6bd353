"""One step of the real training loop, for one process or several; keeps the gradient it made.

Batch norm is frozen, because each process would see the statistics of its own photos only, and
dropout and mixup are off. With places it is a step of the location stage. Run by ``torchrun`` with
a folder that holds ``manifest.parquet``.
"""

import sys
from pathlib import Path

import torch
from tiny_encoder import SMALL
from tiny_training import CLASSES, tiny_config, tiny_location_config
from torch import nn

from homerange.data.manifest import Manifest
from homerange.model.location import LocationEncoder
from homerange.model.network import build_network
from homerange.train import loop
from homerange.train.augment import seeded
from homerange.train.contrast import LocationLoss
from homerange.train.dataset import PlainPhotos, TrainingPhotos
from homerange.train.dense import train_dense
from homerange.train.engine import make_fabric
from homerange.train.learner import Learner

PLAIN = {"epochs": 1, "batch_size": 8, "mixup": 0.0, "head_dropout": 0.0, "input_px": 32}
CONFIG = tiny_config(**PLAIN)
LOCATED = tiny_location_config(**PLAIN, location_dropout=0.0, location_weight=1.0)


def gradient_of_one_step(manifest, folder, *, places=False):
    """Train one step on eight photos, shared by all processes.

    Returns:
        The gradient of each parameter by its name.
    """
    config = LOCATED if places else CONFIG
    fabric = make_fabric(config)
    photos = Manifest.read(manifest)
    with seeded(config.seed):
        network = build_network(classes=len(CLASSES), dropout=config.head_dropout)
        encoder = LocationEncoder(SMALL)
        loss = LocationLoss(network.encoder, LOCATED, fabric, encoder) if places else None
        learner = Learner(network, config, teacher_size=0, location=loss)
    freeze_batch_norm(learner)
    data = loop.TrainingData(
        TrainingPhotos(photos.split("train"), CLASSES, config, px=config.input_px),
        PlainPhotos(photos.split("val"), CLASSES, config.preprocessing),
        None,
        None,
    )
    gradients, original = [], loop.make_optimizer

    def make_optimizer(learner, config):
        optimizer = original(learner, config)
        optimizer.register_step_pre_hook(
            lambda *_: gradients.append({n: p.grad.clone() for n, p in learner.named_parameters()})
        )
        return optimizer

    loop.make_optimizer = make_optimizer
    try:
        loop.fit(fabric, learner, data, folder, resume=False)
    finally:
        loop.make_optimizer = original
    (gradient,) = gradients
    return gradient


def freeze_batch_norm(network):
    """Let batch norm use its running statistics in training too."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.train = lambda _mode=True, module=module: module


def main(folder):
    folder = Path(folder)
    for name, places in (("gradient.pt", False), ("places.pt", True)):
        gradient = gradient_of_one_step(folder / "manifest.parquet", folder, places=places)
        if int(torch.distributed.get_rank()) == 0:
            torch.save(gradient, folder / name)
            torch.save(torch.distributed.get_world_size(), folder / "processes.pt")
    train_dense(folder / "manifest.parquet", folder / "checkpoint", tiny_config(input_px=32))


if __name__ == "__main__":
    main(sys.argv[1])
