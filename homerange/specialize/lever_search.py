"""Try the levers of a place's model one by one, and choose among all of them within limits.

Cutting classes is exact: the world's evidence says how right the cut model is. What fewer bits or
smaller photos cost is no sum over the evidence. With known photos it is measured on them. Without,
it is estimated by what the levers cost another network (``bench/bytes.py``: 115 species at 128
pixels, means of three seeds): good enough to order the levers, not to know the loss. Experts are
dropped as the user says: what that costs is not estimated as an accuracy at all.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from homerange.data.images import Preprocessing
from homerange.errors import ConfigError
from homerange.specialize.figures import Score, score
from homerange.specialize.known_photos import answer_photos, read_known_photos
from homerange.specialize.levers import Levers, Models, Variant
from homerange.specialize.quantize import Bits
from homerange.specialize.smaller import Smaller

__all__ = ["LeverFigures", "choose_variant", "search_levers"]

BITS: tuple[int, ...] = get_args(Bits)
SIDES = (7 / 8, 3 / 4, 5 / 8)
"""Parts of the world's side that are tried, to the nearest 16 pixels."""

LEAST_PX = 32
"""What MobileViTV2 makes into one pixel; smaller photos are not tried."""

_KEPT_BY_BITS: Mapping[int, float] = {32: 1.0, 16: 1.0, 8: 0.995, 4: 0.974}
_KEPT_BY_SIDE = ((0.625, 0.75, 0.875, 1.0, 1.25), (0.51, 0.70, 0.875, 1.0, 0.875))
"""Parts of the accuracy that are left: ``part_of_control`` in ``bench/results/bytes.json``."""


@dataclass(frozen=True, kw_only=True)
class LeverFigures:
    """What the levers save at a place, each alone and together, and what that costs."""

    control: Variant
    """The classes of the place; no other lever."""
    alone: tuple[Variant, ...]
    """One lever each."""
    chosen: Variant
    """The package."""
    chosen_by: str
    """In words."""
    device: str
    """That ``ms`` is of; empty where no profile was given."""
    control_score: Score | None
    """On the photos that did not choose; none without photos."""
    chosen_score: Score | None

    def to_json(self) -> dict[str, object]:
        """Return plain values for ``place.json``."""
        return asdict(self)


def search_levers(
    models: Models,
    smaller: Smaller,
    *,
    experts: str,
    labels: Sequence[str],
    preprocessing: Preprocessing,
    on_evidence: Score,
) -> LeverFigures:
    """Try the levers and choose.

    Args:
        models: Makes the models, with and without the experts that ``experts`` names.
        smaller: What the user wants.
        experts: Those that are dropped, as typed; empty where all are kept.
        labels: Of the place.
        preprocessing: Of the world.
        on_evidence: How right the control is, from the world's evidence.

    Raises:
        ConfigError: If no model keeps the limits, or nobody knows how right they are.
        ManifestError: If the photos cannot be used.
    """
    control = Levers(bits=32, input_px=preprocessing.input_px)
    every = _combinations(smaller, experts, control.input_px)
    alone = _alone(every, control)
    fixed = Levers(
        bits=smaller.bits or 32,
        input_px=smaller.input_px or control.input_px,
        experts=experts,
    )
    wanted = list(dict.fromkeys([control, *alone, *(every if smaller.searches else []), fixed]))
    photos = read_known_photos(smaller.photos) if smaller.photos else []
    made = {levers: models.model(levers) for levers in wanted} if photos else {}
    right = answer_photos(made, photos, labels, preprocessing) if photos else {}
    chooses_N = np.array([photo.chooses for photo in photos], bool)

    def variant(levers: Levers) -> Variant:
        """Say what is known of one model."""
        size = models.size(levers)
        ms = smaller.device.ms(size.macs) if smaller.device else None
        blank = Variant(levers=levers, size=size, ms=ms, accuracy=None, known="not known", photos=0)
        if photos:
            own_N = right[levers][chooses_N]
            return replace(blank, accuracy=float(own_N.mean()), known="measured", photos=len(own_N))
        return _estimated(blank, control, on_evidence)

    variants = {levers: variant(levers) for levers in wanted}
    chosen = variants[fixed]
    if smaller.searches:
        chosen = choose_variant([variants[levers] for levers in every], smaller)
    judged = (
        [score_of(right[one], ~chooses_N) for one in (control, chosen.levers)] if photos else []
    )
    return LeverFigures(
        control=variants[control],
        alone=tuple(variants[levers] for levers in alone),
        chosen=chosen,
        chosen_by=_chosen_by(smaller),
        device=smaller.device.device if smaller.device else "",
        control_score=judged[0] if judged else None,
        chosen_score=judged[1] if judged else None,
    )


def score_of(right_N: NDArray[np.bool_], counted_N: NDArray[np.bool_]) -> Score:
    """Score answers of which only right or wrong is known."""
    own_N = right_N[counted_N].astype(int)
    return replace(score(np.ones(len(own_N), int), own_N), macro_f1=None)


def _combinations(smaller: Smaller, experts: str, side_px: int) -> list[Levers]:
    sides = sorted({side_px, *(round(side_px * part / 16) * 16 for part in SIDES)}, reverse=True)
    return [
        Levers(bits=bits, input_px=px, experts=experts)
        for bits, px in itertools.product(
            [smaller.bits] if smaller.bits else BITS,
            [smaller.input_px] if smaller.input_px else [px for px in sides if px >= LEAST_PX],
        )
    ]


