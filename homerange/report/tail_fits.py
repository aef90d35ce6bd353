"""Two curves that shares of the land may follow: a power law, and a log-normal distribution.

Source: Clauset, Shalizi and Newman 2009, "Power-law distributions in empirical data": a power law
is fitted by likelihood above a smallest value, which is the one whose fit lies nearest to the data
(Kolmogorov and Smirnov's distance). Such a fit says of how few values it is true; whether all
values follow a power law is asked by fitting it to all, and the log-normal too, and comparing how
likely each makes the data (Vuong 1989). The paper says "power law" by eye (section 3.1).

Axes used in this file:
    N  values      T  values of the tail
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST", "LogNormal", "PowerLaw", "likelier"]

FEWEST = 10
"""Values of a tail, at least."""

Cumulated = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """The density of x falls as x to the power of minus ``alpha``, from ``smallest`` on."""

    alpha: float
    smallest: float
    values: int
    """Values at or above the smallest."""
    distance: float
    """Largest distance between the cumulated shares of data and curve."""

    @classmethod
    def fit(cls, x_N: NDArray[np.float64]) -> Self | None:
        """Fit a power law to positive values; None where fewer than ten differ.

        Example:
            >>> law = PowerLaw.fit((1 - (np.arange(1000) + 0.5) / 1000) ** -0.5)
            >>> round(law.alpha, 1)  # what falls as 1 / x ** 2 above x has a density of 1 / x ** 3
            3.0
        """
        sorted_N = np.sort(x_N)
        candidates = np.unique(sorted_N[: max(0, len(sorted_N) - FEWEST + 1)])
        fits = [cls.above_smallest(sorted_N, float(smallest)) for smallest in candidates]
        found = [fit for fit in fits if fit is not None]
        return min(found, key=lambda fit: fit.distance, default=None)

    @classmethod
    def above_smallest(cls, sorted_N: NDArray[np.float64], smallest: float) -> Self | None:
        """Fit a power law to the values from ``smallest`` on; None where these are all alike."""
        tail_T = sorted_N[sorted_N >= smallest]
        logs = float(np.log(tail_T / smallest).sum())
        if logs <= 0:
            return None
        alpha = 1 + len(tail_T) / logs
        distance = _distance(tail_T, lambda x: 1 - (x / smallest) ** (1 - alpha))
        return cls(alpha=alpha, smallest=smallest, values=len(tail_T), distance=distance)

    def above(self, x_N: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share of the tail that lies above each value."""
        share_N: NDArray[np.float64] = (x_N / self.smallest) ** (1 - self.alpha)
        return share_N

    def log_density(self, x_T: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithm of the density at values of the tail."""
        density_T: NDArray[np.float64] = math.log(
            (self.alpha - 1) / self.smallest
        ) - self.alpha * np.log(x_T / self.smallest)
        return density_T


@dataclass(frozen=True, kw_only=True)
class LogNormal:
    """The logarithm of x is normal, with this mean and deviation."""

    mean: float
    deviation: float
    distance: float
    """As that of the power law, over all values."""

    @classmethod
    def fit(cls, x_N: NDArray[np.float64]) -> Self | None:
        """Fit a log-normal to positive values; None where fewer than ten, or all alike."""
        if len(x_N) < FEWEST or x_N.min() == x_N.max():
            return None
        logs_N = np.log(x_N)
        mean, deviation = float(logs_N.mean()), float(logs_N.std())
        rough = cls(mean=mean, deviation=deviation, distance=0.0)
        distance = _distance(np.sort(x_N), lambda x: 1 - rough.above(x))
        return cls(mean=mean, deviation=deviation, distance=distance)

    def above(self, x_N: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share of all values that lies above each value."""
        scaled_N = (np.log(x_N) - self.mean) / (self.deviation * math.sqrt(2))
        return np.array([math.erfc(value) / 2 for value in scaled_N.tolist()])

    def log_density(self, x_N: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithm of the density."""
        scaled_N = (np.log(x_N) - self.mean) / self.deviation
        constant = math.log(self.deviation * math.sqrt(2 * math.pi))
        density_N: NDArray[np.float64] = -(scaled_N**2) / 2 - constant - np.log(x_N)
        return density_N


def likelier(x_N: NDArray[np.float64], normal: LogNormal) -> tuple[float, float]:
    """Compare a log-normal with a power law, both fitted to all values.

    Args:
        x_N: The values, not all alike.
        normal: The log-normal.

    Returns:
        By how much the log-likelihood of the power law is higher, and Vuong's z of that: beyond -2
        or 2 the difference is hardly chance.
    """
    law = PowerLaw.above_smallest(np.sort(x_N), float(x_N.min()))
    assert law is not None  # not all alike
    gain_N = law.log_density(x_N) - normal.log_density(x_N)
    spread = float(gain_N.std()) * math.sqrt(len(x_N))
    total = float(gain_N.sum())
    return total, total / spread if spread else 0.0


def _distance(sorted_T: NDArray[np.float64], cumulated: Cumulated) -> float:
    """Return the largest distance between the steps of the data and a curve."""
    below_T = np.searchsorted(sorted_T, sorted_T, side="left") / len(sorted_T)
    up_to_T = np.searchsorted(sorted_T, sorted_T, side="right") / len(sorted_T)
    curve_T = cumulated(sorted_T)
    return float(max(np.abs(curve_T - below_T).max(), np.abs(curve_T - up_to_T).max()))
