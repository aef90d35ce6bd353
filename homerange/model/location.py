"""The location encoder e(x): Space2Vec features of a place, through a small network.

Source: the paper, section 3.2, which takes it from TorchSpatial (Wu et al. 2024). Modules have the
names of that code (``ffn.layers.0.linear``), so that its weights load. As there, the activation and
dropout follow the last layer too, and norm and skip connection do not.

Axes used in this file:
    N, B  places      F  features of Space2Vec      D  features of the encoder
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from homerange.errors import ConfigError
from homerange.geo.space2vec import Space2Vec

__all__ = ["Activation", "LocationEncoder", "LocationSpec"]

Activation = Literal["leakyrelu", "relu", "sigmoid", "tanh"]
ACTIVATIONS: Mapping[Activation, Callable[[], nn.Module]] = {
    "leakyrelu": lambda: nn.LeakyReLU(0.2),
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}
PLACES_AT_ONCE = 65_536


@dataclass(frozen=True, kw_only=True)
class LocationSpec:
    """The shape of a location encoder. The defaults are TorchSpatial's for iNaturalist 2017."""

    space2vec: Space2Vec = field(default_factory=Space2Vec)
    hidden_layers: int = 1
    hidden: int = 256
    features: int = 256
    """D, what the encoder gives for a place."""
    activation: Activation = "leakyrelu"
    layer_norm: bool = True
    """After each hidden layer."""
    skip: bool = True
    """Around each hidden layer that is as wide as what goes in."""
    dropout: float = 0.5

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built, naming the value as the user writes it."""
        for name, smallest in (("hidden_layers", 0), ("hidden", 1), ("features", 1)):
            if getattr(self, name) < smallest:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected {smallest} or more")
        if self.activation not in ACTIVATIONS:
            raise ConfigError(
                f"activation is {self.activation!r}; it must be one of {', '.join(ACTIVATIONS)}"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; it must be at least 0 and below 1")


class _Layer(nn.Module):
    """Linear, activation, dropout; around it a skip connection, after it a norm."""

    def __init__(self, given: int, wanted: int, spec: LocationSpec, *, last: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(given, wanted)
        nn.init.xavier_uniform_(self.linear.weight)
        self.activation = ACTIVATIONS[spec.activation]()
        self.dropout = nn.Dropout(spec.dropout)
        self.skip = spec.skip and given == wanted and not last
        self.layernorm = nn.LayerNorm(wanted) if spec.layer_norm and not last else nn.Identity()

    def forward(self, x_BF: Tensor) -> Tensor:
        """Take places one layer further, shape (B, wanted)."""
        y_BD: Tensor = self.dropout(self.activation(self.linear(x_BF)))
        normed_BD: Tensor = self.layernorm(y_BD + x_BF if self.skip else y_BD)
        return normed_BD


class _FeedForward(nn.Module):
    def __init__(self, spec: LocationSpec) -> None:
        super().__init__()
        sizes = [spec.space2vec.size, *[spec.hidden] * spec.hidden_layers, spec.features]
        pairs = list(itertools.pairwise(sizes))
        self.layers = nn.ModuleList(
            _Layer(given, wanted, spec, last=i == len(pairs) - 1)
            for i, (given, wanted) in enumerate(pairs)
        )

    def forward(self, x_BF: Tensor) -> Tensor:
        for layer in self.layers:
            x_BF = layer(x_BF)
        return x_BF


class LocationEncoder(nn.Module):
    """From features of Space2Vec (B, F) to those of the encoder (B, D).

    Example:
        >>> encoder = LocationEncoder(LocationSpec(space2vec=Space2Vec(scales=16)))
        >>> encoder.embed(np.array([[-2.33, 34.83]])).shape
        torch.Size([1, 256])
    """

    def __init__(self, spec: LocationSpec) -> None:
        super().__init__()
        self.spec = spec
        self.ffn = _FeedForward(spec)

    def forward(self, feature_BF: Tensor) -> Tensor:
        """Return the features of places whose Space2Vec features are given, shape (B, D)."""
        x_BD: Tensor = self.ffn(feature_BF)
        return x_BD

    def embed(self, latlon_N2: NDArray[np.float64]) -> Tensor:
        """Return the features of places, shape (N, D), as a frozen encoder gives them.

        Args:
            latlon_N2: Latitude and longitude, WGS 84 degrees, shape (N, 2).

        Raises:
            CoordinateError: If a coordinate is NaN or out of range.
        """
        was_training = self.training
        self.eval()
        found = [torch.empty(0, self.spec.features)]
        with torch.no_grad():
            for start in range(0, len(latlon_N2), PLACES_AT_ONCE):
                some_N2 = latlon_N2[start : start + PLACES_AT_ONCE]
                found.append(self(torch.from_numpy(self.spec.space2vec.encode(some_N2))))
        self.train(was_training)
        return torch.cat(found)
