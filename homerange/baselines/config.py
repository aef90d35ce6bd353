"""What the recipes of all baselines share: a key ``system``, and labels alone to learn from."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from homerange.errors import ConfigError
from homerange.train.config import TrainConfig
from homerange.train.recipe import RECIPES

__all__ = ["BaselineConfig"]


@dataclass(frozen=True, kw_only=True)
class BaselineConfig(TrainConfig):
    """Settings of ``homerange train baseline``; each system adds its own."""

    shipped_in: ClassVar[Path] = RECIPES / "baselines"

    system: str = ""
    """``mobilenet``, ``gnfg``, ``ptfl``, ``flyp`` or ``few-shot``; decides which settings there
    are."""

    def _check_contradictions(self) -> None:
        if self.teacher:
            raise ConfigError(
                f"teacher is {self.teacher!r}; a baseline learns from labels alone, leave it out"
            )
        super()._check_contradictions()

    def _refuse(self, *names: str) -> None:
        """Refuse settings that this system has no use for, unless they are off."""
        for name in names:
            if getattr(self, name):
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; {self.system} does not use it, set it to "
                    f"{str(type(getattr(self, name))()).lower()}"
                )
