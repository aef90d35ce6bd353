"""Any-subset training: each step also trains the network as it is cut for a place.

Source: the paper, section 1, trains "with the intention of selecting class-based subnetworks,
possibly without finetuning" and does not say how. We add to the loss of the whole network that of
one subnetwork, as slimmable networks do (Yu 2019, the sandwich rule): a place is drawn for the
step, its classes alone can be answered, and of the experts those stay that its classes use most, by
running counts. Tokens of the others are rerouted. Batch norms keep their running statistics, as
they do on the device.

Axes used in this file:
    N  training photos with a place     B  photos of a batch     T  tokens
    C  classes     K  classes of a place     E  experts of a layer
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from homerange.data.answers import class_indices
from homerange.data.manifest import Manifest
from homerange.data.names import OUTCOMES
from homerange.errors import ConfigError
from homerange.geo.sphere import EARTH_RADIUS_KM, great_circle_km
from homerange.model.experts import ExpertMlp

__all__ = ["ExpertUse", "TrainingPlace", "TrainingPlaces", "as_cut"]


@dataclass(frozen=True)
class TrainingPlace:
    """A place drawn for one step."""

    class_K: Tensor
    """Its classes, rising."""
    expert_share: float
    """Share of the experts of each layer that it keeps."""


class TrainingPlaces:
    """Circles around training photos: their classes are those with a training photo inside."""

    def __init__(
        self, photos: Manifest, classes: Sequence[str], *, radius_km: float, expert_share_min: float
    ) -> None:
        """Take the places from photos.

        Args:
            photos: The training photos.
            classes: The network's; outcomes belong to every place.
            radius_km: Of the circles.
            expert_share_min: Smallest share of experts that a place may keep.

        Raises:
            ConfigError: If no labelled photo has coordinates.
        """
        class_M = np.array(class_indices(photos, classes))
        latlon_M2 = photos.latlon_N2()
        located_M = (class_M >= 0) & np.isfinite(latlon_M2).all(axis=1)
        self.class_N, self.latlon_N2 = class_M[located_M], latlon_M2[located_M]
        if not len(self.class_N):
            raise ConfigError(
                "place_dropout is set, but no labelled training photo has coordinates, so no place "
                "can be drawn; add them to the manifest, or use --set place_dropout=0"
            )
        self._northward_N = self.latlon_N2[:, 0].argsort(kind="stable")
        self._latitude_N = self.latlon_N2[self._northward_N, 0]
        self.outcome_O = [c for c, name in enumerate(classes) if name in OUTCOMES]
        self.radius_km, self.expert_share_min = radius_km, expert_share_min

    def draw(self, seed: tuple[int, ...]) -> TrainingPlace:
        """Draw a photo, all alike, and a share of experts between the smallest and 1."""
        generator = np.random.default_rng(seed)
        centre_2 = self.latlon_N2[generator.integers(len(self.class_N))]
        class_K = np.union1d(self._classes_around(centre_2), np.array(self.outcome_O, np.int64))
        share = float(generator.uniform(self.expert_share_min, 1))
        return TrainingPlace(torch.from_numpy(class_K), share)

    def _classes_around(self, centre_2: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the class of each photo in the circle; only its band of latitude is measured."""
        band_deg = 1.001 * math.degrees(self.radius_km / EARTH_RADIUS_KM)
        ends = centre_2[0] - band_deg, centre_2[0] + band_deg
        near_N = self._northward_N[slice(*np.searchsorted(self._latitude_N, ends))]
        here_N = great_circle_km(centre_2, self.latlon_N2[near_N]) <= self.radius_km
        return self.class_N[near_N[here_N]]


class ExpertUse(nn.Module):
    """How often each class sends a token to each expert: running counts, saved with a training."""

    FADE = 0.99
    """What is left of old counts after a step: experts change while they learn."""

    def __init__(self, network: nn.Module, classes: int) -> None:
        """Watch the gates of a network from now on."""
        super().__init__()
        self._seen: dict[str, Tensor] = {}
        self._names = {
            name: name.replace(".", "-")
            for name, module in network.named_modules()
            if isinstance(module, ExpertMlp) and module.experts
        }
        for name, flat in self._names.items():
            mlp = network.get_submodule(name)
            assert isinstance(mlp, ExpertMlp)
            self.register_buffer(flat, torch.zeros(classes, mlp.experts))
            mlp.gate.register_forward_hook(
                lambda _, __, scores_BTE, name=name: self._note(name, scores_BTE)
            )

    def _note(self, name: str, scores_BTE: Tensor) -> None:
        self._seen[name] = scores_BTE.detach().argmax(-1)

    def count(self, class_B: Tensor) -> None:
        """Count the tokens of the last pass; -1 is no class. All processes add theirs up."""
        known_B = class_B >= 0
        for name, flat in self._names.items():
            count_CE = self.get_buffer(flat)
            chosen_BT = self._seen.pop(name)[known_B]
            index_BT = class_B[known_B][:, None] * count_CE.shape[1] + chosen_BT
            new = torch.bincount(index_BT.flatten(), minlength=count_CE.numel()).to(count_CE)
            if torch.distributed.is_initialized():
                torch.distributed.all_reduce(new)
            count_CE.mul_(self.FADE).add_(new.view_as(count_CE))

    def kept(self, place: TrainingPlace) -> dict[str, Tensor]:
        """Choose the experts of a place: those that its classes, each counting alike, use most.

        Returns:
            True for each expert that stays, shape (E,), by the name of its layer.
        """
        kept = {}
        for name, flat in self._names.items():
            count_KE = self.get_buffer(flat)[place.class_K]
            use_E = (count_KE / count_KE.sum(1, keepdim=True).clamp(min=1e-9)).sum(0)
            number = math.ceil(place.expert_share * len(use_E))
            kept_E = torch.zeros(len(use_E), dtype=torch.bool, device=use_E.device)
            kept_E[use_E.argsort(descending=True, stable=True)[:number]] = True
            kept[name] = kept_E
        return kept


@contextmanager
def as_cut(network: nn.Module, kept: Mapping[str, Tensor]) -> Iterator[None]:
    """Let a network behave as if it were cut: only some experts, batch norms at rest.

    Args:
        network: In training mode or not; as before afterwards.
        kept: True for each expert that stays, shape (E,), by the name of its layer.
    """
    mlps = {name: network.get_submodule(name) for name in kept}
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and m.training]
    for name, mlp in mlps.items():
        assert isinstance(mlp, ExpertMlp)
        mlp.drop(~kept[name], "reroute")
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()
        for name, mlp in mlps.items():
            assert isinstance(mlp, ExpertMlp)
            mlp.drop(torch.zeros_like(kept[name]), "reroute")
