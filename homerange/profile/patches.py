"""What the patches of one expert layer look like: to which expert they go, near which place.

Source: the paper, sections 4.1 and 4.2, figures 6 to 8. A patch is what enters the MLP of the
layer, as a direction; an expert is the direction that its gate scores highest; a place is a
direction too, see :mod:`homerange.profile.place_views`. A patch belongs to a place by the softmax
of its cosines to all places at temperature 0.001, which is nearly all to the nearest.

Axes used in this file:
    B  photos of a batch      T  tokens of a photo      D  channels of the layer
    C  classes                E  experts                K  places
    R  candidates for the patches nearest to a centre
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from homerange.data.answers import Unreadable, check_readable
from homerange.data.manifest import Manifest
from homerange.model.backbone import transformer_layers
from homerange.model.checkpoint import CheckpointConfig
from homerange.model.experts import ExpertMlp
from homerange.model.network import SpeciesNetwork
from homerange.model.pre_mlp import pre_mlp_tokens
from homerange.profile.expert_sums import expert_layers
from homerange.profile.place_views import PlaceViews
from homerange.profile.routing import on_the_map
from homerange.progress import progress
from homerange.train.dataset import Batch, PlainPhotos, loader

__all__ = ["TAU", "LayerPatches", "Near", "layer_patches", "place_affinity"]

BATCH = 64
TAU = 0.001
"""The paper's temperature."""


@dataclass(frozen=True)
class Near:
    """A patch near the centre of its expert."""

    photo: int
    """Row of the manifest."""
    row: int
    column: int
    """Where it lies in the map of the layer."""
    cosine: float
    """To the centre."""


@dataclass(frozen=True, eq=False)
class LayerPatches:
    """What one expert layer does with some photos."""

    layer: int
    side: int
    """Rows, and columns, of the map of the layer: a photo has ``side * side`` patches."""
    photos_C: NDArray[np.int64]
    tokens_CE: NDArray[np.int64]
    """Patches of each class that go to each expert."""
    nearest: tuple[tuple[Near, ...], ...]
    """Of each expert the patches nearest to its centre among those it gets, one from each photo."""
    share_CK: NDArray[np.float64]
    """Share of the patches of a class that belongs to each place; nan without photos."""
    cosine_EK: NDArray[np.float64]
    """Between the centre of each expert and each place."""
    unreadable: list[Unreadable]


def layer_patches(
    network: SpeciesNetwork,
    config: CheckpointConfig,
    photos: Manifest,
    *,
    layer: int,
    views: PlaceViews,
    keep: int,
) -> LayerPatches:
    """Run photos and look at what enters the MLP of one layer.

    Args:
        network: In evaluation mode, with experts in that layer.
        config: For classes and preprocessing.
        photos: Photos of its classes; others are left out.
        layer: Number of the layer, from 0.
        views: The places.
        keep: Patches to remember of each expert.

    Raises:
        ManifestError: If there are photos and none of them can be read.
    """
    name = transformer_layers(network.encoder)[layer]
    sums = _Sums(expert_layers(network)[layer], views, len(config.classes), keep)
    unreadable: list[Unreadable] = []
    shown = PlainPhotos(photos, config.classes, config.preprocessing)
    watched = pre_mlp_tokens(network.encoder, [name])
    with progress("patches", len(photos), unit="photos") as step, watched as seen, torch.no_grad():
        for batch in loader(shown, batch_size=BATCH, workers=1):
            step(len(batch) + len(batch.unreadable))
            unreadable += batch.unreadable
            if known := batch.known:
                network.encoder(known.pixels_B3HW.float() / 255)
                sums.add(known, seen[name])
    check_readable(photos, unreadable)
    return LayerPatches(
        layer=layer,
        side=sums.side,
        photos_C=sums.photos_C,
        tokens_CE=sums.tokens_CE,
        nearest=sums.best.found(sums.side),
        share_CK=sums.mean_share_CK(),
        cosine_EK=(sums.centre_ED @ views.mean_KD.T).double().numpy(),
        unreadable=unreadable,
    )


def place_affinity(unit_BTD: Tensor, place_BKD: Tensor) -> Tensor:
    """Share directions out among places, shape (B, T, K); a place that is nan gets nothing.

    Args:
        unit_BTD: Directions, of length 1.
        place_BKD: Places, of length 1, for each photo.
    """
    cosine_BTK = unit_BTD @ place_BKD.transpose(1, 2)
    return (cosine_BTK / TAU).masked_fill(cosine_BTK.isnan(), -torch.inf).softmax(-1)


