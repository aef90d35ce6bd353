"""The location loss: photos and places of one species are drawn together, in each layer.

Source: the paper, section 3.2, with the loss L_out^sup of Khosla et al. 2020 (arXiv:2004.11362):
the views of a sample are a photo, as tokens before the MLP of a layer, and its place, as the
location encoder gives it and a projection of the layer's block turns it. Where the paper is silent:
    - a photo is the mean of its tokens, and views have length 1;
    - the losses of the layers are added up;
    - photos without coordinates or without a label are neither anchors nor candidates;
    - with several processes, the views of all of them are candidates.

Axes used in this file:
    B  photos of this process      A  anchors, of this process      C  candidates, of all
    T  tokens of a photo           V  views of a photo              D  channels of a layer
    F  features of the location encoder                             X  channels of all layers
    2  latitude, longitude (degrees)
"""

from collections.abc import Mapping

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from homerange.model.backbone import transformer_layers
from homerange.model.location import LocationEncoder
from homerange.train.location_config import LocationConfig

__all__ = ["LocationLoss", "contrastive_loss"]

NEVER = -1e9
"""The score of what is not a candidate: finite, so that an anchor without any has a gradient."""


def contrastive_loss(
    anchor_AD: Tensor,
    candidate_CD: Tensor,
    positive_AC: Tensor,
    allowed_AC: Tensor,
    *,
    tau: float,
) -> Tensor:
    """Return the supervised contrastive loss of each anchor, shape (A,); 0 without positives.

    Args:
        anchor_AD: Views of length 1.
        candidate_CD: Views of length 1.
        positive_AC: Whether a candidate is of the anchor's class.
        allowed_AC: Whether a candidate counts for the anchor; it never does for itself.
        tau: Temperature.
    """
    score_AC = (anchor_AD @ candidate_CD.T / tau).masked_fill(~allowed_AC, NEVER)
    log_share_AC = score_AC - score_AC.logsumexp(dim=1, keepdim=True)
    positive_AC = positive_AC & allowed_AC
    total_A = (log_share_AC * positive_AC).sum(dim=1)
    return -total_A / positive_AC.sum(dim=1).clamp(min=1)


