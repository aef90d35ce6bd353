"""The settings of a range model: an encoder of places, and how it learns from records.

Shipped recipes: ``torchspatial`` (the encoder that the paper takes, for a million records) and
``small-range`` (tens of thousands of records, on one processor).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from homerange.errors import ConfigError
from homerange.geo.coarse import PUBLISHED_LEVEL
from homerange.geo.space2vec import Encoding, Frequencies, Space2Vec
from homerange.model.location import Activation, LocationSpec
from homerange.train.recipe import (
    RECIPES,
    Recipe,
    check_above_0,
    check_choices,
    check_not_below_0,
)

__all__ = ["RangeConfig"]

CHOICES: Mapping[str, Sequence[str]] = {
    "encoding": ("grid", "theory", "raw"),
    "frequencies": ("geometric", "random", "nerf"),
}
FINEST_LEVEL = 30


@dataclass(frozen=True, kw_only=True)
class RangeConfig(Recipe):
    """Every setting of ``homerange train range``."""

    shipped_in: ClassVar[Path] = RECIPES / "range"

    encoding: Encoding = "grid"
    """Space2Vec along two axes (``grid``) or three directions (``theory``), or the coordinates
    themselves (``raw``), as a control."""

    scales: int = Space2Vec.scales
    """Scales of Space2Vec."""

    frequencies: Frequencies = "geometric"
    """Of the scales: ``geometric`` between the two radii, ``random`` or ``nerf``."""

    min_radius_deg: float = Space2Vec.min_radius_deg
    """Smallest radius of Space2Vec, in degrees; waves repeat after 6.3 radii."""

    max_radius_deg: float = Space2Vec.max_radius_deg
    """Largest radius, in degrees."""

    hidden_layers: int = LocationSpec.hidden_layers

    hidden: int = LocationSpec.hidden
    """Width of the hidden layers."""

    features: int = LocationSpec.features
    """What the encoder gives for a place; the paper's has 256."""

    activation: Activation = "leakyrelu"
    """``leakyrelu``, ``relu``, ``sigmoid`` or ``tanh``."""

    dropout: float = LocationSpec.dropout

    finest_level: int = PUBLISHED_LEVEL
    """Records are S2 cells of this level or coarser; a finer one than 8 cannot be published."""

    val_share: float = 0.1
    """Share of the blocks kept aside to choose the epoch, where the table has no splits."""

    val_block_level: int = 4
    """S2 level of these blocks: at 4, about 580 km."""

    epochs: int = 30

    batch_size: int = 4096
    """Records of a step; as many places drawn on the Earth are looked at beside them."""

    learning_rate: float = 0.02
    """Peak rate."""

    weight_decay: float = 0.0

    warmup_epochs: float = 0.0
    """Epochs until the peak rate is reached, in a straight line."""

    warmup_from: float = 1.0
    """Rate at the first step, as a share of the peak."""

    final_rate: float = 0.5
    """Rate at the last step, as a share of the peak; a cosine leads there from the peak."""

    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that cannot train, naming the setting as the user writes it."""
        check_choices(self, CHOICES)
        check_above_0(self, ("epochs", "batch_size", "learning_rate"))
        check_not_below_0(self, ("weight_decay", "warmup_epochs", "seed"))
        for name in ("val_share", "warmup_from", "final_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be between 0 and 1")
        for name in ("finest_level", "val_block_level"):
            if not 0 <= getattr(self, name) <= FINEST_LEVEL:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; S2 levels are 0 to {FINEST_LEVEL}"
                )
        _ = self.spec  # refuses shapes that cannot be built

    @property
    def spec(self) -> LocationSpec:
        """The shape of the location encoder, as the checkpoint keeps it."""
        space2vec = Space2Vec(
            encoding=self.encoding,
            scales=self.scales,
            frequencies=self.frequencies,
            min_radius_deg=self.min_radius_deg,
            max_radius_deg=self.max_radius_deg,
            seed=self.seed,
        )
        return LocationSpec(
            space2vec=space2vec,
            hidden_layers=self.hidden_layers,
            hidden=self.hidden,
            features=self.features,
            activation=self.activation,
            dropout=self.dropout,
        )

    def peak_rate(self, parameter: str) -> float:
        """Return the peak rate of a parameter by its name: all have the same."""
        return self.learning_rate
