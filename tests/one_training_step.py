"""One step of the real training loop, for one process or several; keeps the gradient it made.

Batch norm is frozen, because each process would see the statistics of its own photos only, and
dropout and mixup are off. Run by ``torchrun`` with a folder that holds ``manifest.parquet``.
"""

import sys
from pathlib import Path

import torch
from tiny_training import CLASSES, tiny_config
from torch import nn

from homerange.data.manifest import Manifest
from homerange.model.network import build_network
from homerange.train import loop
from homerange.train.augment import seeded
from homerange.train.dataset import PlainPhotos, TrainingPhotos
from homerange.train.dense import train_dense
from homerange.train.engine import make_fabric
from homerange.train.learner import Learner

CONFIG = tiny_config(epochs=1, batch_size=8, mixup=0.0, head_dropout=0.0, input_px=32)


def gradient_of_one_step(manifest, folder):
    """Train one step on eight photos, shared by all processes.

    Returns:
        The gradient of each parameter by its name.
    """
    fabric = make_fabric(CONFIG)
    with seeded(CONFIG.seed):
        network = build_network(classes=len(CLASSES), dropout=CONFIG.head_dropout)
        learner = Learner(network, CONFIG, teacher_size=0)
    freeze_batch_norm(learner)
    photos = Manifest.read(manifest)
    data = loop.TrainingData(
        TrainingPhotos(photos.split("train"), CLASSES, CONFIG, px=CONFIG.input_px),
        PlainPhotos(photos.split("val"), CLASSES, CONFIG.preprocessing),
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
    gradient = gradient_of_one_step(folder / "manifest.parquet", folder)
    if int(torch.distributed.get_rank()) == 0:
        torch.save(gradient, folder / "gradient.pt")
        torch.save(torch.distributed.get_world_size(), folder / "processes.pt")
    train_dense(folder / "manifest.parquet", folder / "checkpoint", tiny_config(input_px=32))


if __name__ == "__main__":
    main(sys.argv[1])
