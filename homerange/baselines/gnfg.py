"""GNFG: four ways to let a network know, at inference, where a photo was taken.

Source: Chu et al. 2019, "Geo-aware networks for fine-grained recognition", arXiv:1906.01737. A
network of the place makes features p of a coordinate, and one linear map W tells what follows:

    prior   p(y | photo) * p(y | place), where W p learns the second factor from places alone
    post    logits of the photo + W p; the network of the photo stays as it is, as under prior
    film    features h of the photo become (1 + gamma) * h + beta, with (gamma, beta) = W p
    add     features h of the photo become h + W p

All start from a trained dense network, and with W = 0: as long as nothing is learnt, all answer as
that network does. W has no bias and p is zero where nobody knows the coordinates, so without them
the photo is answered as by the dense network under ``prior`` and ``post``, and by its trained-on
features under the other two.

Where we differ, and why: the place is a point on the unit sphere, not latitude and longitude, so
that dateline and poles have no seam; features are modulated once, before the class rows (over the
map before pooling the result would be the same, because gamma and beta know no position).

Axes used in this file:
    B  photos      D  features of the photo      F  features of the place      C  classes
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from homerange.baselines.config import BaselineConfig
from homerange.data.manifest import Manifest
from homerange.model.checkpoint import WEIGHTS, load_checkpoint
from homerange.model.network import SpeciesNetwork
from homerange.train.experts import check_dense
from homerange.train.learner import Learner
from homerange.train.losses import Mix, label_loss
from homerange.train.places import TrainingPlace
from homerange.train.recipe import check_choices
from homerange.train.stage import Stage, Trained, sha256_of, train_stage

__all__ = ["GeoMode", "GnfgConfig", "GnfgLearner", "GnfgNetwork", "train_gnfg"]

GeoMode = Literal["prior", "post", "film", "add"]
PHOTO_FROZEN = ("prior", "post")
WIDE, NARROW = 256, 128


@dataclass(frozen=True, kw_only=True)
class GnfgConfig(BaselineConfig):
    """Settings of the recipe ``gnfg``; the dense checkpoint takes the place of ``start``."""

    system: str = "gnfg"

    geo_mode: GeoMode = "film"
    """How the place enters: ``prior``, ``post``, ``film`` or ``add``."""

    def _check_values(self) -> None:
        super()._check_values()
        check_choices(self, {"geo_mode": get_args(GeoMode)})

    def _check_contradictions(self) -> None:
        super()._check_contradictions()
        self._refuse("compile", "place_dropout")


class GnfgNetwork(SpeciesNetwork):
    """A dense network that also looks at the place."""

    def __init__(self, photo: SpeciesNetwork, mode: GeoMode) -> None:
        """Take over encoder and head of ``photo``; nothing follows from the place yet."""
        assert photo.head is not None
        super().__init__(photo.encoder, photo.head)
        self.mode = mode
        classes, features = photo.head.classes.weight.shape
        self.place = nn.Sequential(
            nn.Linear(3, WIDE), nn.ReLU(), nn.Linear(WIDE, NARROW), nn.ReLU()
        )
        outputs = {"film": 2 * features, "add": features}.get(mode, classes)
        self.effect = nn.Linear(NARROW, outputs, bias=False)
        nn.init.zeros_(self.effect.weight)
        if mode in PHOTO_FROZEN:
            self.encoder.requires_grad_(False)
            photo.head.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Let the photo's network rest under ``prior`` and ``post``, batch norm and dropout too."""
        super().train(mode)
        if self.mode in PHOTO_FROZEN and self.head is not None:
            self.encoder.eval()
            self.head.eval()
        return self

    def place_features(self, latlon_B2: Tensor) -> Tensor:
        """Return features of places (degrees), shape (B, F); zero where a coordinate is nan."""
        known_B1 = latlon_B2.isfinite().all(1, keepdim=True)
        lat_B, lon_B = latlon_B2.nan_to_num().deg2rad().unbind(1)
        xyz_B3 = torch.stack([lat_B.cos() * lon_B.cos(), lat_B.cos() * lon_B.sin(), lat_B.sin()], 1)
        place_BF: Tensor = self.place(xyz_B3) * known_B1
        return place_BF

    def join(self, photo_BD: Tensor, place_BF: Tensor) -> Tensor:
        """Return the input of :meth:`classify`: modulated features, or both side by side."""
        if self.mode in PHOTO_FROZEN:
            return torch.cat([photo_BD, place_BF], 1)
        effect: Tensor = self.effect(place_BF)
        if self.mode == "add":
            return photo_BD + effect
        gamma_BD, beta_BD = effect.chunk(2, 1)
        return (1 + gamma_BD) * photo_BD + beta_BD

    def features(self, x_B3HW: Tensor, latlon_B2: Tensor | None = None) -> Tensor:
        """Return the input of :meth:`classify` for photos and where they were taken."""
        if latlon_B2 is None:
            latlon_B2 = x_B3HW.new_full((len(x_B3HW), 2), torch.nan)
        return self.join(self.neck(self.encoder(x_B3HW)), self.place_features(latlon_B2))

    def classify(self, features_BD: Tensor) -> Tensor:
        """Return the logits, shape (B, C); under ``prior`` log-probabilities, not normalised."""
        if self.mode not in PHOTO_FROZEN:
            return super().classify(features_BD)
        photo_BC = super().classify(features_BD[:, :-NARROW])
        place_BC: Tensor = self.effect(features_BD[:, -NARROW:])
        if self.mode == "post":
            return photo_BC + place_BC
        return functional.log_softmax(photo_BC, 1) + functional.log_softmax(place_BC, 1)


