"""The sums of a world with experts: one forward and one backward pass over validation photos.

Tokens, edges and first-order scores of validation photos are added up by class, so that those of
any place are sums over its species (law 5: equal to what one would compute from their photos).

Axes used in this file:
    B  photos of a batch      E  experts
"""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from homerange.data.manifest import Manifest
from homerange.model.backbone import transformer_layers
from homerange.model.checkpoint import CheckpointConfig
from homerange.model.experts import ExpertMlp
from homerange.model.network import SpeciesNetwork
from homerange.profile.routing import (
    LayerTrace,
    edges_between,
    first_order,
    on_the_map,
    summed_by_expert,
    traced,
)
from homerange.progress import progress
from homerange.train.dataset import PlainPhotos, loader
from homerange.world.expert_tables import Edges, Routing

__all__ = ["ROUTING_KEYS", "Sums", "expert_layers", "expert_sums", "photo_keys"]

BATCH = 32
COMPACT_AFTER = 256
"""Batches whose rows are kept apart before they are added up."""
ROUTING_KEYS = ("class_index", "split", "layer", "expert")
EDGE_KEYS = (*ROUTING_KEYS, "next_expert")


def expert_layers(network: SpeciesNetwork) -> dict[int, ExpertMlp]:
    """Return the expert layers of a network by their number; those of a router only."""
    found = {}
    for number, name in transformer_layers(network.encoder).items():
        mlp = network.encoder.get_submodule(f"{name}.mlp")
        if isinstance(mlp, ExpertMlp) and mlp.experts:
            found[number] = mlp
    return found


def expert_sums(
    network: SpeciesNetwork, config: CheckpointConfig, judged: Manifest
) -> tuple[Routing, Edges]:
    """Add up what the experts do for photos of known classes.

    Args:
        network: In evaluation mode, with experts; its drop rule is that of the first-order score.
        config: For classes and preprocessing.
        judged: Validation photos, and others that are left out.
    """
    judged = judged.split("val")
    for parameter in network.parameters():
        parameter.requires_grad = False
    routing, edges = Sums(ROUTING_KEYS), Sums(EDGE_KEYS)
    photos = PlainPhotos(judged, config.classes, config.preprocessing)
    layers = expert_layers(network)
    with progress("experts", len(judged), unit="photos") as step, traced(layers) as traces:
        for batch in loader(photos, batch_size=BATCH, workers=2):
            step(len(batch) + len(batch.unreadable))
            known = batch.known
            if len(known) == 0:
                continue
            _hand_back(network, known.pixels_B3HW.float() / 255, known.class_B)
            own = photo_keys(known.class_B)
            for number, trace in traces.items():
                routing.add(own | {"layer": number}, ("expert",), _layer_values(trace))
            for (number, earlier), (_, later) in itertools.pairwise(sorted(traces.items())):
                tokens_BEE = edges_between(_map(earlier), _map(later), earlier.mlp.experts)
                edges.add(
                    own | {"layer": number}, ("expert", "next_expert"), {"tokens": tokens_BEE}
                )
    return Routing.of(_single_precision(routing.columns())), Edges.of(edges.columns())


def photo_keys(class_B: Tensor) -> dict[str, NDArray[np.generic]]:
    """Return class and split of validation photos, the keys that sums are kept by."""
    class_index_B = class_B.numpy().astype(np.int32)
    return {"class_index": class_index_B, "split": np.full(len(class_B), "val")}


def _single_precision(columns: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Round floats to what a float32 holds: they are no surer, and weigh half."""
    return {
        name: values.astype(np.float32) if values.dtype == np.float64 else values
        for name, values in columns.items()
    }


def _hand_back(network: SpeciesNetwork, x_B3HW: Tensor, class_B: Tensor) -> None:
    loss = functional.cross_entropy(network(x_B3HW), class_B, reduction="sum")
    loss.backward()  # type: ignore[no-untyped-call]


def _layer_values(trace: LayerTrace) -> dict[str, NDArray[np.float64]]:
    """Tokens, first-order rise of the loss and length of the answers, each (B, E)."""
    chosen_BT, experts = trace.chosen_BPN.flatten(1), trace.mlp.experts
    norm_BT = trace.output_BDPN.flatten(2).norm(dim=1)
    return {
        "tokens": summed_by_expert(torch.ones_like(norm_BT), chosen_BT, experts),
        "loss_rise": first_order(trace),
        "answer_norm": summed_by_expert(norm_BT, chosen_BT, experts),
    }


def _map(trace: LayerTrace) -> NDArray[np.int64]:
    chosen_BPN = trace.chosen_BPN
    return on_the_map(chosen_BPN, rows=math.isqrt(chosen_BPN.shape[2]))  # photos are square


class Sums:
    """Sums by keys, compacted now and then so that memory does not grow with the photos."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = list(keys)
        self.parts: list[pa.Table] = []

    def add(
        self,
        own: Mapping[str, NDArray[np.generic] | int],
        index_names: Sequence[str],
        values: Mapping[str, NDArray[np.generic]],
    ) -> None:
        """Add values of each photo, and of each index of theirs where that is not zero.

        Args:
            own: The keys of each photo, or one for all of them.
            index_names: Keys that count the other axes of the values.
            values: By name, each of shape (B, ...); rows are those where the first is not zero.
        """
        photo_R, *index = np.nonzero(next(iter(values.values())))
        columns = {
            name: np.full(len(photo_R), value, np.int32)
            if isinstance(value, int)
            else value[photo_R]
            for name, value in own.items()
        }
        columns |= {n: i.astype(np.int32) for n, i in zip(index_names, index, strict=True)}
        columns |= {name: value[(photo_R, *index)] for name, value in values.items()}
        self.parts.append(pa.table(columns))
        if len(self.parts) >= COMPACT_AFTER:
            self.parts = [self.table()]

    def table(self) -> pa.Table:
        """Return one row for each combination of keys, sorted."""
        together = pa.concat_tables(self.parts, promote_options="permissive")  # sums are wider
        values = [name for name in together.column_names if name not in self.keys]
        summed = together.group_by(self.keys).aggregate([(name, "sum") for name in values])
        summed = summed.rename_columns([name.removesuffix("_sum") for name in summed.column_names])
        return summed.sort_by([(key, "ascending") for key in self.keys])

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Return the columns of the summed table."""
        if not self.parts:
            return {}
        summed = self.table()
        return {name: summed[name].to_numpy() for name in summed.column_names}
