"""The models of a place by their levers: bits of the weights, side of the photos, experts.

Each lever can be pulled alone, so each is a row of its own beside the control: the model with the
same classes, all experts, weights of 32 bits and photos of the world's side.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

import onnx

from homerange.specialize.count import count_macs, count_parameters
from homerange.specialize.figures import Size
from homerange.specialize.input_side import at_side
from homerange.specialize.quantize import quantize
from homerange.specialize.slim import slim
from homerange.world.description import Graph

__all__ = ["Known", "Levers", "Models", "Variant", "finished"]

Known = Literal["exact", "estimated", "measured", "not known"]


@dataclass(frozen=True, kw_only=True)
class Levers:
    """How a model of a place is made smaller, apart from cutting its classes."""

    bits: int
    """Of a weight: 32, 16, 8 or 4."""
    input_px: int
    """Side of a photo."""
    experts: str = ""
    """Which were dropped, as typed, for example ``first-order:40``; empty where all are kept."""

    def describe(self) -> str:
        """Say it in a few words.

        Example:
            >>> Levers(bits=8, input_px=192).describe()
            '8 bits, 192 px'
        """
        dropped = f", experts dropped ({self.experts})" if self.experts else ""
        return f"{self.bits} bits, {self.input_px} px{dropped}"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One model of a place, and what is known of it."""

    levers: Levers
    size: Size
    ms: float | None
    """Of one photo on the user's device, estimated; none without a profile of it."""
    accuracy: float | None
    """On the place's species; none where nobody knows."""
    known: Known
    """How the accuracy is known."""
    photos: int
    """That the accuracy stands on; an estimate stands on the control's."""

    def to_json(self) -> dict[str, object]:
        """Return plain values for ``place.json``."""
        return asdict(self)


class Models:
    """Makes the models of a place; each cut is stored in some bits once."""

    def __init__(self, cuts: Mapping[str, bytes], names: Graph) -> None:
        """Take the cut models by what was dropped, ``""`` for all experts kept."""
        self._cuts = {experts: onnx.load_from_string(model) for experts, model in cuts.items()}
        self._names = names
        self._stored: dict[Levers, onnx.ModelProto] = {}

    def model(self, levers: Levers) -> bytes:
        """Return a self-contained model, as small on disk as we can make it."""
        key = replace(levers, input_px=0)
        if key not in self._stored:
            self._stored[key] = quantize(self._cuts[levers.experts], self._names, levers.bits)
        return finished(at_side(self._stored[key], levers.input_px), self._names)

    def size(self, levers: Levers) -> Size:
        """Count bytes, parameters and multiply-adds."""
        cut = self._cuts[levers.experts]
        return Size(
            bytes=len(self.model(levers)),
            parameters=count_parameters(cut),
            macs=count_macs(at_side(cut, levers.input_px)),
        )


def finished(model: onnx.ModelProto, names: Graph) -> bytes:
    """Serialise a model for a package; the class rows keep their names."""
    smaller = slim(model, [names.class_weight, names.class_bias])
    onnx.checker.check_model(smaller)
    data: bytes = smaller.SerializeToString(deterministic=True)
    return data
