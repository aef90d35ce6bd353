"""What a user wants of a package's size: levers that are set, limits to keep, or the knee.

A device profile is the file that ``homerange bench`` writes on the device. Without one a limit in
milliseconds is refused: multiply-adds say nothing about the time of an unknown processor, and
between two that run our packages there are factors of a hundred.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self, get_args

from homerange.errors import ConfigError
from homerange.specialize.quantize import Bits

__all__ = ["DeviceProfile", "Smaller"]


@dataclass(frozen=True, kw_only=True)
class DeviceProfile:
    """What one model took on a device."""

    device: str
    latency_ms: float
    """Of one photo: median."""
    macs: int
    """Multiply-adds of that model for one photo."""

    def ms(self, macs: int) -> float:
        """Estimate the time of a photo: as many times longer as there are more multiply-adds.

        Example:
            >>> DeviceProfile(device="a", latency_ms=30.0, macs=3_000_000).ms(2_000_000)
            20.0
        """
        return self.latency_ms * macs / self.macs

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what ``homerange bench`` wrote.

        Raises:
            ConfigError: If the file is none, or lacks a number.
        """
        again = "Write one on the device with: homerange bench PACKAGE -o bench.json"
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: no profile of a device ({error}). {again}") from error
        if not isinstance(content, dict) or content.get("format") != "homerange-bench":
            raise ConfigError(f'{path}: does not say "format": "homerange-bench". {again}')
        for key in ("latency_ms", "macs"):
            value = content.get(key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ConfigError(f"{path}: {key} is {value!r}; expected a number above 0. {again}")
        return cls(
            device=str(content.get("device", "unknown")),
            latency_ms=float(content["latency_ms"]),
            macs=int(content["macs"]),
        )


@dataclass(frozen=True, kw_only=True)
class Smaller:
    """Levers that the user sets, and limits within which the others are chosen."""

    bits: int | None = None
    """Of the weights; chosen within the limits, else 32."""
    input_px: int | None = None
    """Side of the photos; chosen within the limits, else the world's."""
    max_bytes: int | None = None
    """Of the model on disk."""
    max_ms: float | None = None
    """Of a photo on ``device``."""
    device: DeviceProfile | None = None
    min_accuracy: float | None = None
    """A share, on the place's species."""
    knee: bool = False
    """Take the model from which on a little less size costs much accuracy."""
    photos: Path | None = None
    """A list of photos with their species, to measure on: ``.csv``, or its folder."""

    def __post_init__(self) -> None:
        """Refuse what cannot be had, before any work."""
        if self.bits is not None and self.bits not in get_args(Bits):
            known = ", ".join(map(str, get_args(Bits)))
            raise ConfigError(f"--bits {self.bits}: expected one of {known}")
        if self.input_px is not None and self.input_px < 32:
            raise ConfigError(f"--input-px {self.input_px}: expected at least 32")
        for option, value in (("--max-kb", self.max_bytes), ("--max-ms", self.max_ms)):
            if value is not None and not value > 0:
                raise ConfigError(f"{option} {value:g}: expected a number above 0")
        if self.min_accuracy is not None and not 0 < self.min_accuracy <= 1:
            raise ConfigError(
                f"--min-accuracy {self.min_accuracy:g}: expected a share, above 0 up to 1"
            )
        if self.max_ms is not None and self.device is None:
            raise ConfigError(
                "--max-ms needs --device FILE, what homerange bench measured on that device: the "
                "time of an unknown processor cannot be estimated"
            )

    @property
    def searches(self) -> bool:
        """Whether there is something to choose by."""
        limits = (self.max_bytes, self.max_ms, self.min_accuracy)
        return self.knee or any(limit is not None for limit in limits)
