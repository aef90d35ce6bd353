"""Exact drops: what the network answers when one expert is gone, expert by expert.

Source: the paper, section 3.3, "per-expert importance". Naively that is a pass over the photos for
each expert. Here the input of each expert layer is kept, only what comes after it is run again, and
only for photos that use the expert: the others are answered as before.

Axes used in this file:
    B  photos      D  channels     E  experts
    P  pixels of a patch           N  patches      C  classes
    T  tokens, P * N               K  experts of one token (top-k)
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from homerange.data.manifest import Manifest
from homerange.model.backbone import transformer_layers
from homerange.model.checkpoint import CheckpointConfig
from homerange.model.experts import DropRule, ExpertMlp
from homerange.model.network import SpeciesNetwork
from homerange.profile.expert_sums import ROUTING_KEYS, Sums, expert_layers, photo_keys
from homerange.progress import progress
from homerange.train.dataset import PlainPhotos, loader
from homerange.world.expert_tables import Drops

__all__ = ["dropping", "exact_drops", "run_from"]

BATCH = 64


def exact_drops(
    network: SpeciesNetwork, config: CheckpointConfig, judged: Manifest, *, photos_per_class: int
) -> Drops:
    """Drop each expert of each layer in turn, for some validation photos of each class.

    Args:
        network: In evaluation mode, with experts; its drop rule is what becomes of the tokens.
        config: For classes and preprocessing.
        judged: Validation and test photos; the first validation photos of each class are taken.
        photos_per_class: How many.
    """
    chosen = judged.where(_first_of_each(judged, photos_per_class))
    sums = Sums(ROUTING_KEYS)
    photos = PlainPhotos(chosen, config.classes, config.preprocessing)
    layers = expert_layers(network)
    total = len(chosen) * (1 + sum(mlp.experts for mlp in layers.values()))
    with progress("drops", total, unit="answers") as step, torch.no_grad():
        for batch in loader(photos, batch_size=BATCH, workers=2):
            known = batch.known
            if len(known) == 0:
                continue
            class_B, own = known.class_B, photo_keys(known.class_B)
            x_B3HW = known.pixels_B3HW.float() / 255
            for layer, expert, logits_BC in _answers(network, layers, x_B3HW):
                sums.add(own | {"layer": layer, "expert": expert}, (), _judge(logits_BC, class_B))
                step(len(class_B), f"layer {layer}")
    return Drops.of(sums.columns())


def _first_of_each(judged: Manifest, photos: int) -> NDArray[np.bool_]:
    """Mark the first validation photos of each class."""
    species, split = judged.strings("species"), judged.strings("split")
    seen: dict[str | None, int] = {}
    mask_N = np.zeros(len(judged), bool)
    for row, (name, side) in enumerate(zip(species, split, strict=True)):
        if side == "val" and seen.get(name, 0) < photos:
            seen[name] = seen.get(name, 0) + 1
            mask_N[row] = True
    return mask_N


def _judge(logits_BC: Tensor, class_B: Tensor) -> dict[str, NDArray[np.generic]]:
    loss_B = nn.functional.cross_entropy(logits_BC.double(), class_B, reduction="none")
    return {
        "photos": np.ones(len(class_B), np.int32),
        "correct": (logits_BC.argmax(1) == class_B).numpy().astype(np.int32),
        "loss_sum": loss_B.numpy(),
    }


def _answers(
    network: SpeciesNetwork, layers: dict[int, ExpertMlp], x_B3HW: Tensor
) -> Iterator[tuple[int, int, Tensor]]:
    """Yield layer, dropped expert and logits; first (-1, -1) and those of the whole network."""
    with _inputs_of_layers(network, layers) as given:
        whole_BC = network(x_B3HW)
    yield -1, -1, whole_BC
    for layer, mlp in layers.items():
        x_BDPN, expert_BTK = given[layer]
        for expert in range(mlp.experts):
            uses_B = (expert_BTK == expert).flatten(1).any(1)
            logits_BC = whole_BC.clone()
            if bool(uses_B.any()):
                gone_E = ~mlp.kept_E
                gone_E[expert] = True
                with dropping(mlp, gone_E, mlp.drop_rule):
                    logits_BC[uses_B] = run_from(network, layer, x_BDPN[uses_B])
            yield layer, expert, logits_BC


@contextmanager
def _inputs_of_layers(
    network: SpeciesNetwork, layers: dict[int, ExpertMlp]
) -> Iterator[dict[int, tuple[Tensor, Tensor]]]:
    """Note what enters each transformer layer with experts, and the experts (B, T, K) of tokens."""
    names = transformer_layers(network.encoder)
    given: dict[int, tuple[Tensor, Tensor]] = {}
    entered: dict[int, Tensor] = {}

    def enter(layer: int, x_BDPN: Tensor) -> None:
        entered[layer] = x_BDPN

    def route(layer: int, mlp: ExpertMlp, x_BDPN: Tensor) -> None:
        given[layer] = entered[layer], mlp.route(x_BDPN.flatten(2).transpose(1, 2))[0]

    handles = []
    for layer, mlp in layers.items():
        block = network.encoder.get_submodule(names[layer])
        handles += [
            block.register_forward_pre_hook(lambda _, x, layer=layer: enter(layer, x[0])),
            mlp.register_forward_pre_hook(lambda mlp, x, layer=layer: route(layer, mlp, x[0])),
        ]
    try:
        yield given
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def dropping(mlp: ExpertMlp, dropped_E: Tensor, rule: DropRule) -> Iterator[None]:
    """Behave as if some experts were gone while the context is open; as before afterwards."""
    before = mlp.kept_E, mlp.drop_rule
    mlp.drop(dropped_E, rule)
    try:
        yield
    finally:
        mlp.kept_E, mlp.drop_rule = before


def run_from(network: SpeciesNetwork, layer: int, x_BDPN: Tensor) -> Tensor:
    """Run a network from a transformer layer on: what enters it, to logits (B, C).

    Args:
        network: In evaluation mode.
        layer: Number of the layer.
        x_BDPN: Its input, of a square photo.
    """
    encoder = network.encoder
    _, stage, block, _, index = transformer_layers(encoder)[layer].split(".")
    vit = encoder.get_submodule(f"stages.{stage}.{block}")
    for transformer in list(vit.get_submodule("transformer").children())[int(index) :]:
        x_BDPN = transformer(x_BDPN)
    x_BDHW = _fold(vit.get_submodule("norm")(x_BDPN))
    x_BDHW = vit.get_submodule("conv_proj")(x_BDHW)
    stages = list(encoder.get_submodule("stages").children())
    rest = [*list(stages[int(stage)].children())[int(block) + 1 :], *stages[int(stage) + 1 :]]
    for module in rest:
        x_BDHW = module(x_BDHW)
    return network.classify(network.neck(network.pool(encoder.final_conv(x_BDHW))))  # type: ignore[operator]


def _fold(x_BDPN: Tensor) -> Tensor:
    """Put patches of 2 x 2 pixels back where they are in a square map."""
    batch, channels, _, patches = x_BDPN.shape
    side = round(patches**0.5)
    x = x_BDPN.reshape(batch, channels, 2, 2, side, side).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(batch, channels, 2 * side, 2 * side)
