"""The settings of the expert stage: those of every training, and what its experts are.

Shipped recipes: ``paper-experts`` (section 3.4 of the paper) and ``small-experts``. The defaults
are the paper's where it gives one and METHOD's choice where it does not; docs/method.md says which.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from homerange.model.experts import ExpertSpec
from homerange.train.config import TrainConfig
from homerange.train.recipe import RECIPES, check_above_0, check_choices, check_not_below_0

__all__ = ["ExpertConfig", "ExpertInit"]

ExpertInit = Literal["random", "mean", "distill", "copy"]
CHOICES: Mapping[str, Sequence[str]] = {
    "routing": ("clusters", "random"),
    "expert_init": ("random", "mean", "distill", "copy"),
}
OF_EXPERTS = re.compile(r"\.mlp\.(?:[wb][12]_E|shared\.)")
NOT_NEGATIVE = ("refine_steps", "photos_per_class_min", "distill_steps", "expert_learning_rate")


@dataclass(frozen=True, kw_only=True)
class ExpertConfig(TrainConfig):
    """Every setting of ``homerange train experts``, beside those of :class:`TrainConfig`."""

    shipped_in: ClassVar[Path] = RECIPES / "experts"

    expert_layers: tuple[int, ...] = ExpertSpec.layers
    """Transformer layers whose MLP becomes experts, counted from 0; MobileViTV2 has nine."""

    experts: int = ExpertSpec.experts
    """Experts in each of these layers; 0, with ``shared``, for one small MLP without a router."""

    hidden: int = ExpertSpec.hidden
    """Hidden width of an expert."""

    gate_rank: int = ExpertSpec.gate_rank
    """Rank of the gate; 0 for a full matrix."""

    top_k: int = ExpertSpec.top_k
    """Experts that answer for a token."""

    shared: int = ExpertSpec.shared
    """Hidden width of an expert that answers for every token; 0 for none."""

    routing: Literal["clusters", "random"] = "clusters"
    """``clusters``: gates start from k-means and are trained. ``random``: random and fixed, as a
    control."""

    expert_init: ExpertInit = "distill"
    """``random``: first weights random, second zero. ``mean``: the dense MLP's mean answer to each
    cluster. ``distill``: from there, the dense MLP imitated. ``copy``: the dense MLP itself, where
    ``hidden`` is its width."""

    refine_steps: int = 5
    """Passes of k-means over the tokens."""

    photos_per_class_min: int = 10
    """Photos whose tokens are clustered, at least, for each class; rarer classes are repeated."""

    tokens_per_photo: int = 16
    """Tokens taken from a photo at each layer, so that large maps do not count for more."""

    tokens_max: int = 256_000
    """Tokens kept at each layer."""

    distill_steps: int = 1000
    """Steps in which ``distill`` imitates the dense MLP on the kept tokens."""

    expert_learning_rate: float = 1e-3
    """Peak rate of the experts' weights; gates have that of the encoder."""

    def _check_values(self) -> None:
        super()._check_values()
        check_choices(self, CHOICES)
        check_above_0(self, ("tokens_per_photo", "tokens_max"))
        check_not_below_0(self, NOT_NEGATIVE)
        _ = self.spec  # refuses shapes that cannot be built

    def peak_rate(self, parameter: str) -> float:
        """Return the peak rate of a parameter of the learner, by its name."""
        if OF_EXPERTS.search(parameter):
            return self.expert_learning_rate
        return super().peak_rate(parameter)

    @property
    def spec(self) -> ExpertSpec:
        """The shape of the experts, as the checkpoint keeps it."""
        return ExpertSpec(
            layers=self.expert_layers,
            experts=self.experts,
            hidden=self.hidden,
            gate_rank=self.gate_rank,
            top_k=self.top_k,
            shared=self.shared,
        )
