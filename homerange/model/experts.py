"""The expert layer: each token goes to the one small MLP that its gate picks.

Source: the paper, section 3.3: experts take the place of the dense MLP in layers 1, 3, 5 and 7 of
the nine; the gate starts from centroids of what enters that MLP. Where the paper is silent
(docs/method.md says so line by line) we chose:
    - the gate looks at the direction of a token only, ``scores = up @ down @ x / |x| / tau``, and
      is never computed in less than 32 bit: a tie or a rounding would change the expert;
    - top-1 by ArgMax, the lowest index where two are equal; the weight of the chosen expert is
      ``g / stop_gradient(g)``, which is 1 and hands the gate its gradient;
    - a dropped expert is simulated here and cut out of the graph in ``homerange.specialize``, by
      the same rule.

Axes used in this file:
    B  photos            P  pixels of a patch     T  tokens, P * N
    D  channels          N  patches               K  experts of one token (top-k)
    E  experts           H  hidden width          R  rank of the gate
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from timm.layers.mlp import ConvMlp
from torch import Tensor, nn
from torch.nn import functional

from homerange.errors import ConfigError

__all__ = ["DropRule", "Execution", "ExpertBlock", "ExpertMlp", "ExpertSpec", "Gate"]

DropRule = Literal["reroute", "zero", "literal", "skip", "mean"]
"""What becomes of a token whose expert was dropped.

``reroute``: the best of the kept experts. ``zero``: what leaves the layer is zero (the intent of
the paper). ``literal``: the MLP answers minus its input (its formula, word for word). ``skip``: the
MLP answers zero. ``mean``: the MLP answers the mean answer of the dropped expert.
"""

Execution = Literal["masked", "gather"]
"""``masked``: all experts as one wide MLP whose hidden units are masked. ``gather``: each token
fetches the weights of its expert. Both give the same numbers."""

FIRST_TAU, SMALLEST_TAU = 0.07, 0.01


@dataclass(frozen=True, kw_only=True)
class ExpertSpec:
    """The experts of a network. The defaults are the paper's; ``config.json`` holds these values.

    ``experts = 0`` with ``shared > 0`` is the control without a router: one small MLP for all.
    """

    layers: tuple[int, ...] = (1, 3, 5, 7)
    """Transformer layers that have experts, counted from 0 through the whole encoder."""
    experts: int = 64
    hidden: int = 2
    """Hidden width of an expert."""
    gate_rank: int = 8
    """Rank of the gate; 0 for a full matrix."""
    top_k: int = 1
    """Experts that answer for one token, weighted by the gate where there are several."""
    shared: int = 0
    """Hidden width of an expert that answers for every token beside the chosen one; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built, naming the value as the user writes it."""
        if not self.layers or sorted(set(self.layers)) != list(self.layers) or self.layers[0] < 0:
            raise ConfigError(
                f"expert_layers is {list(self.layers)}; expected layers that rise, counted from 0"
            )
        for name, smallest in (("experts", 0), ("hidden", 1), ("gate_rank", 0), ("shared", 0)):
            if getattr(self, name) < smallest:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected {smallest} or more")
        if self.experts + self.shared == 0:
            raise ConfigError("experts and shared are both 0; that is no MLP at all")
        if not 1 <= self.top_k <= max(1, self.experts):
            raise ConfigError(f"top_k is {self.top_k}; expected 1 to the {self.experts} experts")


class Gate(nn.Module):
    """From a token to a score for each expert: a matrix (E, D), or its product of rank R."""

    def __init__(self, channels: int, experts: int, rank: int) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.randn(experts, rank or channels))
        self.down = nn.Parameter(torch.randn(rank, channels)) if rank else None
        self.log_tau = nn.Parameter(torch.tensor(math.log(FIRST_TAU)))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return the scores before the softmax, (B, T, E), in 32 bit."""
        with torch.autocast(x_BTD.device.type, enabled=False):
            direction_BTD = functional.normalize(x_BTD.to(self.up.dtype), dim=-1)
            if self.down is not None:
                direction_BTD = direction_BTD @ self.down.T
            scores_BTE: Tensor = direction_BTD @ self.up.T
            return scores_BTE / self.log_tau.exp().clamp(min=SMALLEST_TAU)

    def set_centroids(self, centroid_ED: Tensor) -> None:
        """Make the gate score tokens by these directions, as well as its rank allows (by SVD)."""
        with torch.no_grad():
            if self.down is None:
                self.up.copy_(centroid_ED)
                return
            rank = len(self.down)
            left, size, right = torch.linalg.svd(centroid_ED.float(), full_matrices=False)
            self.up.zero_()
            self.down.zero_()
            self.up[:, : len(size)] = (left * size)[:, :rank]
            self.down[: len(size)] = right[:rank]