class LocationLoss(nn.Module):
    """What training needs to be supervised by places; nothing of it belongs to the network."""

    def __init__(
        self,
        encoder: nn.Module,
        config: LocationConfig,
        fabric: Fabric,
        location_encoder: LocationEncoder,
    ) -> None:
        """Make the projections, one for each block of the encoder.

        Args:
            encoder: The encoder of photos, which is trained.
            config: The recipe.
            fabric: The engine, to see the views of other processes.
            location_encoder: The encoder of places, which stays as it is and outside this module.

        Raises:
            ConfigError: If the recipe names layers that the encoder does not have.
        """
        super().__init__()
        names = transformer_layers(encoder)
        self.layers = [names[layer] for layer in config.supervised(len(names))]
        blocks = [name.rpartition(".")[0] for name in self.layers]
        channels = {
            block: encoder.get_submodule(f"{name}.norm2").get_parameter("weight").numel()
            for block, name in zip(blocks, self.layers, strict=True)
        }
        self.block_of_layer = [list(channels).index(block) for block in blocks]
        self.embed = location_encoder.embed
        size = location_encoder.spec.features
        self.norm = nn.LayerNorm(size)
        self.project = nn.ModuleList(nn.Linear(size, wanted) for wanted in channels.values())
        self.dropout = nn.Dropout(config.location_dropout)
        self.config = config
        self.fabric = fabric

    def forward(
        self, token_BTD: Mapping[str, Tensor], latlon_B2: Tensor, class_B: Tensor
    ) -> Tensor:
        """Return the weighted sum of the losses of the layers, a scalar.

        Args:
            token_BTD: What enters the MLP of each layer, by its name, shape (B, T, D).
            latlon_B2: Where the photos were taken; NaN where unknown.
            class_B: Class of each photo, -1 without a label.
        """
        known_B = (class_B >= 0) & ~latlon_B2.isnan().any(dim=1)
        with torch.autocast(latlon_B2.device.type, enabled=False):
            place_BF = self._encode(latlon_B2, known_B)
            places = [self._places(block, place_BF) for block in range(len(self.project))]
            views = [
                torch.cat([self._photos(token_BTD[name]), places[block][:, None]], dim=1)
                for name, block in zip(self.layers, self.block_of_layer, strict=True)
            ]
            return self.config.location_weight * self._contrast(views, class_B, known_B)

    def _encode(self, latlon_B2: Tensor, known_B: Tensor) -> Tensor:
        """Ask the frozen encoder for the places that are known; zeros stand for the others."""
        latlon_N2 = torch.where(known_B[:, None], latlon_B2, 0.0).double().cpu().numpy()
        place_BF = self.embed(latlon_N2).to(latlon_B2.device)
        return torch.where(known_B[:, None], place_BF, 0.0)

    def _photos(self, token_BTD: Tensor) -> Tensor:
        """Return the views of photos at one layer, shape (B, V, D)."""
        token_BTD = token_BTD.float()
        if self.config.pooling == "mean":
            return functional.normalize(token_BTD.mean(dim=1, keepdim=True), dim=-1, eps=1e-8)
        order_BT = torch.rand(token_BTD.shape[:2]).argsort(dim=1)[:, : self.config.pooled_tokens]
        index_BVD = order_BT.to(token_BTD.device)[..., None].expand(-1, -1, token_BTD.shape[2])
        return functional.normalize(token_BTD.gather(1, index_BVD), dim=-1, eps=1e-8)

    def _places(self, block: int, place_BF: Tensor) -> Tensor:
        """Return the paper's F_loc of a block with length 1, shape (B, D)."""
        place_BD = self.dropout(functional.relu(self.project[block](self.norm(place_BF))))
        return functional.normalize(place_BD, dim=-1, eps=1e-8)

    def _contrast(self, views: list[Tensor], class_B: Tensor, known_B: Tensor) -> Tensor:
        """Add up the losses of the layers, each (B, V, D), of which the last view is the place."""
        each = views[0].shape[1]
        class_C = self._of_all(torch.where(known_B, class_B, -1), empty=-1).repeat_interleave(each)
        view_CX = self._of_all(torch.cat([view_BVD.flatten(1) for view_BVD in views], dim=1))
        known_C, index_C = class_C >= 0, torch.arange(len(class_C), device=class_C.device)
        is_place_C = index_C % each == each - 1
        own = len(class_C) // self.fabric.world_size
        own_A = slice(self.fabric.global_rank * own, (self.fabric.global_rank + 1) * own)
        positive_AC = class_C[own_A, None] == class_C
        allowed_AC = known_C & (index_C[own_A, None] != index_C)
        if self.config.contrast == "cross":
            allowed_AC = allowed_AC & (is_place_C[own_A, None] != is_place_C)
        loss = view_CX.new_zeros(())
        for part_CX in torch.split(view_CX, [view_BVD[0].numel() for view_BVD in views], dim=1):
            view_CD = part_CX.reshape(len(class_C), -1)
            loss_A = contrastive_loss(
                view_CD[own_A], view_CD, positive_AC, allowed_AC, tau=self.config.tau
            )
            loss = loss + (loss_A * known_C[own_A]).sum()
        # The engine averages gradients over processes; together they must make the mean of all.
        return loss * self.fabric.world_size / known_C.sum().clamp(min=1)

    def _of_all(self, x_B: Tensor, empty: float = 0.0) -> Tensor:
        """Join the rows of all processes in their order, with gradient.

        Photos that cannot be read leave some with fewer rows; rows of ``empty`` stand in.
        """
        here = torch.tensor([len(x_B)], device=x_B.device)
        missing = int(self._gather(here).max()) - len(x_B)
        filled_B = torch.cat([x_B, x_B.new_full((missing, *x_B.shape[1:]), empty)])
        return self._gather(filled_B).reshape(-1, *x_B.shape[1:])

    def _gather(self, x_B: Tensor) -> Tensor:
        gathered = self.fabric.all_gather(x_B, sync_grads=x_B.is_floating_point())
        assert isinstance(gathered, Tensor)  # as what went in
        return gathered
