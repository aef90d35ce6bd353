"""FLYP: fine-tune a CLIP as it was pre-trained, with captions made from the names of classes.

Source: Goyal et al. 2023, arXiv:2212.00638: photos and captions are contrasted within a batch, also
photos of one class with each other's captions. To classify, a photo is compared with the mean
embedding of the captions of each class. The CLIP is one of open_clip, by name; the paper's row of
428 M parameters is ``ViT-L-14-336``, both towers.

Where we differ, and why: a class goes by its common name where the manifest has one, else by its
scientific name; over several processes each contrasts its own share of a batch.

Axes used in this file:
    B  photos      C  classes      D  features
    K  captions of a class         L  tokens of a caption
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from homerange.baselines.clip import TEMPLATES, CaptionedNetwork, build_clip
from homerange.baselines.config import BaselineConfig
from homerange.data.manifest import Manifest
from homerange.errors import ConfigError
from homerange.extras import need
from homerange.model.network import SpeciesNetwork
from homerange.train.learner import Learner
from homerange.train.losses import Mix
from homerange.train.places import TrainingPlace
from homerange.train.stage import Stage, Trained, train_stage

__all__ = ["FlypConfig", "FlypLearner", "contrastive_loss", "train_flyp"]


@dataclass(frozen=True, kw_only=True)
class FlypConfig(BaselineConfig):
    """Settings of the recipe ``flyp``; ``backbone`` and ``start`` are open_clip's."""

    system: str = "flyp"

    backbone: str = "ViT-B-16-quickgelu"
    """A CLIP of open_clip."""

    start: str = "openai"
    """Its weights: a tag of open_clip (needs a network), a file, or ``none`` for random ones."""

    def _check_contradictions(self) -> None:
        super()._check_contradictions()
        self._refuse("mixup", "label_smoothing", "head_dropout", "compile", "place_dropout")
        if self.head != "plain":
            raise ConfigError(f'head is "{self.head}"; flyp has captions for a head, "plain"')


class FlypLearner(Learner):
    """The contrastive loss; the class rows are written on the way to evaluation."""

    def train(self, mode: bool = True) -> Self:
        """Switch to training or evaluation."""
        super().train(mode)
        if not mode:  # whatever it was in before: the engine may have said so already
            assert isinstance(self.network, CaptionedNetwork)
            self.network.write_class_rows()
        return self

    def forward(
        self,
        x_B3HW: Tensor,
        class_B: Tensor,
        teacher_BFGG: Tensor | None,
        mix: Mix,
        latlon_B2: Tensor | None = None,
        cut_for: TrainingPlace | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the loss, a scalar, and the logits (B, C) by the class rows as they are.

        Photos without a label (class -1) do not count. In training each photo draws one caption
        of its class; in evaluation it has the first.
        """
        network = self.network
        assert isinstance(network, CaptionedNetwork)
        image_BD = network.features(x_B3HW)
        logits_BC = network.classify(image_BD)
        known_B = class_B >= 0
        if not known_B.any():
            return x_B3HW.new_zeros(()), logits_BC
        token_BKL = network.token_CKL[class_B[known_B]]
        drawn_B = torch.zeros(len(token_BKL), dtype=torch.long, device=token_BKL.device)
        if self.training:
            drawn_B = torch.randint(token_BKL.shape[1], (len(token_BKL),)).to(token_BKL.device)
        rows_B = torch.arange(len(token_BKL), device=token_BKL.device)
        text_BD = network.directions(token_BKL[rows_B, drawn_B])
        loss = contrastive_loss(image_BD[known_B], text_BD, network.scale())
        return self.config.labels_weight * loss, logits_BC


def contrastive_loss(image_BD: Tensor, text_BD: Tensor, scale: Tensor) -> Tensor:
    """Mean of two cross entropies: which caption belongs to a photo, and which photo to a caption.

    Args:
        image_BD: Directions of photos, of length 1.
        text_BD: Directions of their captions, in the same order.
        scale: What cosines are multiplied with.

    Example:
        >>> both = torch.eye(2)
        >>> contrastive_loss(both, both, torch.tensor(0.0)).item()  # ln 2: nothing is told apart
        0.6931471824645996
    """
    logits_BB = scale * image_BD @ text_BD.T
    own_B = torch.arange(len(logits_BB), device=logits_BB.device)
    return (
        functional.cross_entropy(logits_BB, own_B) + functional.cross_entropy(logits_BB.T, own_B)
    ) / 2


def captions(classes: tuple[str, ...], photos: Manifest) -> list[list[str]]:
    """Write the captions of each class, by the common name that its first photo has, if any."""
    common: dict[str, str] = {}
    names = zip(photos.strings("species"), photos.strings("common_name"), strict=True)
    for species, name in names:
        if species and name:
            common.setdefault(species, name)
    called = [common.get(name, name) for name in classes]
    return [[template.format(name) for template in TEMPLATES] for name in called]


def train_flyp(
    manifest: Path, output: Path, config: FlypConfig, *, resume: bool = False
) -> Trained:
    """Fine-tune a CLIP on a manifest.

    Raises:
        ExtraNotInstalled: If open_clip is not.
        ManifestError, CheckpointError, ConfigError: As :func:`homerange.train.stage.train_stage`.
    """
    open_clip = need("open_clip")

    def build(classes: tuple[str, ...], photos: Manifest) -> SpeciesNetwork:
        """Start from the CLIP of the recipe, with a caption for each class and template."""
        start = "none" if resume else config.start
        network = build_clip(config.backbone, len(classes), input_px=config.input_px, start=start)
        tokenize = open_clip.get_tokenizer(config.backbone)
        network.token_CKL.copy_(
            torch.stack([tokenize(lines) for lines in captions(classes, photos)])
        )
        return network

    stage = Stage(
        classes=None,
        experts=None,
        start=f"open_clip {config.backbone} {config.start}",
        build=build,
        learner=FlypLearner,
    )
    return train_stage(manifest, output, config, stage, resume=resume)