class ExpertMlp(nn.Module):
    """E experts of hidden width H with a gate, in place of one MLP. In and out: (B, D, P, N).

    Example:
        >>> layer = ExpertMlp(64, ExpertSpec(experts=16))
        >>> layer(torch.zeros(2, 64, 4, 9)).shape
        torch.Size([2, 64, 4, 9])
    """

    def __init__(self, channels: int, spec: ExpertSpec) -> None:
        """Start with random first and zero second weights: the layer adds nothing yet."""
        super().__init__()
        self.channels, self.top_k, self.experts = channels, spec.top_k, spec.experts
        self.execution: Execution = "masked"
        self.drop_rule: DropRule = "reroute"
        self.shared = ConvMlp(channels, spec.shared, act_layer=nn.SiLU) if spec.shared else None
        if not spec.experts:
            return
        self.gate = Gate(channels, spec.experts, spec.gate_rank)
        bound = math.sqrt(6 / channels)  # Kaiming, uniform
        self.w1_EHD = nn.Parameter(torch.empty(spec.experts, spec.hidden, channels))
        nn.init.uniform_(self.w1_EHD, -bound, bound)
        self.b1_EH = nn.Parameter(torch.zeros(spec.experts, spec.hidden))
        self.w2_EHD = nn.Parameter(torch.zeros(spec.experts, spec.hidden, channels))
        self.b2_ED = nn.Parameter(torch.zeros(spec.experts, channels))
        everything_E = torch.ones(spec.experts, dtype=torch.bool)
        self.register_buffer("kept_E", everything_E, persistent=False)
        self.register_buffer("mean_ED", torch.zeros(spec.experts, channels), persistent=False)

    kept_E: Tensor
    mean_ED: Tensor
    """Mean answer of each expert, for the drop rule ``mean``; set by the profile."""

    def drop(self, dropped_E: Tensor, rule: DropRule) -> None:
        """From now on behave as if these experts were gone. Nothing is removed.

        Args:
            dropped_E: True for each expert to drop, shape (E,).
            rule: What becomes of their tokens. Where no expert is left, ``reroute`` acts as
                ``skip``: the MLP answers zero.
        """
        if rule not in get_args(DropRule):
            raise ValueError(f"drop rule {rule!r} is unknown; use {', '.join(get_args(DropRule))}")
        self.kept_E = ~dropped_E.to(self.kept_E.device)
        self.drop_rule = rule

    def route(self, x_BTD: Tensor) -> tuple[Tensor, Tensor]:
        """Choose experts: their indices and weights, each (B, T, K), the best first."""
        scores_BTE = self.gate(x_BTD)
        if self.drop_rule == "reroute" and self.kept_E.any():
            scores_BTE = scores_BTE.masked_fill(~self.kept_E, -torch.inf)
        share_BTE = scores_BTE.softmax(-1)
        if self.top_k == 1:
            # argmax promises the lowest index of equal values; topk promises nothing
            chosen_BT1 = scores_BTE.argmax(-1, keepdim=True)
            share_BT1 = share_BTE.gather(-1, chosen_BT1)
            weight_BT1 = (
                share_BT1 / share_BT1.detach() if self.training else torch.ones_like(share_BT1)
            )
            return chosen_BT1, weight_BT1
        share_BTK, chosen_BTK = share_BTE.topk(min(self.top_k, self.experts), dim=-1)
        return chosen_BTK, share_BTK / share_BTK.sum(-1, keepdim=True)

    def forward(self, x_BDPN: Tensor, residual_BDPN: Tensor | None = None) -> Tensor:
        """Answer for each token; rule ``zero`` needs the residual that the answer is added to."""
        y_BDPN = torch.zeros_like(x_BDPN) if self.shared is None else self.shared(x_BDPN)
        if not self.experts:
            return y_BDPN
        x_BTD = x_BDPN.flatten(2).transpose(1, 2)
        chosen_BTK, weight_BTK = self.route(x_BTD)
        kept_BTK = self.kept_E[chosen_BTK]
        run = self._masked if self.execution == "masked" else self._gather
        answer_BTD = run(x_BTD, chosen_BTK, weight_BTK * kept_BTK)
        if not bool(self.kept_E.all()):
            answer_BTD = answer_BTD + self._of_dropped(x_BTD, residual_BDPN, chosen_BTK, kept_BTK)
        return y_BDPN + answer_BTD.transpose(1, 2).reshape(x_BDPN.shape)

    def answer_of(self, x_BTD: Tensor, chosen_BT: Tensor) -> Tensor:
        """Answer each token by the expert given for it, whatever the gate says; shape (B, T, D)."""
        weight_BT1 = torch.ones_like(chosen_BT, dtype=x_BTD.dtype)[..., None]
        answer_BTD = self._gather(x_BTD, chosen_BT[..., None], weight_BT1)
        if self.shared is None:
            return answer_BTD
        shared_BD1T: Tensor = self.shared(x_BTD.transpose(1, 2).unsqueeze(2))
        return answer_BTD + shared_BD1T.squeeze(2).transpose(1, 2)

    def _masked(self, x_BTD: Tensor, chosen_BTK: Tensor, weight_BTK: Tensor) -> Tensor:
        weight_BTE = x_BTD.new_zeros(*x_BTD.shape[:2], self.experts)
        weight_BTE = weight_BTE.scatter_add(2, chosen_BTK, weight_BTK.to(x_BTD.dtype))
        hidden_BTX = functional.linear(x_BTD, self.w1_EHD.flatten(0, 1), self.b1_EH.flatten())
        hidden_BTEH = functional.silu(hidden_BTX).view(*x_BTD.shape[:2], *self.b1_EH.shape)
        masked_BTX = (hidden_BTEH * weight_BTE.unsqueeze(-1)).flatten(2)
        answer_BTD: Tensor = masked_BTX @ self.w2_EHD.flatten(0, 1) + weight_BTE @ self.b2_ED
        return answer_BTD

    def _gather(self, x_BTD: Tensor, chosen_BTK: Tensor, weight_BTK: Tensor) -> Tensor:
        hidden_BTKH = torch.einsum("btd,btkhd->btkh", x_BTD, self.w1_EHD[chosen_BTK])
        hidden_BTKH = functional.silu(hidden_BTKH + self.b1_EH[chosen_BTK])
        answer_BTKD = torch.einsum("btkh,btkhd->btkd", hidden_BTKH, self.w2_EHD[chosen_BTK])
        answer_BTKD = answer_BTKD + self.b2_ED[chosen_BTK]
        return (answer_BTKD * weight_BTK.unsqueeze(-1)).sum(2)

    def _of_dropped(
        self, x_BTD: Tensor, residual_BDPN: Tensor | None, chosen_BTK: Tensor, kept_BTK: Tensor
    ) -> Tensor:
        """Answer for tokens whose first expert was dropped, by the rule; zero for the others."""
        dropped_BT1 = ~kept_BTK[..., :1]
        if self.drop_rule == "mean":
            return self.mean_ED[chosen_BTK[..., 0]] * dropped_BT1
        if self.drop_rule == "literal":
            return -x_BTD * dropped_BT1
        if self.drop_rule == "zero":
            if residual_BDPN is None:
                raise ValueError('drop rule "zero" needs what the answer is added to')
            return -residual_BDPN.flatten(2).transpose(1, 2) * dropped_BT1
        return torch.zeros_like(x_BTD)


class ExpertBlock(nn.Module):
    """A transformer layer of MobileViTV2 with experts: the parts of timm's, under their names."""

    def __init__(self, block: nn.Module, spec: ExpertSpec) -> None:
        """Take norms and attention from ``block``; its MLP is replaced by experts."""
        super().__init__()
        self.norm1, self.attn, self.norm2 = (
            block.get_submodule(name) for name in ("norm1", "attn", "norm2")
        )
        self.mlp = ExpertMlp(self.norm2.get_parameter("weight").numel(), spec)

    def forward(self, x_BDPN: Tensor) -> Tensor:
        """Attend, then let the experts answer; in and out: (B, D, P, N)."""
        x_BDPN = x_BDPN + self.attn(self.norm1(x_BDPN))
        answer_BDPN: Tensor = self.mlp(self.norm2(x_BDPN), x_BDPN)
        return x_BDPN + answer_BDPN
