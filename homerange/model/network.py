"""The world network: an encoder, with or without experts, and a head with one row per class.

Source: the paper, section 3.4, "classifier head": features of 256 numbers go to 1024, back to a
bottleneck of 256 and then to the classes. The activation between is not stated there; we use SiLU
as in the backbone. The plain head, one linear layer, is our default: it has half a million
parameters less, and a place keeps only its class rows.

Axes used in this file:
    B  photos      H, W  pixels      D  features      C  classes
"""

from typing import Literal

import torch
from torch import Tensor, nn

from homerange.model.backbone import add_experts, build_encoder, feature_size
from homerange.model.experts import ExpertSpec

__all__ = ["Head", "HeadKind", "SpeciesNetwork", "build_network", "pixels_to_input"]

HeadKind = Literal["plain", "bottleneck", "none"]
BOTTLENECK_WIDE = 1024
BOTTLENECK_NARROW = 256


class Head(nn.Module):
    """From pooled features to logits. ``classes.weight`` has shape (C, D), the class first."""

    def __init__(self, features: int, classes: int, *, kind: HeadKind, dropout: float) -> None:
        super().__init__()
        self.neck: nn.Module = nn.Identity()
        if kind == "bottleneck":
            self.neck = nn.Sequential(
                nn.Linear(features, BOTTLENECK_WIDE),
                nn.SiLU(),
                nn.Linear(BOTTLENECK_WIDE, BOTTLENECK_NARROW),
                nn.SiLU(),
            )
            features = BOTTLENECK_NARROW
        self.dropout = nn.Dropout(dropout)
        self.classes = nn.Linear(features, classes)


class SpeciesNetwork(nn.Module):
    """An encoder with a class head, or without one where only an encoder is trained.

    Example:
        >>> network = build_network(classes=3)
        >>> network(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 3])
    """

    def __init__(self, encoder: nn.Module, head: Head | None) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def maps(self, x_B3HW: Tensor) -> Tensor:
        """Return the encoder's features at each position, shape (B, D, H / 32, W / 32)."""
        map_BDHW: Tensor = self.encoder.forward_features(x_B3HW)  # type: ignore[operator]
        return map_BDHW

    def pool(self, map_BDHW: Tensor) -> Tensor:
        """Average the features of all positions, shape (B, D)."""
        pooled_BD: Tensor = self.encoder.forward_head(map_BDHW)  # type: ignore[operator]
        return pooled_BD

    def features(self, x_B3HW: Tensor, latlon_B2: Tensor | None = None) -> Tensor:
        """Return the input of the class rows, shape (B, D): what a world keeps as evidence.

        Where the photos were taken is for networks that use it; this one sees the photo alone.
        """
        return self.neck(self.encoder(x_B3HW))

    def neck(self, pooled_BD: Tensor) -> Tensor:
        """Take pooled features through the bottleneck, where there is one; shape (B, D)."""
        features_BD: Tensor = pooled_BD if self.head is None else self.head.neck(pooled_BD)
        return features_BD

    def classify(self, features_BD: Tensor) -> Tensor:
        """Return the logits, shape (B, C), of features from :meth:`features`."""
        if self.head is None:
            raise ValueError("this network is an encoder without a class head; it has no logits")
        logits_BC: Tensor = self.head.classes(self.head.dropout(features_BD))
        return logits_BC

    def forward(self, x_B3HW: Tensor) -> Tensor:
        """Return logits, shape (B, C), for photos (B, 3, H, W) with values between 0 and 1."""
        return self.classify(self.features(x_B3HW))


def build_network(
    *,
    classes: int,
    backbone: str = "mobilevitv2_050",
    head: HeadKind = "plain",
    dropout: float = 0.1,
    start: str = "none",
    experts: ExpertSpec | None = None,
) -> SpeciesNetwork:
    """Build the network of a world.

    Args:
        classes: Number of classes C; ignored where ``head`` is ``"none"``.
        backbone: A MobileViTV2 of timm.
        head: ``"plain"`` (D to C), ``"bottleneck"`` (the paper's 256-1024-256-C) or ``"none"``.
        dropout: Share of features dropped before the class rows, in training only.
        start: Weights of the encoder; see :func:`homerange.model.backbone.build_encoder`.
        experts: Experts in place of some MLPs, with random weights; ``None`` for a dense network.
    """
    encoder = build_encoder(backbone, start=start)
    if experts is not None:
        add_experts(encoder, experts)
    if head == "none":
        return SpeciesNetwork(encoder, None)
    return SpeciesNetwork(encoder, Head(feature_size(encoder), classes, kind=head, dropout=dropout))


def pixels_to_input(rgb_BHW3: Tensor) -> Tensor:
    """Turn decoded photos (B, H, W, 3), uint8, into the network's input (B, 3, H, W), 0 to 1.

    The same function is the first node of the exported graph, so device and training agree.
    """
    return rgb_BHW3.permute(0, 3, 1, 2).to(torch.float32) / 255.0
