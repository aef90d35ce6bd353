"""A world with experts as the trainer publishes it, small enough for a test: random weights."""

import dataclasses

import torch
from fakes import build_world
from tiny_training import CLASSES, tiny_config
from torch import nn

from homerange.model.checkpoint import CheckpointConfig, save_weights
from homerange.model.experts import ExpertMlp, ExpertSpec
from homerange.model.network import build_network
from homerange.profile.export import export_graph
from homerange.profile.fold import fold_batch_norm
from homerange.world.world import open_world, seal_world


def expert_network(classes=5, *, seed=0, **shape):
    """A network in evaluation mode whose experts all differ and whose gates are far from ties.

    Where several experts answer for a token, tau is so large that each of them counts.
    """
    torch.manual_seed(seed)
    network = build_network(classes=classes, experts=ExpertSpec(**shape)).eval()
    for module in network.modules():
        if isinstance(module, ExpertMlp):
            for name, parameter in module.named_parameters():
                if parameter.ndim:
                    nn.init.normal_(parameter, std=1.0 if "gate" in name else 0.3)
            if module.top_k > 1:
                nn.init.constant_(module.gate.log_tau, 1.5)
    return network


def expert_checkpoint(folder, classes=CLASSES, *, seed=0, **shape):
    """Write a checkpoint with such a network, for photos of 32 pixels.

    Returns:
        Its config and the network.
    """
    folder.mkdir()
    config = expert_config(classes, **shape)
    config.write(folder)
    network = expert_network(len(classes), seed=seed, **shape)
    save_weights(network, folder)
    return config, network


def expert_config(classes=CLASSES, **shape):
    """The config of that checkpoint."""
    return CheckpointConfig(
        backbone="mobilevitv2_050",
        head="plain",
        classes=classes,
        preprocessing=tiny_config(input_px=32).preprocessing,
        experts=ExpertSpec(**shape),
    )


def expert_world(folder, *, classes=5, input_px=32, seed=0, rule="reroute", **shape):
    """Write a world with such a network; its tables are those of ``fakes.build_world``.

    Under the rule ``mean`` the mean answers of the experts are random.

    Returns:
        The folder, and the network without batch norm that the world holds.
    """
    network = fold_batch_norm(expert_network(classes, seed=seed, **shape))
    for module in network.modules():
        if isinstance(module, ExpertMlp):
            module.drop(torch.zeros(module.experts, dtype=torch.bool), rule)
            nn.init.normal_(module.mean_ED, std=0.3)
    build_world(folder, classes=classes, features=256, input_px=input_px)
    description = open_world(folder).description
    layers = export_graph(network, folder, input_px=input_px)
    graph = dataclasses.replace(description.graph, experts=tuple(layers), drop_rule=rule)
    seal_world(folder, dataclasses.replace(description, graph=graph))
    return folder, network
