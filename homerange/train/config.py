"""The settings of a training, as a recipe: a TOML file whose keys are the fields below.

Shipped recipes: ``paper`` (section 3.4 of the paper), ``small-data`` (a few hundred to a few
thousand photos) and ``teacher`` (an encoder from unlabelled photos).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

from homerange.data.images import Preprocessing
from homerange.errors import ConfigError
from homerange.model.network import HeadKind
from homerange.train.recipe import (
    RECIPES,
    Recipe,
    check_above_0,
    check_choices,
    check_not_below_0,
)

__all__ = ["TrainConfig"]

TEACHER_WEIGHT = 4.0
CHOICES: Mapping[str, Sequence[str]] = {
    "head": ("plain", "bottleneck", "none"),
    "fit": ("crop", "squash"),
    "precision": ("auto", "32-true", "bf16-mixed"),
}
POSITIVE = (
    "input_px",
    "epochs",
    "batch_size",
    "learning_rate",
    "views",
    "place_radius_km",
    "teacher_px",
    "teacher_grid",
)
NOT_NEGATIVE = (
    "head_learning_rate",
    "weight_decay",
    "warmup_epochs",
    "randaugment",
    "mixup",
    "place_dropout",
    "place_px",
    "labels_weight",
    "teacher_weight",
    "seed",
    "workers",
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Recipe):
    """Every setting of ``homerange train dense``. The defaults are the paper's where it gives one.

    Example:
        >>> TrainConfig.read("paper", ["epochs=3"]).epochs
        3
    """

    shipped_in: ClassVar[Path] = RECIPES

    backbone: str = "mobilevitv2_050"
    """A MobileViTV2 of timm, ``mobilevitv2_050`` to ``mobilevitv2_200``."""

    head: HeadKind = "plain"
    """``plain``, ``bottleneck`` (the paper's, 256-1024-256-classes) or ``none`` (encoder only)."""

    start: str = "timm"
    """First weights of the encoder: ``shipped``, ``timm`` (needs a network), ``none`` or a file."""

    input_px: int = 224
    """Side of the square that the network sees, in pixels."""

    fit: Literal["crop", "squash"] = "crop"
    """How a whole photo becomes that square: centre crop, or squeezed so that no edge is lost."""

    epochs: int = 60

    batch_size: int = 256
    """Photos per step, over all processes together."""

    learning_rate: float = 1e-4
    """Peak rate of the encoder."""

    head_learning_rate: float = 1e-4
    """Peak rate of the class head and of the projection to the teacher."""

    weight_decay: float = 1e-8

    warmup_epochs: float = 40.0
    """Epochs until the peak rate is reached, in a straight line."""

    warmup_from: float = 0.8
    """Rate at the first step, as a share of the peak."""

    final_rate: float = 0.8
    """Rate at the last step, as a share of the peak; a cosine leads there from the peak."""

    crop_scale_min: float = 0.8
    """Smallest share of a photo's area that a training crop may keep."""

    randaugment: int = 9
    """Magnitude of torchvision's RandAugment with two operations; 0 turns it off."""

    erase: float = 0.2
    """Chance that a random patch of 2 to 20 % of the area is replaced by noise."""

    mixup: float = 0.1
    """Alpha of mixup's Beta distribution; 0 turns it off."""

    label_smoothing: float = 0.05

    head_dropout: float = 0.1
    """Share of features dropped before the class rows."""

    labels_weight: float = 1.0
    """Weight of the loss on labels; 0 trains on photos alone, from a teacher."""

    teacher: str = ""
    """``lite0``, ``timm:NAME`` or an ONNX file; empty for none. See ``homerange.train.teacher``."""

    teacher_weight: float = 0.0
    """Weight of the cosine loss between our projected features and the teacher's."""

    teacher_px: int = 224
    """Side of the square that the teacher sees, in pixels."""

    teacher_grid: int = 1
    """Positions along a side at which features are compared, beside those of the whole photo; 1
    compares the whole only."""

    views: int = 8
    """With a teacher: crops of each photo whose teacher features are computed once and kept."""

    place_dropout: float = 0.0
    """Weight of the loss of the network cut for a place, another place in each step; 0 for none.
    See ``homerange.train.places``."""

    place_radius_km: float = 100.0
    """Radius of these places."""

    place_expert_share_min: float = 0.5
    """Smallest share of the experts of a layer that such a place keeps."""

    place_px: int = 0
    """Side of the square that the cut network sees, in pixels; 0 for ``input_px``."""

    precision: Literal["auto", "32-true", "bf16-mixed"] = "32-true"
    """``auto`` takes bfloat16 where the processor computes it in hardware, else 32 bit."""

    compile: bool = False
    """Compile the encoder with ``torch.compile``: minutes to start, then faster; needs a C++
    compiler."""

    seed: int = 0

    workers: int = 2
    """Processes that decode and augment photos."""

    def __post_init__(self) -> None:
        """Refuse values that cannot train, naming the setting as the user writes it."""
        self._check_values()
        self._check_contradictions()

    def _check_values(self) -> None:
        check_choices(self, CHOICES)
        check_above_0(self, POSITIVE)
        check_not_below_0(self, NOT_NEGATIVE)
        shares = ("warmup_from", "final_rate", "crop_scale_min", "erase", "label_smoothing")
        for name in (*shares, "head_dropout", "place_expert_share_min"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be between 0 and 1")

    def _check_contradictions(self) -> None:
        if self.labels_weight == 0 and self.teacher_weight == 0:
            raise ConfigError(
                "labels_weight and teacher_weight are both 0; there is nothing to learn"
            )
        if bool(self.teacher) != (self.teacher_weight > 0):
            raise ConfigError(
                f"teacher is {self.teacher!r} but teacher_weight is {self.teacher_weight}; "
                "set both, or neither"
            )
        if self.place_dropout and (self.compile or not self.labels_weight):
            raise ConfigError(
                "place_dropout needs labels, and works with compile = false only: compiled code "
                "does not tell which experts it took"
            )
        if (self.head == "none") != (self.labels_weight == 0):
            raise ConfigError(
                f'head is "{self.head}" but labels_weight is {self.labels_weight}; '
                'labels need a head, and head "none" goes with labels_weight 0'
            )

    @property
    def preprocessing(self) -> Preprocessing:
        """How photos are prepared for evaluation and on the device."""
        return Preprocessing(input_px=self.input_px, fit=self.fit)

    def peak_rate(self, parameter: str) -> float:
        """Return the peak rate of a parameter of the learner, by its name."""
        in_encoder = parameter.startswith("network.encoder.")
        return self.learning_rate if in_encoder else self.head_learning_rate

    def with_teacher(self, teacher: str | None) -> Self:
        """Return these settings with another teacher; ``None`` changes nothing.

        Where the recipe had no teacher, its features count four times as much as the labels.
        """
        if teacher is None:
            return self
        weight = self.teacher_weight or TEACHER_WEIGHT
        return dataclasses.replace(self, teacher=teacher, teacher_weight=weight)
