"""Where tokens go: tokens and scores per expert, and edges between consecutive expert layers.

Source: the paper, section 3.3, "patch routing graph". All of it is counted photo by photo, so that
the graph and the importances of any place are sums over its photos.

The grids of two layers differ; a token of the finer one is paired with the token of the coarser one
that covers it. With several experts for a token, the first counts.

Axes used in this file:
    B  photos      P  pixels of a patch     T  tokens, P * N     H, W  rows and columns of a map
    D  channels    N  patches               E  experts           L  expert layers
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
    chosen_BPN: Tensor = field(default_factory=lambda: torch.empty(0))
    """The first expert of each token."""

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
            chosen_BT = trace.mlp.route(trace.tokens_BTD)[0][..., 0]
        trace.chosen_BPN = chosen_BT.view(len(chosen_BT), *trace.input_BDPN.shape[2:])
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
    answer: from the chosen expert's to the one that the layer's drop rule gives instead. One
    backward pass serves all experts of all layers.

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
    chosen_BT = trace.chosen_BPN.flatten(1)
    change_BTD = _instead(trace, chosen_BT) - trace.output_BDPN.flatten(2).transpose(1, 2)
    rise_BT = (gradient.flatten(2).transpose(1, 2) * change_BTD).sum(-1)
    return summed_by_expert(rise_BT, chosen_BT, trace.mlp.experts)


def summed_by_expert(value_BT: Tensor, chosen_BT: Tensor, experts: int) -> NDArray[np.float64]:
    """Add up a value of each token for the expert that it goes to, shape (B, E)."""
    zero_BE = torch.zeros(len(chosen_BT), experts, dtype=torch.float64, device=value_BT.device)
    summed: NDArray[np.float64] = zero_BE.scatter_add(1, chosen_BT, value_BT.double()).cpu().numpy()
    return summed


def _instead(trace: LayerTrace, chosen_BT: Tensor) -> Tensor:
    """Answer each token as if its expert were gone and all others there, (B, T, D)."""
    mlp, x_BTD = trace.mlp, trace.tokens_BTD
    residual_BTD = trace.residual_BDPN.flatten(2).transpose(1, 2)
    with torch.no_grad():
        if mlp.drop_rule == "reroute":
            return _second_best(mlp, x_BTD)
        shared_BTD = torch.zeros_like(x_BTD)
        if mlp.shared is not None:
            shared_BTD = mlp.shared(trace.input_BDPN).flatten(2).transpose(1, 2)
        answers = {
            "zero": -residual_BTD,
            "literal": -x_BTD,
            "skip": torch.zeros_like(x_BTD),
            "mean": mlp.mean_ED[chosen_BT],
        }
        return shared_BTD + answers[mlp.drop_rule]


def _second_best(mlp: ExpertMlp, x_BTD: Tensor) -> Tensor:
    """Answer of the expert that the gate likes second; zero where there is no other."""
    scores_BTE = mlp.gate(x_BTD)
    best_BT1 = scores_BTE.argmax(-1, keepdim=True)
    scores_BTE = scores_BTE.scatter(-1, best_BT1, -torch.inf)
    return mlp.answer_of(x_BTD, scores_BTE.argmax(-1)) if mlp.experts > 1 else x_BTD * 0
