"""Where tokens go: tokens and scores per expert, and edges between consecutive expert layers.

Source: the paper, section 3.3, "patch routing graph". All of it is counted photo by photo, so that
the graph and the importances of any place are sums over its photos.

The grids of two layers differ; a token of the finer one is paired with the token of the coarser one
that covers it. Where several experts answer for a token, the first counts for tokens and edges; the
scores count them all.

Axes used in this file:
    B  photos      P  pixels of a patch     T  tokens, P * N     H, W  rows and columns of a map
    D  channels    N  patches               E  experts           K  experts of one token (top-k)
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from homerange.model.experts import ExpertMlp

__all__ = [
    "LayerTrace",
    "edges_between",
    "first_order",
    "on_the_map",
    "share_of_answer",
    "summed_by_expert",
    "traced",
]


@dataclass
class LayerTrace:
    """What one expert layer did with a batch."""

    mlp: ExpertMlp
    input_BDPN: Tensor = field(default_factory=lambda: torch.empty(0))
    residual_BDPN: Tensor = field(default_factory=lambda: torch.empty(0))
    output_BDPN: Tensor = field(default_factory=lambda: torch.empty(0))
    nudge_BDPN: Tensor = field(default_factory=lambda: torch.empty(0))
    """Zeros that are added to the output: their gradient is that of the answers."""
    chosen_BTK: Tensor = field(default_factory=lambda: torch.empty(0))
    """The experts of each token, the first one first."""
    weight_BTK: Tensor = field(default_factory=lambda: torch.empty(0))
    """What their answers are multiplied by."""

    @property
    def chosen_BPN(self) -> Tensor:
        """The first expert of each token."""
        return self.chosen_BTK[..., 0].view(len(self.chosen_BTK), *self.input_BDPN.shape[2:])

    @property
    def tokens_BTD(self) -> Tensor:
        """What went in, without gradient."""
        return self.input_BDPN.flatten(2).transpose(1, 2)


@contextmanager
def traced(layers: Mapping[int, ExpertMlp]) -> Iterator[dict[int, LayerTrace]]:
    """Note what goes through some expert layers while the context is open."""
    traces = {number: LayerTrace(mlp) for number, mlp in layers.items()}

    def note(trace: LayerTrace, given: tuple[Tensor, Tensor], output_BDPN: Tensor) -> Tensor:
        trace.input_BDPN, trace.residual_BDPN = (value.detach() for value in given)
        trace.output_BDPN = output_BDPN.detach()
        trace.nudge_BDPN = torch.zeros_like(output_BDPN).requires_grad_()
        with torch.no_grad():
            trace.chosen_BTK, trace.weight_BTK = trace.mlp.route(trace.tokens_BTD)
        return output_BDPN + trace.nudge_BDPN

    handles = [
        trace.mlp.register_forward_hook(
            lambda _, given, output, trace=trace: note(trace, given, output)
        )
        for trace in traces.values()
    ]
    try:
        yield traces
    finally:
        for handle in handles:
            handle.remove()


def on_the_map(chosen_BPN: Tensor, rows: int) -> NDArray[np.int64]:
    """Put the tokens of patches of 2 x 2 pixels where they are in the photo.

    Args:
        chosen_BPN: Something of each token, shape (B, 4, N).
        rows: Rows of patches in the map; N is a multiple of it.

    Returns:
        The same values, shape (B, H, W) with H = 2 * rows.

    Example:
        >>> on_the_map(torch.arange(8).view(1, 4, 2), rows=1)[0].tolist()
        [[0, 2, 1, 3], [4, 6, 5, 7]]
    """
    batch, _, patches = chosen_BPN.shape
    columns = patches // rows
    folded = chosen_BPN.view(batch, 2, 2, rows, columns).permute(0, 3, 1, 4, 2)
    values: NDArray[np.int64] = folded.reshape(batch, 2 * rows, 2 * columns).cpu().numpy()
    return values


def edges_between(
    from_BHW: NDArray[np.int64], to_BHW: NDArray[np.int64], experts: int
) -> NDArray[np.int64]:
    """Count for each photo how many tokens go from an expert of one layer to one of the next.

    Args:
        from_BHW: Expert of each token of the earlier layer, as a map.
        to_BHW: The same for the later layer, of the same or another size.
        experts: Number of experts E of each layer.

    Returns:
        Counts, shape (B, E, E); each photo's sum is the number of tokens of the finer map.
    """
    height = max(from_BHW.shape[1], to_BHW.shape[1])
    width = max(from_BHW.shape[2], to_BHW.shape[2])
    pair_BHW = _stretched(from_BHW, height, width) * experts + _stretched(to_BHW, height, width)
    photo_B11 = np.arange(len(pair_BHW))[:, None, None]
    flat = (photo_B11 * experts**2 + pair_BHW).ravel()
    counts = np.bincount(flat, minlength=len(pair_BHW) * experts**2)
    return counts.reshape(len(pair_BHW), experts, experts)


def _stretched(map_BHW: NDArray[np.int64], height: int, width: int) -> NDArray[np.int64]:
    rows = np.arange(height) * map_BHW.shape[1] // height
    columns = np.arange(width) * map_BHW.shape[2] // width
    return map_BHW[:, rows][:, :, columns]


def first_order(trace: LayerTrace) -> NDArray[np.float64]:
    """Estimate, for each photo, what dropping each expert would add to the loss.

    To first order the loss changes by the gradient of a token's answer times the change of that
    answer: from the chosen experts' to the one that the layer's drop rule gives without one of
    them. One backward pass serves all experts of all layers.

    Args:
        trace: Of a batch whose loss has been handed back; the loss is a sum over photos.

    Returns:
        The estimated increase of each photo's loss, shape (B, E).

    Raises:
        ValueError: If there is no gradient.
    """
    gradient = trace.nudge_BDPN.grad
    if gradient is None:
        raise ValueError("the answers of this layer have no gradient; hand the loss back first")
    gradient_BTD = gradient.flatten(2).transpose(1, 2)
    rise_BE = np.zeros((len(gradient), trace.mlp.experts))
    for k in range(trace.chosen_BTK.shape[-1]):
        rise_BT = (gradient_BTD * _change(trace, k)).sum(-1)
        rise_BE += summed_by_expert(rise_BT, trace.chosen_BTK[..., k], trace.mlp.experts)
    return rise_BE


def share_of_answer(trace: LayerTrace, k: int) -> Tensor:
    """Return what the k-th expert of each token adds to the layer's answer, shape (B, T, D)."""
    with torch.no_grad():
        answer_BTD = trace.mlp.answer_of(trace.tokens_BTD, trace.chosen_BTK[..., k])
        return (answer_BTD - _of_shared(trace)) * trace.weight_BTK[..., k, None]


