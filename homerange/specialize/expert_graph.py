"""An expert layer as ONNX nodes: the same arithmetic in two executions, for all experts or a few.

Both the publisher and the cut use this file, so a world and a package cannot differ in form. The
nodes take the tensors of the layer as they lie in the weights file, the expert on the first axis;
runtimes fold the reshapes of weights while they load.

``masked``: all experts side by side as one wide MLP; the hidden units of those that the gate did
not pick are multiplied by zero. A static graph of convolutions that every runtime takes.
``gather``: each token fetches the weights of its expert. Less arithmetic, more memory traffic.

The choice of experts never depends on the length of a token or on tau, so with one expert for a
token neither is computed here. ArgMax takes the lowest index where two scores are equal.

Axes used in this file:
    B  photos     D  channels     P  pixels of a patch     N  patches
    E  rows of the gate           K  experts that are there, K <= E     H  hidden width
    M  rows of a mask
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from homerange.world.description import DropRule, ExpertLayer

__all__ = ["Execution", "Nodes", "expert_nodes", "faster_execution"]

Execution = Literal["masked", "gather"]

GATHER_FROM_EXPERTS, GATHER_WIDE_FROM_EXPERTS, WIDE = 48, 12, 8
"""Experts K from which gathering is faster, below and from a hidden width of 8: masking costs K * H
a token, fetching H. ``bench/expert_layer.py`` measured K of 1, 4, 16, 64 and H of 2, 8, 32."""


@dataclass(frozen=True, eq=False)
class Nodes:
    """Nodes in their order, and the small constants that they need."""

    nodes: list[NodeProto]
    constants: list[TensorProto]


def faster_execution(layer: ExpertLayer) -> Execution:
    """Return the execution that was faster in the benchmark for layers of this shape."""
    enough = GATHER_WIDE_FROM_EXPERTS if layer.hidden >= WIDE else GATHER_FROM_EXPERTS
    return "gather" if layer.experts >= enough else "masked"


def expert_nodes(
    layer: ExpertLayer,
    *,
    execution: Execution | None = None,
    kept_K: NDArray[np.int64] | None = None,
    rule: DropRule = "reroute",
) -> Nodes:
    """Write the nodes of an expert layer.

    Args:
        layer: Its shape and names. With ``kept_K``, E is the number of rows of its gate.
        execution: How to run it; by default the one that was measured to be faster.
        kept_K: With a rule other than ``reroute``, the experts that are there, as rows of the gate,
            which keeps all its rows; tokens of the others follow the rule. A layer that lacks some
            is always ``masked``.
        rule: What becomes of tokens whose expert is gone; see ``homerange.model.experts``. With
            several experts for a token, the first decides, and the others answer as before.

    Returns:
        Nodes from ``layer.input`` to ``layer.output``. Tensors named after ``layer.prefix`` must be
        initializers of the graph; under the rule ``mean``, ``mean_ED`` holds the rows of the
        experts that are gone, in their order.
    """
    writer = _Writer(layer)
    kept = np.arange(layer.experts) if kept_K is None or rule == "reroute" else kept_K
    partial = len(kept) < layer.experts
    parts = [writer.shared()] if layer.shared else []
    if layer.experts == 1 and not partial:
        parts.append(writer.dense())
    elif len(kept) and (partial or (execution or faster_execution(layer)) == "masked"):
        parts.append(writer.masked(kept))
    elif len(kept):
        parts.append(writer.gather())
    if partial:
        parts += writer.rule(rule, kept)
    writer.sum(parts)
    return Nodes(writer.nodes, writer.constants)


class _Writer:
    """Collects the nodes of one layer; every name begins with the layer's prefix."""

    def __init__(self, layer: ExpertLayer) -> None:
        self.layer = layer
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._gate: tuple[str, str] | None = None

    def tensor(self, name: str) -> str:
        """Return the full name of a tensor of the layer."""
        return f"{self.layer.prefix}.{name}"

    def add(self, op: str, *inputs: str, output: str = "", **attributes: object) -> str:
        """Add a node with one output and return the name of that."""
        name = f"{self.layer.prefix}/{len(self.nodes)}_{op}"
        node = helper.make_node(op, inputs, [output or name], name=name, **attributes)  # type: ignore[arg-type]
        self.nodes.append(node)
        return output or name

    def constant(self, values: object, dtype: type[np.generic] = np.int64) -> str:
        """Add a constant and return its name."""
        name = f"{self.layer.prefix}/constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def shaped(self, name: str, *shape: int, transpose: bool = False) -> str:
        """Reshape a tensor of weights; runtimes do it once, while they load."""
        value = self.add("Reshape", name, self.constant(shape))
        return self.add("Transpose", value, perm=[1, 0]) if transpose else value

    def shared(self) -> str:
        """Write the expert that answers for every token."""
        fc1, fc2 = (self.tensor(f"shared.fc{i}") for i in (1, 2))
        hidden = self.add("Conv", self.layer.input, f"{fc1}.weight", f"{fc1}.bias")
        return self.add("Conv", self._silu(hidden), f"{fc2}.weight", f"{fc2}.bias")

    def dense(self) -> str:
        """Write a layer with one expert: it needs no gate."""
        second = self._second_weights(self.tensor("w2_EHD"))
        bias = self.shaped(self.tensor("b2_ED"), -1)
        return self.add("Conv", self._silu(self._hidden()), second, bias)

    def masked(self, kept_K: NDArray[np.int64]) -> str:
        """Write all experts as one wide MLP with masked hidden units."""
        weights = self._gate_weights()
        mask = self._mask(weights, np.repeat(kept_K, self.layer.hidden))
        hidden = self.add("Mul", self._silu(self._hidden()), mask)
        answer = self.add("Conv", hidden, self._second_weights(self.tensor("w2_EHD")))
        bias = self.shaped(self.tensor("b2_ED"), -1, self.layer.channels, transpose=True)
        bias = self.shaped(bias, self.layer.channels, -1, 1, 1)
        return self.add("Add", answer, self.add("Conv", self._mask(weights, kept_K), bias))

    def gather(self) -> str:
        """Let each token fetch the weights of its experts. Tokens are one axis T here."""
        channels, hidden = self.layer.channels, self.layer.hidden
        index, weight = self._gate_weights()
        flat = self.add("Reshape", self.layer.input, self.constant([0, channels, 1, -1]))
        x_BTD1 = self.add("Transpose", flat, perm=[0, 3, 1, 2])
        answers = []
        for k in range(self.layer.top_k):
            index_BT = self._one_of(index, k)
            first_BTHD = self.add("Gather", self.tensor("w1_EHD"), index_BT, axis=0)
            sum_BTH1 = self.add("MatMul", first_BTHD, x_BTD1)
            sum_BTH = self.add("Squeeze", sum_BTH1, self.constant([3]))
            bias_BTH = self.add("Gather", self.tensor("b1_EH"), index_BT, axis=0)
            hidden_BTH = self._silu(self.add("Add", sum_BTH, bias_BTH))
            hidden_BT1H = self.add("Reshape", hidden_BTH, self.constant([0, 0, 1, hidden]))
            second_BTHD = self.add("Gather", self.tensor("w2_EHD"), index_BT, axis=0)
            answer_BT1D = self.add("MatMul", hidden_BT1H, second_BTHD)
            answer_BTD = self.add("Squeeze", answer_BT1D, self.constant([2]))
            bias_BTD = self.add("Gather", self.tensor("b2_ED"), index_BT, axis=0)
            answer_BTD = self.add("Add", answer_BTD, bias_BTD)
            if weight:
                answer_BTD = self.add("Mul", answer_BTD, self._one_of(weight, k, keep_axis=True))
            answers.append(answer_BTD)
        total_BTD = answers[0] if len(answers) == 1 else self.add("Sum", *answers)
        total_BDT = self.add("Transpose", total_BTD, perm=[0, 2, 1])
        return self.add("Reshape", total_BDT, self.add("Shape", self.layer.input))

    def rule(self, rule: DropRule, kept_K: NDArray[np.int64]) -> list[str]:
        """Write what becomes of tokens whose expert is gone; nothing for ``skip``."""
        if rule == "skip":
            return []
        gone_M = np.setdiff1d(np.arange(self.layer.experts), kept_K)
        if rule == "mean":
            rows = self.shaped(self.tensor("mean_ED"), -1, self.layer.channels, transpose=True)
            rows = self.shaped(rows, self.layer.channels, -1, 1, 1)
            return [self.add("Conv", self._first(gone_M), rows)]
        value = self.add("Neg", self.layer.residual if rule == "zero" else self.layer.input)
        if not len(kept_K):
            return [value]
        gone = self.add("ReduceSum", self._first(gone_M), self.constant([1]), keepdims=1)
        return [self.add("Mul", value, gone)]

    def sum(self, parts: list[str]) -> None:
        """Add the parts up as the output of the layer; zero where there is none."""
        if not parts:
            zero = self.constant([0.0], np.float32)
            self.add("Mul", self.layer.input, zero, output=self.layer.output)
        else:
            self.add("Sum" if len(parts) > 1 else "Identity", *parts, output=self.layer.output)

    def _hidden(self) -> str:
        weight = self.shaped(self.tensor("w1_EHD"), -1, self.layer.channels, 1, 1)
        return self.add("Conv", self.layer.input, weight, self.shaped(self.tensor("b1_EH"), -1))

    def _second_weights(self, name: str) -> str:
        weight = self.shaped(name, -1, self.layer.channels, transpose=True)
        return self.shaped(weight, self.layer.channels, -1, 1, 1)

    def _silu(self, value: str) -> str:
        return self.add("Mul", value, self.add("Sigmoid", value))

    def _gate_weights(self) -> tuple[str, str]:
        """Write the gate, once: indices (B, k, P, N) of the chosen experts, their weights or ""."""
        self._gate = self._gate or self._choice()
        return self._gate

    def _choice(self) -> tuple[str, str]:
        down, up = self.tensor("gate.down"), self.tensor("gate.up")
        value = self.layer.input
        if self.layer.low_rank:
            value = self.add("Conv", value, self.shaped(down, 0, self.layer.channels, 1, 1))
            scores = self.add("Conv", value, self._points(up))
        else:
            scores = self.add("Conv", value, self.shaped(up, 0, self.layer.channels, 1, 1))
        if self.layer.top_k == 1:
            return self.add("ArgMax", scores, axis=1, keepdims=1), ""
        return self._several(scores)

    def _points(self, name: str) -> str:
        axes = self.constant([2, 3])
        return self.add("Unsqueeze", name, axes)

    def _several(self, scores: str) -> tuple[str, str]:
        """Weigh several experts by the softmax of their own scores; lengths and tau count here."""
        smallest = self.constant(0.01, np.float32)
        tau = self.add("Max", self.add("Exp", self.tensor("gate.log_tau")), smallest)
        length = self.add("ReduceL2", self.layer.input, self.constant([1]), keepdims=1)
        length = self.add("Max", length, self.constant(1e-12, np.float32))
        scores = self.add("Div", self.add("Div", scores, length), tau)
        values, index = (f"{self.layer.prefix}/top_{part}" for part in ("values", "index"))
        count = self.constant([self.layer.top_k])
        self.nodes.append(
            helper.make_node(
                "TopK", [scores, count], [values, index], name=f"{self.layer.prefix}/top", axis=1
            )
        )
        return index, self.add("Softmax", values, axis=1)

    def _mask(self, weights: tuple[str, str], row_M: NDArray[np.int64]) -> str:
        """Write the weight (B, M, P, N) that each token gives to the experts ``row_M``."""
        index, weight = weights
        rows = self.constant(row_M.reshape(1, -1, 1, 1))
        total = []
        for k in range(self.layer.top_k):
            own = index if self.layer.top_k == 1 else self._slice(index, k)
            hot = self.add("Cast", self.add("Equal", own, rows), to=TensorProto.FLOAT)
            total.append(self.add("Mul", hot, self._slice(weight, k)) if weight else hot)
        return total[0] if len(total) == 1 else self.add("Sum", *total)

    def _first(self, row_M: NDArray[np.int64]) -> str:
        """Write (B, M, P, N): 1 where the first choice of a token is the expert ``row_M``."""
        index, _ = self._gate_weights()
        own = index if self.layer.top_k == 1 else self._slice(index, 0)
        rows = self.constant(row_M.reshape(1, -1, 1, 1))
        return self.add("Cast", self.add("Equal", own, rows), to=TensorProto.FLOAT)

    def _slice(self, value: str, k: int) -> str:
        return self.add("Gather", value, self.constant([k]), axis=1)

    def _one_of(self, value: str, k: int, *, keep_axis: bool = False) -> str:
        """Write the k-th choice as (B, T), or (B, T, 1)."""
        shape = [0, -1, 1] if keep_axis else [0, -1]
        return self.add("Reshape", self._slice(value, k), self.constant(shape))
