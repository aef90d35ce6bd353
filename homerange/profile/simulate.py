"""What a network answers when several experts are gone: measured, on photos.

Source: the paper, section 4.3, figures 9 and 10. Drops of single experts are sums over photos and
lie in the world; what several cost together is no sum, so photos must be run. What comes before the
first expert layer is the same for all drops and is computed once.

Axes used in this file:
    N  photos      D  channels     C  classes
    P  pixels of a patch           Q  patches of a photo
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from homerange.data.manifest import Manifest
from homerange.model.backbone import transformer_layers
from homerange.model.checkpoint import CheckpointConfig
from homerange.model.experts import DropRule
from homerange.model.network import SpeciesNetwork
from homerange.profile.drops import dropping, run_from
from homerange.profile.expert_sums import expert_layers
from homerange.progress import progress
from homerange.train.dataset import PlainPhotos, loader

__all__ = ["Prepared", "logits_without", "prepare"]

BATCH = 64


@dataclass(frozen=True, eq=False)
class Prepared:
    """Photos on their way through a network, just before its first expert layer."""

    layer: int
    """Number of that layer."""
    entered_NDPQ: Tensor
    class_N: NDArray[np.int64]
    """True class."""
    row_N: NDArray[np.int64]
    """Row of the manifest."""

    def where(self, mask_N: NDArray[np.bool_]) -> Self:
        """Return the photos where ``mask_N`` is true."""
        entered_NDPQ = self.entered_NDPQ[torch.from_numpy(mask_N)]
        return type(self)(self.layer, entered_NDPQ, self.class_N[mask_N], self.row_N[mask_N])


def prepare(network: SpeciesNetwork, config: CheckpointConfig, photos: Manifest) -> Prepared:
    """Run photos of known classes up to the first expert layer; unreadable ones are left out.

    Args:
        network: In evaluation mode, with experts.
        config: For classes and preprocessing.
        photos: All of them are kept in memory, about 70 kB each at 128 pixels.
    """
    first = min(expert_layers(network))
    entered, classes, rows = [], [], []
    plain = PlainPhotos(photos, config.classes, config.preprocessing)
    block = network.encoder.get_submodule(transformer_layers(network.encoder)[first])
    with (
        progress("photos", len(photos), unit="photos") as step,
        _entering(block) as seen,
        torch.no_grad(),
    ):
        for batch in loader(plain, batch_size=BATCH, workers=1):
            step(len(batch) + len(batch.unreadable))
            known = batch.known
            if len(known) == 0:
                continue
            network(known.pixels_B3HW.float() / 255)
            entered.append(seen.pop())
            classes.append(known.class_B.numpy())
            rows.append(known.photo_B.numpy())
    if not entered:
        return Prepared(first, torch.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))
    return Prepared(first, torch.cat(entered), np.concatenate(classes), np.concatenate(rows))


@contextmanager
def _entering(block: torch.nn.Module) -> Iterator[list[Tensor]]:
    """Note what enters a transformer layer while the context is open."""
    seen: list[Tensor] = []
    handle = block.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        yield seen
    finally:
        handle.remove()


def logits_without(
    network: SpeciesNetwork,
    photos: Prepared,
    kept: Mapping[int, NDArray[np.integer]] | None,
    *,
    rule: DropRule = "reroute",
) -> NDArray[np.float32]:
    """Answer photos with some experts only.

    Args:
        network: The one that the photos were prepared with.
        photos: As :func:`prepare` returns them.
        kept: Experts that stay, by the number of their layer; layers that are not named keep all.
        rule: What becomes of tokens whose expert is gone.

    Returns:
        Logits (N, C).
    """
    parts = []
    with _only(network, kept or {}, rule), torch.no_grad():
        for start in range(0, len(photos.entered_NDPQ), BATCH):
            entered_BDPQ = photos.entered_NDPQ[start : start + BATCH]
            parts.append(run_from(network, photos.layer, entered_BDPQ).numpy())
    assert network.head is not None
    return np.concatenate(parts or [np.empty((0, network.head.classes.out_features), np.float32)])


@contextmanager
def _only(
    network: SpeciesNetwork, kept: Mapping[int, NDArray[np.integer]], rule: DropRule
) -> Iterator[None]:
    layers = expert_layers(network)
    with ExitStack() as stack:
        for layer, index_K in kept.items():
            dropped_E = torch.ones(layers[layer].experts, dtype=torch.bool)
            dropped_E[torch.from_numpy(np.asarray(index_K, np.int64))] = False
            stack.enter_context(dropping(layers[layer], dropped_E, rule))
        yield