def summed_by_expert(value_BT: Tensor, chosen_BT: Tensor, experts: int) -> NDArray[np.float64]:
    """Add up a value of each token for the expert that it goes to, shape (B, E)."""
    zero_BE = torch.zeros(len(chosen_BT), experts, dtype=torch.float64, device=value_BT.device)
    summed: NDArray[np.float64] = zero_BE.scatter_add(1, chosen_BT, value_BT.double()).cpu().numpy()
    return summed


@torch.no_grad()
def _change(trace: LayerTrace, k: int) -> Tensor:
    """How the answer to each token changes if its k-th expert goes and all others stay."""
    mlp, x_BTD = trace.mlp, trace.tokens_BTD
    if mlp.drop_rule == "reroute":
        return _of_the_others(trace, k) - trace.output_BDPN.flatten(2).transpose(1, 2)
    change_BTD = -share_of_answer(trace, k)
    if k > 0 or mlp.drop_rule == "skip":  # the rule looks at the first expert only
        return change_BTD
    if mlp.drop_rule == "mean":
        return change_BTD + mlp.mean_ED[trace.chosen_BTK[..., 0]]
    if mlp.drop_rule == "literal":
        return change_BTD - x_BTD
    return change_BTD - trace.residual_BDPN.flatten(2).transpose(1, 2)


def _of_the_others(trace: LayerTrace, k: int) -> Tensor:
    """What the layer answers to each token where the gate must do without its k-th expert."""
    mlp, x_BTD = trace.mlp, trace.tokens_BTD
    if mlp.experts == 1:
        return _of_shared(trace)
    scores_BTE = mlp.gate(x_BTD).scatter(-1, trace.chosen_BTK[..., k, None], -torch.inf)
    # stable: the lowest index of equal scores comes first, as ArgMax has it
    best_BTE, expert_BTE = scores_BTE.sort(dim=-1, descending=True, stable=True)
    count = min(mlp.top_k, mlp.experts - 1)
    weight_BTK = best_BTE[..., :count].softmax(-1)
    answer_BTD = torch.zeros_like(x_BTD)
    for j in range(count):
        answer_BTD += weight_BTK[..., j, None] * mlp.answer_of(x_BTD, expert_BTE[..., j])
    return answer_BTD


def _of_shared(trace: LayerTrace) -> Tensor:
    if trace.mlp.shared is None:
        return torch.zeros_like(trace.tokens_BTD)
    shared_BDPN: Tensor = trace.mlp.shared(trace.input_BDPN)
    return shared_BDPN.flatten(2).transpose(1, 2)
