"""Space2Vec: a place becomes sines and cosines at several scales.

Source: Mai et al., ICLR 2020, arXiv:2003.00824, with the numbers of TorchSpatial's code (Wu et al.
2024), so that its checkpoints can be used:
    - coordinates are longitude and latitude in degrees, not projected, and not scaled to [-1, 1];
    - the angle is coordinate / radius, in radians, without a factor 2 pi: a radius of 1 degree
      repeats after 6.3 degrees;
    - ``grid`` looks along the two axes, direction by direction: (sin, cos) of longitude at each
      scale, then of latitude. ``theory`` looks along three directions 120 degrees apart, scale by
      scale.

Axes used in this file:
    N  places      2  latitude, longitude      S  scales
    D  directions  F  features: 4 * S for grid, 6 * S for theory
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homerange.errors import ConfigError
from homerange.geo.sphere import check_latlon

__all__ = ["Encoding", "Frequencies", "Space2Vec"]

Encoding = Literal["grid", "theory", "raw"]
"""``raw`` is the control: the two coordinates themselves, as shares of 180 and 90 degrees."""

Frequencies = Literal["geometric", "random", "nerf"]
"""``geometric``: one over radii in a geometric series. ``random``: even between 0 and the largest
radius, as a frequency. ``nerf``: pi times the powers of two."""

HALF_ROOT_3 = math.sqrt(3) / 2
LATLON_OF_DIRECTION_D2 = {
    "grid": np.array([[0.0, 1.0], [1.0, 0.0]]),
    "theory": np.array([[0.0, 1.0], [HALF_ROOT_3, -0.5], [-HALF_ROOT_3, -0.5]]),
}


@dataclass(frozen=True, kw_only=True)
class Space2Vec:
    """An encoding of places. The defaults are TorchSpatial's for iNaturalist 2017.

    Example:
        >>> serengeti = np.array([[-2.33, 34.83]])
        >>> Space2Vec(scales=16).encode(serengeti).shape
        (1, 64)
    """

    encoding: Encoding = "grid"
    scales: int = 128
    frequencies: Frequencies = "geometric"
    min_radius_deg: float = 0.005
    """One degree of latitude is about 111 km."""
    max_radius_deg: float = 360.0
    seed: int = 0
    """Of random frequencies."""

    def __post_init__(self) -> None:
        """Refuse encodings that cannot be computed, naming the value as the user writes it."""
        if self.scales < 2:
            raise ConfigError(f"scales is {self.scales}; expected 2 or more")
        if not 0 < self.min_radius_deg < self.max_radius_deg:
            raise ConfigError(
                f"min_radius_deg is {self.min_radius_deg} and max_radius_deg is "
                f"{self.max_radius_deg}; expected two radii above 0, the smaller first"
            )

    @cached_property
    def frequency_S(self) -> NDArray[np.float64]:
        """What a coordinate in degrees is multiplied with at each scale, shape (S,)."""
        if self.frequencies == "nerf":
            return np.pi * np.exp2(np.arange(self.scales))
        if self.frequencies == "random":
            return np.random.default_rng(self.seed).random(self.scales) * self.max_radius_deg
        return 1 / np.geomspace(self.min_radius_deg, self.max_radius_deg, self.scales)

    @cached_property
    def angle_2F(self) -> NDArray[np.float64]:
        """Angles of a place as one product, radians a degree; its columns each give sin and cos.

        Shape (2, F / 2). Not for ``raw``, which has no angles.
        """
        direction_D2 = LATLON_OF_DIRECTION_D2[self.encoding]
        angle_2DS = direction_D2.T[:, :, None] * self.frequency_S
        if self.encoding == "theory":
            angle_2DS = angle_2DS.swapaxes(1, 2)
        return angle_2DS.reshape(2, -1)

    @property
    def size(self) -> int:
        """Return F, the number of features of a place."""
        return 2 if self.encoding == "raw" else 2 * self.angle_2F.shape[1]

    def encode(self, latlon_N2: NDArray[np.float64]) -> NDArray[np.float32]:
        """Encode places; computed in double precision.

        Args:
            latlon_N2: Latitude and longitude, WGS 84 degrees, shape (N, 2).

        Returns:
            Features between -1 and 1, shape (N, F).

        Raises:
            CoordinateError: If a coordinate is NaN or out of range.
        """
        check_latlon(latlon_N2)
        if self.encoding == "raw":
            return (latlon_N2[:, ::-1] / (180, 90)).astype(np.float32)
        angle_NF = latlon_N2 @ self.angle_2F
        feature_NF2 = np.stack([np.sin(angle_NF), np.cos(angle_NF)], axis=-1)
        return feature_NF2.reshape(len(latlon_N2), -1).astype(np.float32)