def _alone(every: Sequence[Levers], control: Levers) -> list[Levers]:
    """List the models with one lever pulled, of those that occur."""
    found = [
        *(replace(control, bits=bits) for bits in dict.fromkeys(one.bits for one in every)),
        *(replace(control, input_px=px) for px in dict.fromkeys(one.input_px for one in every)),
        *(replace(control, experts=name) for name in dict.fromkeys(one.experts for one in every)),
    ]
    return [levers for levers in dict.fromkeys(found) if levers != control]


def _estimated(variant: Variant, control: Levers, on_evidence: Score) -> Variant:
    levers = variant.levers
    if levers.experts or on_evidence.top1 is None or not on_evidence.measured:
        return variant
    part = levers.input_px / control.input_px
    kept = _KEPT_BY_BITS[levers.bits] * float(np.interp(part, *_KEPT_BY_SIDE))
    return replace(
        variant,
        accuracy=on_evidence.top1 * kept,
        known="exact" if levers == control else "estimated",
        photos=on_evidence.photos,
    )


def choose_variant(variants: Sequence[Variant], smaller: Smaller) -> Variant:
    """Choose within the limits: the most accurate, or the smallest that is accurate enough.

    For the most accurate no lever is pulled further than the limits ask: a smaller photo that some
    photos happen to like better is luck.

    Args:
        variants: Those to choose from.
        smaller: The limits.

    Raises:
        ConfigError: If none keeps them, or nobody knows how right they are.
    """
    fitting = [one for one in variants if _fits(one, smaller)]
    if not fitting:
        raise ConfigError(_too_tight(variants, smaller))
    if smaller.min_accuracy is None and not smaller.knee:
        least_pulled = [one for one in fitting if not any(_gentler(two, one) for two in fitting)]
        return max(least_pulled, key=lambda one: (_accuracy(one), -one.size.bytes))
    known = [one for one in fitting if one.accuracy is not None]
    if not known:
        raise ConfigError(
            "nobody knows how right a smaller model would be: the world has too few test photos of "
            "this place's species. Give photos with --photos, or set --bits and --input-px"
        )
    if smaller.min_accuracy is None:
        return _knee(known)
    enough = [one for one in known if _accuracy(one) >= smaller.min_accuracy]
    if not enough:
        best = max(known, key=_accuracy)
        raise ConfigError(
            f"--min-accuracy {smaller.min_accuracy:g}: the most accurate model within the limits "
            f"reaches {_accuracy(best):.3f} ({best.levers.describe()}; {best.known})"
        )
    return min(enough, key=lambda one: (one.size.bytes, one.size.macs))


def _gentler(one: Variant, other: Variant) -> bool:
    """Whether a model has no lever pulled further than another has, and one less far."""
    pair = (one.levers.bits, one.levers.input_px), (other.levers.bits, other.levers.input_px)
    return pair[0] != pair[1] and all(a >= b for a, b in zip(*pair, strict=True))


def _accuracy(variant: Variant) -> float:
    return -1.0 if variant.accuracy is None else variant.accuracy


def _fits(variant: Variant, smaller: Smaller) -> bool:
    small = smaller.max_bytes is None or variant.size.bytes <= smaller.max_bytes
    fast = smaller.max_ms is None or (variant.ms is not None and variant.ms <= smaller.max_ms)
    return small and fast


def _too_tight(variants: Sequence[Variant], smaller: Smaller) -> str:
    least = min(variants, key=lambda one: one.size.bytes)
    text = f"no model keeps the limits. The smallest has {least.size.bytes / 1e3:,.0f} kB"
    times = [one.ms for one in variants if one.ms is not None]
    if smaller.device and times:
        text += f"; the fastest takes {min(times):.1f} ms on {smaller.device.device} (estimated)"
    return f"{text}. Allow more, name fewer species, or drop experts with --experts"


def _knee(variants: Sequence[Variant]) -> Variant:
    """Return the model that is farthest above the line from the cheapest to the most accurate.

    What a model costs is the mean of its shares of the most bytes and the most multiply-adds.
    """
    most = [max(one.size.bytes for one in variants), max(one.size.macs for one in variants)]
    cost = [(one.size.bytes / most[0] + one.size.macs / most[1]) / 2 for one in variants]
    gain = [_accuracy(one) for one in variants]

    def spread(values: Sequence[float]) -> NDArray[np.float64]:
        """Stretch values to 0 to 1."""
        values_V = np.array(values)
        wide: NDArray[np.float64] = (values_V - values_V.min()) / (np.ptp(values_V) or 1.0)
        return wide

    return variants[int(np.argmax(spread(gain) - spread(cost)))]


def _chosen_by(smaller: Smaller) -> str:
    if not smaller.searches:
        return "as asked for"
    limits = [
        f"at most {smaller.max_bytes / 1e3:,.0f} kB" if smaller.max_bytes else "",
        f"at most {smaller.max_ms:g} ms" if smaller.max_ms else "",
        f"accuracy at least {smaller.min_accuracy:g}, then the smallest"
        if smaller.min_accuracy
        else "the knee of the curve"
        if smaller.knee
        else "then the most accurate",
    ]
    return ", ".join(limit for limit in limits if limit)