class GnfgLearner(Learner):
    """The loss on labels; places are blended as the photos are."""

    def forward(
        self,
        x_B3HW: Tensor,
        class_B: Tensor,
        teacher_BFGG: Tensor | None,
        mix: Mix,
        latlon_B2: Tensor | None = None,
        cut_for: TrainingPlace | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the loss, a scalar, and the logits (B, C)."""
        network = self.network
        assert isinstance(network, GnfgNetwork)
        assert latlon_B2 is not None
        place_BF = mix.blend(network.place_features(latlon_B2))
        photo_BD = network.neck(network.encoder(mix.blend(x_B3HW)))
        logits_BC = network.classify(network.join(photo_BD, place_BF))
        if not (class_B >= 0).any():
            return x_B3HW.new_zeros(()), logits_BC
        learnt_BC = network.effect(place_BF) if network.mode == "prior" else logits_BC
        smoothing = self.config.label_smoothing
        loss = label_loss(learnt_BC, class_B, mix=mix, smoothing=smoothing)
        return self.config.labels_weight * loss, logits_BC


def train_gnfg(
    manifest: Path,
    output: Path,
    config: GnfgConfig,
    *,
    from_checkpoint: Path,
    resume: bool = False,
) -> Trained:
    """Teach a dense network to use the place of a photo.

    Raises:
        CheckpointError, ConfigError: If the checkpoint is not the dense one of this recipe.
        ManifestError: As :func:`homerange.train.stage.train_stage`.
    """
    dense, facts = load_checkpoint(from_checkpoint)
    check_dense(from_checkpoint, facts, config)

    def build(_: tuple[str, ...], __: Manifest) -> SpeciesNetwork:
        """Put the place beside the dense network."""
        if dense.head is not None:
            dense.head.dropout.p = config.head_dropout
        return GnfgNetwork(dense, config.geo_mode)

    stage = Stage(
        classes=facts.classes,
        experts=None,
        start=f"dense checkpoint sha256 {sha256_of(from_checkpoint / WEIGHTS)}",
        build=build,
        learner=GnfgLearner,
    )
    return train_stage(manifest, output, config, stage, resume=resume)
