"""What ``world.json`` says about a world, apart from the hashes of its files.

Every key is required and no other is read: a file that says more than this version knows would
be misunderstood in silence. ``docs/world.md`` explains the keys.
"""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from homerange.data.images import Preprocessing
from homerange.errors import HomerangeError, WorldError

__all__ = [
    "ADOPTED",
    "OCCURRENCES",
    "Architecture",
    "Description",
    "DropRule",
    "ExpertLayer",
    "Graph",
    "Licence",
    "Provenance",
]

DropRule = Literal["reroute", "zero", "literal", "skip", "mean"]
"""What becomes of a token whose expert is gone, as in ``homerange.model.experts``."""

ADOPTED = "adopted"
"""The recipe of a world whose network came from elsewhere, already trained."""

OCCURRENCES = "occurrences: "
"""Keys of ``sources`` and of licences that begin so count records of species that were added."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What the network is made of."""

    backbone: str
    """Name in timm, for example ``"mobilevitv2_050"``."""
    head: str
    """``"plain"`` or ``"bottleneck"``."""
    expert_layers: tuple[int, ...]
    """Transformer layers with experts, counted over the whole network; empty where dense."""
    feature_size: int
    """D, the number of features before the class rows."""
    classes: int
    """C, species and outcomes."""


@dataclass(frozen=True, kw_only=True)
class ExpertLayer:
    """Shape of an expert layer in a graph, and what its values and tensors are called.

    The tensors lie under ``prefix`` with the expert on the first axis: ``gate.up`` (E, R),
    ``gate.down`` (R, D), ``w1_EHD``, ``b1_EH``, ``w2_EHD``, ``b2_ED``; under the drop rule ``mean``
    also ``mean_ED``, which no node takes before a cut. All nodes have names that begin with
    ``prefix/``.
    """

    layer: int
    """Transformer layer, counted from 0 through the whole network."""
    prefix: str
    """Of its tensors, for example ``encoder.stages.2.1.transformer.1.mlp``."""
    input: str
    """Value (B, D, P, N) that goes in."""
    output: str
    """Value that comes out, of the same shape."""
    residual: str
    """Value that the output is added to."""
    channels: int
    """D."""
    experts: int
    """E, experts whose weights are there; 0 for the control without a router."""
    hidden: int
    """Hidden width of an expert."""
    low_rank: bool
    """Whether the gate is a product ``gate.up @ gate.down``."""
    top_k: int
    """Experts that answer for a token."""
    shared: int
    """Hidden width of the expert that answers for every token; 0 for none."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Names in ``graph.onnx``."""

    input: str
    output: str
    class_weight: str
    """Initializer with one row per class."""
    class_bias: str
    experts: tuple[ExpertLayer, ...]
    """Its expert layers, in the order of the network; none in a dense world. Since version 2."""
    drop_rule: DropRule
    """What profile and cut do with tokens of dropped experts; ``reroute`` in a dense world, where
    it is not used. Since version 3."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a world comes from."""

    recipe: str
    start: str
    """The weights that training began with."""
    seed: int
    photos: Mapping[str, int]
    """Photos by split: ``train``, ``val``, ``test``."""
    sources: Mapping[str, int]
    """Photos by the name of their data set; with ``OCCURRENCES`` in front, records."""


@dataclass(frozen=True, kw_only=True)
class Licence:
    """Under what terms a world may be used."""

    weights: str
    rows: Mapping[str, int]
    """Photos by their licence; with ``OCCURRENCES`` in front, records."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """The facts about a world that its files cannot say themselves."""

    name: str
    created: str
    """ISO 8601."""
    homerange: str
    """Version of homerange that published the world."""
    architecture: Architecture
    preprocessing: Preprocessing
    graph: Graph
    parameters: int
    macs: int
    """Multiply-adds of one photo, by the rule of the method: convolutions and linear layers."""
    provenance: Provenance
    licence: Licence
    metrics: Mapping[str, object]
    """What ``evaluate`` measured, with its ``split`` and numbers of photos."""

    def to_json(self) -> dict[str, object]:
        """Return plain values for ``world.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Read the facts back.

        Raises:
            WorldError: If a key is missing, unknown or of the wrong type.
        """
        loaded: Self = _load(cls, values, "")
        return loaded


def _load(cls: type[Any], values: object, where: str) -> Any:  # noqa: ANN401  (any dataclass)
    if not isinstance(values, dict):
        raise WorldError(f"{where or 'the whole'} is {values!r}; expected an object")
    names = [field.name for field in fields(cls)]
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1) or names
            raise WorldError(f"{_join(where, key)} is unknown; did you mean {near[0]}?")
    missing = [name for name in names if name not in values]
    if missing:
        raise WorldError(f"{_join(where, missing[0])} is missing")
    hints = get_type_hints(cls)
    return cls(**{name: _value(hints[name], values[name], _join(where, name)) for name in names})


def _value(hint: Any, value: object, where: str) -> object:  # noqa: ANN401  (any annotation)
    if hint is Preprocessing:
        return _preprocessing(value, where)
    if is_dataclass(hint):
        return _load(hint, value, where)  # type: ignore[arg-type]  # fields hold classes only
    kind = get_origin(hint) or hint
    if kind is Literal:
        return _one_of(get_args(hint), value, where)
    expected = {tuple: list, Mapping: dict}.get(kind, kind)
    if not isinstance(value, expected) or isinstance(value, bool) != (expected is bool):
        raise WorldError(f"{where} is {value!r}; expected {_WORDS[expected]}")
    if not isinstance(value, list):
        return value
    of = get_args(hint)[0]
    return tuple(_value(of, item, f"{where}[{i}]") for i, item in enumerate(value))


def _one_of(choices: tuple[object, ...], value: object, where: str) -> object:
    if value not in choices:
        raise WorldError(f"{where} is {value!r}; expected one of {', '.join(map(str, choices))}")
    return value


def _preprocessing(value: object, where: str) -> Preprocessing:
    if not isinstance(value, dict):
        raise WorldError(f"{where} is {value!r}; expected an object")
    try:
        return Preprocessing.from_json(value)
    except HomerangeError as error:
        raise WorldError(f"{error}") from error


_WORDS: Mapping[object, str] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
