"""The mean answer of each expert: what the drop rule ``mean`` gives its tokens when it is gone.

Source: none; the paper has no such rule (docs/method.md, "Removed experts"). Means are those of the
validation photos. Where several experts answer for a token, the mean is that of the expert's share
of the answer, over the tokens that choose it first: what the layer loses with it.

Axes used in this file:
    D  channels      E  experts      X  tokens of a batch
"""

import torch

from homerange.data.manifest import Manifest
from homerange.model.checkpoint import CheckpointConfig
from homerange.model.network import SpeciesNetwork
from homerange.profile.expert_sums import BATCH, expert_layers
from homerange.profile.routing import share_of_answer, traced
from homerange.progress import progress
from homerange.train.dataset import PlainPhotos, loader

__all__ = ["fill_mean_answers"]


def fill_mean_answers(network: SpeciesNetwork, config: CheckpointConfig, judged: Manifest) -> None:
    """Set ``mean_ED`` of every expert layer; zero where no token goes to an expert first.

    Args:
        network: In evaluation mode, with experts, on the processor; changed in place.
        config: For preprocessing.
        judged: Photos; those of the split ``val`` are run, of whatever species.
    """
    val = judged.split("val")
    photos = PlainPhotos(val, config.classes, config.preprocessing)
    layers = expert_layers(network)
    sums = {n: torch.zeros(*mlp.mean_ED.shape, dtype=torch.float64) for n, mlp in layers.items()}
    tokens = {n: torch.zeros(mlp.experts, dtype=torch.float64) for n, mlp in layers.items()}
    with (
        progress("means", len(val), unit="photos") as step,
        torch.no_grad(),
        traced(layers) as traces,
    ):
        for batch in loader(photos, batch_size=BATCH, workers=2):
            step(len(batch) + len(batch.unreadable))
            if len(batch) == 0:
                continue
            network(batch.pixels_B3HW.float() / 255)
            for number, trace in traces.items():
                expert_X = trace.chosen_BTK[..., 0].flatten()
                share_XD = share_of_answer(trace, 0).flatten(0, 1).double()
                sums[number].index_add_(0, expert_X, share_XD)
                tokens[number] += expert_X.bincount(minlength=trace.mlp.experts)
    for number, mlp in layers.items():
        mlp.mean_ED = (sums[number] / tokens[number].clamp(min=1)[:, None]).float()
