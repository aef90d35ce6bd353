"""The learner: the network with what only training needs, from pixels to one loss.

All of it is inside one ``forward``, so that the engine may wrap it for many processes.

Axes used in this file:
    B  photos      H, W  pixels      C  classes      F  features of the teacher
    D  features    G  side of the grid at which features are compared
    K  classes of a place     2  latitude, longitude
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from homerange.model.backbone import feature_size
from homerange.model.network import SpeciesNetwork
from homerange.model.pre_mlp import pre_mlp_tokens
from homerange.train.config import TrainConfig
from homerange.train.contrast import LocationLoss
from homerange.train.losses import Mix, draw_mix, label_loss, teacher_loss
from homerange.train.places import ExpertUse, TrainingPlace, as_cut

__all__ = ["Learner"]


class Learner(nn.Module):
    """A network, and what is to be thrown away: projections to a teacher and of places."""

    def __init__(
        self,
        network: SpeciesNetwork,
        config: TrainConfig,
        *,
        teacher_size: int,
        location: LocationLoss | None = None,
    ) -> None:
        """Join them; ``teacher_size`` is F, or 0 without a teacher."""
        super().__init__()
        self.network = network
        self.config = config
        self.projection = (
            nn.Linear(feature_size(network.encoder), teacher_size) if teacher_size else None
        )
        self.location = location
        head = network.head
        self.use = (
            ExpertUse(network, len(head.classes.weight)) if config.place_dropout and head else None
        )
        self._compiled: Callable[[Tensor], Tensor] | None = (
            torch.compile(network.maps, dynamic=False) if config.compile else None
        )

    def forward(
        self,
        x_B3HW: Tensor,
        class_B: Tensor,
        teacher_BFGG: Tensor | None,
        mix: Mix,
        latlon_B2: Tensor | None = None,
        cut_for: TrainingPlace | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the loss, a scalar, and the logits (B, C), if the network has a head.

        Photos without a label (class -1) take part in the teacher's loss only. Where they were
        taken (degrees, nan if unknown) is for the location loss, which evaluation is without. With
        a place to cut for, the loss of the network cut for it is added.
        """
        map_BDHW, loss = self._encode(mix.blend(x_B3HW), class_B, mix, latlon_B2)
        if self.projection is not None and teacher_BFGG is not None:
            ours_BDGG = functional.adaptive_avg_pool2d(map_BDHW, teacher_BFGG.shape[2])
            projected_BFGG = self.projection(ours_BDGG.movedim(1, 3)).movedim(3, 1)
            loss = loss + self.config.teacher_weight * teacher_loss(
                projected_BFGG, mix.blend(teacher_BFGG)
            )
        if self.network.head is None:
            return loss, None
        logits_BC = self.network.classify(self.network.neck(self.network.pool(map_BDHW)))
        if self.config.labels_weight > 0 and (class_B >= 0).any():
            labels = label_loss(logits_BC, class_B, mix=mix, smoothing=self.config.label_smoothing)
            loss = loss + self.config.labels_weight * labels
        if cut_for is not None and self.use is not None:
            self.use.count(mix.dominant(class_B))
            loss = loss + self.config.place_dropout * self._cut_loss(x_B3HW, class_B, cut_for)
        return loss, logits_BC

    def _cut_loss(self, x_B3HW: Tensor, class_B: Tensor, cut_for: TrainingPlace) -> Tensor:
        """Return the loss on labels of the network cut for a place, on its photos of the batch."""
        assert self.use is not None
        class_K = cut_for.class_K.to(class_B.device)
        here_B = torch.isin(class_B, class_K)
        if not here_B.any():
            return x_B3HW.new_zeros(())
        x_B3HW = x_B3HW[here_B]
        if px := self.config.place_px:
            x_B3HW = functional.interpolate(x_B3HW, (px, px), mode="bilinear", antialias=True)
        with as_cut(self.network, self.use.kept(cut_for)):
            logits_BK = self.network(x_B3HW)[:, class_K]
        target_B = torch.searchsorted(class_K, class_B[here_B])
        unmixed = draw_mix(len(target_B), alpha=0, seed=(0,))
        return label_loss(logits_BK, target_B, mix=unmixed, smoothing=self.config.label_smoothing)

    def _encode(
        self, x_B3HW: Tensor, class_B: Tensor, mix: Mix, latlon_B2: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the maps of photos, and the loss of what happens on the way to them."""
        if self.location is None or latlon_B2 is None or not self.training:
            # Batches of validation differ in size, and each size would be compiled.
            maps = self._compiled if self._compiled and self.training else self.network.maps
            map_BDHW = maps(x_B3HW)
            return map_BDHW, map_BDHW.new_zeros(())
        with pre_mlp_tokens(self.network.encoder, self.location.layers) as token_BTD:
            map_BDHW = self.network.maps(x_B3HW)
        latlon_B2, class_B = mix.dominant(latlon_B2), mix.dominant(class_B)
        loss: Tensor = self.location(token_BTD, latlon_B2, class_B)
        return map_BDHW, loss