class _Sums:
    """What has been seen of the patches so far."""

    def __init__(self, mlp: ExpertMlp, views: PlaceViews, classes: int, keep: int) -> None:
        self.mlp, self.views = mlp, views
        self.centre_ED = _centres(mlp)
        self.photos_C = np.zeros(classes, np.int64)
        self.tokens_CE = np.zeros((classes, mlp.experts), np.int64)
        self.share_CK = np.zeros((classes, len(views.mean_KD)))
        self.best = _Best(mlp.experts, keep)
        self.side = 0

    def add(self, batch: Batch, token_BTD: Tensor) -> None:
        """Look at the patches of some photos of known classes."""
        class_B = batch.class_B
        unit_BTD = functional.normalize(token_BTD, dim=-1)
        chosen_BT = self.mlp.route(token_BTD)[0][..., 0]
        self.side = math.isqrt(chosen_BT.shape[1])  # photos are square
        np.add.at(self.photos_C, class_B.numpy(), 1)
        np.add.at(self.tokens_CE, (class_B[:, None].numpy(), chosen_BT.numpy()), 1)
        share_BK = place_affinity(unit_BTD, self.views.of(class_B)).mean(dim=1)
        np.add.at(self.share_CK, class_B.numpy(), share_BK.double().numpy())
        cosine_BT = (unit_BTD * self.centre_ED[chosen_BT]).sum(-1)
        self.best.add(batch.photo_B.numpy(), chosen_BT.numpy(), cosine_BT.numpy())

    def mean_share_CK(self) -> NDArray[np.float64]:
        """Return the mean over the photos of each class; nan without photos."""
        photos_C1 = np.where(self.photos_C > 0, self.photos_C, np.nan)[:, None]
        mean_CK: NDArray[np.float64] = self.share_CK / photos_C1
        return mean_CK


def _centres(mlp: ExpertMlp) -> Tensor:
    """Return the direction that the gate scores highest for each expert, shape (E, D)."""
    row_ED = mlp.gate.up.detach()
    if mlp.gate.down is not None:
        row_ED = row_ED @ mlp.gate.down.detach()
    return functional.normalize(row_ED, dim=-1)


class _Best:
    """The patches nearest to each centre so far, at most one from each photo."""

    def __init__(self, experts: int, keep: int) -> None:
        self.experts, self.keep = experts, keep
        self.row_R = np.zeros(0, np.dtype([("expert", int), ("photo", int), ("token", int)]))
        self.cosine_R = np.zeros(0)

    def add(
        self,
        photo_B: NDArray[np.int64],
        chosen_BT: NDArray[np.int64],
        cosine_BT: NDArray[np.float32],
    ) -> None:
        """Look at the patches of some more photos."""
        batch, tokens = chosen_BT.shape
        new_R = np.zeros(batch * tokens, self.row_R.dtype)
        new_R["expert"], new_R["photo"] = chosen_BT.ravel(), photo_B.repeat(tokens)
        new_R["token"] = np.tile(np.arange(tokens), batch)
        row_R = np.concatenate([self.row_R, new_R])
        cosine_R = np.concatenate([self.cosine_R, cosine_BT.ravel()])
        order_R = np.lexsort((-cosine_R, row_R["photo"], row_R["expert"]))
        row_R, cosine_R = row_R[order_R], cosine_R[order_R]
        keys = row_R[["expert", "photo"]]
        first_R = np.append(True, keys[1:] != keys[:-1])  # the best of each photo
        row_R, cosine_R = row_R[first_R], cosine_R[first_R]
        order_R = np.lexsort((-cosine_R, row_R["expert"]))
        row_R, cosine_R = row_R[order_R], cosine_R[order_R]
        start_R = np.searchsorted(row_R["expert"], row_R["expert"])
        kept_R = np.arange(len(row_R)) - start_R < self.keep
        self.row_R, self.cosine_R = row_R[kept_R], cosine_R[kept_R]

    def found(self, side: int) -> tuple[tuple[Near, ...], ...]:
        """Return the patches of each expert, the nearest first, in maps of ``side`` rows."""
        nearest: list[list[Near]] = [[] for _ in range(self.experts)]
        token_HW = on_the_map(torch.arange(side**2).view(1, 4, -1), rows=side // 2)[0]
        place_of_token = token_HW.ravel().argsort()
        for row, cosine in zip(self.row_R.tolist(), self.cosine_R.tolist(), strict=True):
            expert, photo, token = row
            y, x = divmod(int(place_of_token[token]), side)
            nearest[expert].append(Near(photo, y, x, cosine))
        return tuple(map(tuple, nearest))
