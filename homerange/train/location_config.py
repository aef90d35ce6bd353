"""The settings of the location stage: those of every training, and how places supervise it.

Shipped recipes: ``paper-location`` (section 3.2 of the paper) and ``small-location``. The defaults
are the paper's where it gives one and METHOD's choice where it does not; docs/method.md says which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from homerange.errors import ConfigError
from homerange.train.config import TrainConfig
from homerange.train.recipe import RECIPES, check_above_0, check_choices, check_not_below_0

__all__ = ["LocationConfig"]

CHOICES: Mapping[str, Sequence[str]] = {
    "pooling": ("mean", "tokens"),
    "contrast": ("all", "cross"),
}
FIRST_LAYER_OF_LAST_TWO_BLOCKS = 2  # of nine, in MobileViTV2 of any width


@dataclass(frozen=True, kw_only=True)
class LocationConfig(TrainConfig):
    """Every setting of ``homerange train location``, beside those of :class:`TrainConfig`."""

    shipped_in: ClassVar[Path] = RECIPES / "location"

    location_layers: str | tuple[int, ...] = "all"
    """Transformer layers that places supervise: ``all``, ``last-two`` (those of the last two
    blocks) or a list, counted from 0."""

    location_weight: float = 0.01
    """Weight of the contrastive loss of each of these layers."""

    tau: float = 0.1
    """Temperature of that loss: smaller pulls harder on what is nearest."""

    location_dropout: float = 0.3
    """Share of the projected place that is dropped."""

    pooling: Literal["mean", "tokens"] = "mean"
    """What a layer says of a photo: the mean of its tokens, or random tokens, each for itself."""

    pooled_tokens: int = 4
    """With ``pooling = "tokens"``: how many of each photo."""

    contrast: Literal["all", "cross"] = "all"
    """``all``: photos and places are compared with all others. ``cross``: photos with places only,
    and places with photos."""

    def _check_values(self) -> None:
        super()._check_values()
        check_choices(self, CHOICES)
        check_above_0(self, ("tau", "pooled_tokens"))
        check_not_below_0(self, ("location_weight",))
        if not 0 <= self.location_dropout < 1:
            raise ConfigError(
                f"location_dropout is {self.location_dropout}; it must be at least 0 and below 1"
            )
        if isinstance(self.location_layers, str):
            check_choices(self, {"location_layers": ("all", "last-two")})

    def _check_contradictions(self) -> None:
        super()._check_contradictions()
        if self.labels_weight == 0:
            raise ConfigError("labels_weight is 0; places supervise a network that learns labels")
        if self.compile:
            raise ConfigError(
                "compile is true; the location stage reads between the layers of the encoder, "
                "which a compiled one does not show. Set compile to false"
            )

    def supervised(self, layers: int) -> tuple[int, ...]:
        """Return the layers that places supervise, of an encoder with ``layers`` of them.

        Raises:
            ConfigError: If one of them does not exist.
        """
        if self.location_layers == "all":
            return tuple(range(layers))
        if self.location_layers == "last-two":
            return tuple(range(FIRST_LAYER_OF_LAST_TWO_BLOCKS, layers))
        chosen = tuple(int(layer) for layer in self.location_layers)
        if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(range(layers)):
            raise ConfigError(
                f"location_layers is {list(chosen)}; expected different layers from 0 to "
                f"{layers - 1}, all or last-two"
            )
        return chosen
