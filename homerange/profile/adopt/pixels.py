"""How a network from elsewhere wants its pixels, as the user declares it.

Presets are TOML files beside this one. What the graph itself says, its layout, its size and whether
it takes bytes, is read there; what it cannot say, how colours were scaled in training, is declared:
wrong numbers give wrong answers and no error.

Axes used in this file:
    B  photos     H, W  pixels     3  colours
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from homerange.data.images import Preprocessing
from homerange.errors import ConfigError
from homerange.train.recipe import Recipe, check_above_0, check_choices

__all__ = ["Pixels"]

_LAYOUTS = ("graph", "nchw", "nhwc")


@dataclass(frozen=True, kw_only=True)
class Pixels(Recipe):
    """What is done to pixels from 0 to 255 before they enter a network."""

    shipped_in: ClassVar[Path] = Path(__file__).parent / "presets"

    layout: Literal["graph", "nchw", "nhwc"] = "graph"
    """Axes of the input; ``graph``: where the graph says 3 colours are."""

    input_px: int = 0
    """Side of the square; 0: as the graph says."""

    colours: Literal["rgb", "bgr"] = "rgb"

    scale: float = 1.0
    """What pixels are divided by first."""

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Taken off then, one number for each colour in the order of ``colours``."""

    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    """What they are divided by at last."""

    fit: Literal["crop", "squash"] = "crop"
    """As in ``homerange.data.images.Preprocessing``."""

    crop_fraction: float = 0.875

    def __post_init__(self) -> None:
        """Refuse values that no photo could be prepared with."""
        check_choices(
            self, {"layout": _LAYOUTS, "colours": ("rgb", "bgr"), "fit": ("crop", "squash")}
        )
        check_above_0(self, ["scale", "crop_fraction"])
        for name, values in {"mean": self.mean, "std": self.std}.items():
            numbers = all(isinstance(value, int | float) for value in values)
            if len(values) != 3 or not numbers or (name == "std" and min(values) <= 0):
                raise ConfigError(
                    f"{name} is {list(values)}; expected one number for each of three colours"
                    f"{', above 0' if name == 'std' else ''}, for example [0.5, 0.5, 0.5]"
                )

    @property
    def neutral(self) -> bool:
        """Whether the network gets the pixels as they are, but for the order of their axes."""
        return (self.scale, *self.mean, *self.std) == (1, 0, 0, 0, 1, 1, 1)

    def preprocessing(self, input_px: int) -> Preprocessing:
        """Return how a photo becomes a square of this size."""
        return Preprocessing(input_px=input_px, fit=self.fit, crop_fraction=self.crop_fraction)

    def apply(self, rgb_BHW3: NDArray[np.uint8], *, channels_first: bool) -> NDArray[np.float32]:
        """Prepare pixels as the network was trained on them: what the nodes of a world must equal.

        Example:
            >>> inception = Pixels.read("inception")
            >>> inception.apply(np.full((1, 1, 1, 3), 255, np.uint8), channels_first=True).ravel()
            array([1., 1., 1.], dtype=float32)
        """
        pixels = rgb_BHW3[..., ::-1] if self.colours == "bgr" else rgb_BHW3
        scaled = (pixels / np.float64(self.scale) - self.mean) / self.std
        moved = scaled.transpose(0, 3, 1, 2) if channels_first else scaled
        return moved.astype(np.float32)
