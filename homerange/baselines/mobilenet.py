"""MobileNetV2 with a linear class head: the paper's own baseline (table 2, "MobileNet").

Source: Sandler et al. 2018, arXiv:1801.04381; timm's ``mobilenetv2_100``, which has 2,223,872
parameters before the classes, 8.743 M with the 5,089 of iNaturalist. As in the paper (section 3.4)
photos are normalised by ImageNet's mean and deviation, not to 0 and 1 alone.
"""

from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from homerange.baselines.config import BaselineConfig
from homerange.data.manifest import Manifest
from homerange.errors import ConfigError
from homerange.model.backbone import feature_size, from_hub, load_encoder
from homerange.model.network import Head, SpeciesNetwork
from homerange.train.stage import Stage, Trained, train_stage

__all__ = ["MobileNetConfig", "MobileNetV2", "build_mobilenet", "train_mobilenet"]


@dataclass(frozen=True, kw_only=True)
class MobileNetConfig(BaselineConfig):
    """Settings of the recipe ``mobilenet``: those of every training, for another backbone."""

    system: str = "mobilenet"

    backbone: str = "mobilenetv2_100"
    """A MobileNetV2 of timm."""

    def _check_values(self) -> None:
        super()._check_values()
        known = timm.list_models("mobilenetv2_*")
        if self.backbone not in known:
            raise ConfigError(
                f"backbone is {self.backbone!r}; it must be one of {', '.join(known)}"
            )
        if self.head != "plain" or self.start == "shipped":
            raise ConfigError(
                f'head is "{self.head}" and start is "{self.start}"; mobilenet has a plain head, '
                'and the package ships no weights for it: start = "timm", "none" or a file'
            )


class MobileNetV2(nn.Module):
    """The encoder: photos (B, 3, H, W), values 0 to 1, to 1280 features."""

    mean_311: Tensor
    std_311: Tensor

    def __init__(self, backbone: str, start: str) -> None:
        super().__init__()
        if start == "timm":
            self.network = from_hub(backbone)
        else:
            self.network = timm.create_model(backbone, pretrained=False, num_classes=0)
        if start not in ("none", "timm"):
            load_encoder(self.network, Path(start))
        self.num_features = feature_size(self.network)
        for name, values in (("mean", IMAGENET_DEFAULT_MEAN), ("std", IMAGENET_DEFAULT_STD)):
            values_311 = torch.tensor(values).view(3, 1, 1)
            self.register_buffer(f"{name}_311", values_311, persistent=False)

    def forward_features(self, x_B3HW: Tensor) -> Tensor:
        """Return the features at each position, shape (B, 1280, H / 32, W / 32)."""
        normal_B3HW = (x_B3HW - self.mean_311) / self.std_311
        map_BDHW: Tensor = self.network.forward_features(normal_B3HW)  # type: ignore[operator]
        return map_BDHW

    def forward_head(self, map_BDHW: Tensor) -> Tensor:
        """Average them over all positions, shape (B, 1280)."""
        pooled_BD: Tensor = self.network.forward_head(map_BDHW)  # type: ignore[operator]
        return pooled_BD

    def forward(self, x_B3HW: Tensor) -> Tensor:
        """Return the pooled features, shape (B, 1280)."""
        return self.forward_head(self.forward_features(x_B3HW))


def build_mobilenet(
    classes: int, *, backbone: str, start: str = "none", dropout: float = 0.1
) -> SpeciesNetwork:
    """Build the network.

    Args:
        classes: Number of classes.
        backbone: A MobileNetV2 of timm.
        start: ``"none"``, ``"timm"`` for ImageNet weights (needs a network) or a file of them.
        dropout: Share of features dropped before the class rows, in training only.

    Raises:
        CheckpointError: If the weights cannot be had or do not fit.

    Example:
        >>> network = build_mobilenet(5089, backbone="mobilenetv2_100")
        >>> sum(p.numel() for p in network.parameters())
        8742881
    """
    encoder = MobileNetV2(backbone, start)
    head = Head(encoder.num_features, classes, kind="plain", dropout=dropout)
    return SpeciesNetwork(encoder, head)


def train_mobilenet(
    manifest: Path, output: Path, config: MobileNetConfig, *, resume: bool = False
) -> Trained:
    """Train MobileNetV2 as the dense network is trained.

    Raises:
        ManifestError, CheckpointError, ConfigError: As :func:`homerange.train.stage.train_stage`.
    """

    def build(classes: tuple[str, ...], _: Manifest) -> SpeciesNetwork:
        """Start from the weights of the recipe."""
        return build_mobilenet(
            len(classes),
            backbone=config.backbone,
            start="none" if resume else config.start,
            dropout=config.head_dropout,
        )

    stage = Stage(classes=None, experts=None, start=config.start, build=build)
    return train_stage(manifest, output, config, stage, resume=resume)
