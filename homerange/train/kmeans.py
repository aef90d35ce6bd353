"""Spherical k-means: cluster centres on the unit sphere, for the gates of experts.

Source: the paper, section 3.3: centroids of training embeddings start the gate after a number of
"refinement steps". We read one step as one pass over all tokens (Lloyd): each token goes to the
centre of largest cosine, each centre becomes the direction of the sum of its tokens. Seeds are
k-means++ on the cosine distance. A centre without tokens moves to the token that is worst served.

Axes used in this file:
    T  tokens      D  channels      E  centres, one for each expert
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Clusters", "spherical_kmeans"]

SEED_FROM = 20_000
"""Tokens that the seeds are drawn from: k-means++ looks at each E times."""
AT_A_TIME = 65_536


@dataclass(frozen=True)
class Clusters:
    """Centres, and how the tokens lie around them."""

    centre_ED: Tensor
    """Unit rows."""
    size_E: Tensor
    """Tokens nearest to each centre."""
    inertia: float
    """Mean of one minus the cosine between a token and its centre."""


def spherical_kmeans(x_TD: Tensor, centres: int, *, steps: int, seed: int) -> Clusters:
    """Cluster the directions of tokens.

    Args:
        x_TD: Tokens, of any length but zero; at least as many as ``centres``. Shape (T, D).
        centres: Number of clusters E.
        steps: Passes over all tokens.
        seed: Of the first centres.

    Raises:
        ValueError: If there are fewer tokens than centres.
    """
    if len(x_TD) < centres:
        raise ValueError(f"{len(x_TD)} tokens cannot make {centres} clusters; collect more")
    x_TD = functional.normalize(x_TD.float(), dim=1)
    centre_ED = _seeds(x_TD, centres, torch.Generator().manual_seed(seed))
    for _ in range(steps):
        nearest_T, cosine_T = _assign(x_TD, centre_ED)
        sum_ED = torch.zeros_like(centre_ED).index_add_(0, nearest_T, x_TD)
        empty_E = torch.bincount(nearest_T, minlength=centres) == 0
        sum_ED[empty_E] = x_TD[cosine_T.argsort()[: int(empty_E.sum())]]
        centre_ED = functional.normalize(sum_ED, dim=1)
    nearest_T, cosine_T = _assign(x_TD, centre_ED)
    size_E = torch.bincount(nearest_T, minlength=centres)
    return Clusters(centre_ED, size_E, float(1 - cosine_T.mean()))


def _seeds(x_TD: Tensor, centres: int, generator: torch.Generator) -> Tensor:
    """Draw centres one after the other, each token with a chance of its squared distance."""
    pool_SD = x_TD[torch.randperm(len(x_TD), generator=generator)[: max(SEED_FROM, centres)]]
    chosen = [0]  # the pool is shuffled, so the first is a random one
    distance_S = torch.full((len(pool_SD),), torch.inf)
    for _ in range(centres - 1):
        distance_S = torch.minimum(distance_S, (1 - pool_SD @ pool_SD[chosen[-1]]).clamp(min=0))
        distance_S[chosen] = 0
        if not bool(distance_S.any()):  # fewer different tokens than centres
            distance_S[:] = 1
        chosen.append(int(torch.multinomial(distance_S, 1, generator=generator)))
    return pool_SD[chosen].clone()


def _assign(x_TD: Tensor, centre_ED: Tensor) -> tuple[Tensor, Tensor]:
    starts = range(0, len(x_TD), AT_A_TIME)
    parts = [(x_TD[i : i + AT_A_TIME] @ centre_ED.T).max(dim=1) for i in starts]
    return torch.cat([part.indices for part in parts]), torch.cat([part.values for part in parts])
