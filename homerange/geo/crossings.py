"""Whether a border crosses itself: then nobody can say what lies inside of it.

Borders may touch, as the rules of simple features (OGC 06-103r4) and most data let them: in a
point, a hole along the border, a spur that runs forth and back. So wherever edges cross or touch,
it is counted on a circle around that place how often the border winds about it: outside it must be
0 times and inside once. Elsewhere that cannot change.

Where we differ from simple features, and why: what is wrong within that circle is forgiven. Borders
that were simplified or rounded cross themselves by a pixel, and places are told from cells of
36 km.

Edges are compared in strips of latitude, where they lie by longitude, so that edges far apart never
meet: a coast of 100,000 corners takes about a million comparisons.

Axes used in this file:
    E  edges       S  edges in strips       P  pairs of edges       V  points
    2  latitude, longitude on the map (degrees); or start, end
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from homerange.errors import PlaceError

__all__ = ["MOST_PAIRS", "find_crossing"]

MOST_PAIRS = 10**7
"""Edges that lie side by side: some seconds. Real borders have far fewer."""

MOST_TOUCHES = 1000
"""Each is compared with all edges, so a tangled border of a megabyte takes some seconds."""
DECIMALS, TOUCHES_WITHIN_DEG = 9, 1e-9
"""A tenth of a millimetre: borders that were computed touch no better than that."""

STRIPS_OF_AN_EDGE = 3
PAIRS_AT_A_TIME = 100_000
_SLACK_DEG = 1e-6
_APART_DEG = 4000.0
"""More than all longitudes: the strips lie apart on one line."""
_SAME_DIRECTION = 1e-9

Edges = NDArray[np.float64]
"""Start and end of each, shape (E, 2, 2)."""


def find_crossing(edge_E22: Edges, reach_deg: float) -> NDArray[np.float64] | None:
    """Find a place where a border crosses itself, or winds twice about the same.

    Args:
        edge_E22: The edges of all rings of an area, shape (E, 2, 2): borders clockwise on the map,
            holes the other way round.
        reach_deg: Crossings whose consequences lie nearer than that are forgiven.

    Returns:
        Latitude and longitude on the map, shape (2,); None where there is none.

    Raises:
        PlaceError: If more than ``MOST_PAIRS`` edges lie side by side, or more than
            ``MOST_TOUCHES`` cross or touch.

    Example:
        >>> bow_tie = np.array([[0.0, 0], [2, 2], [2, 0], [0, 2]])
        >>> edges = np.stack([bow_tie, np.roll(bow_tie, -1, axis=0)], axis=1)
        >>> find_crossing(edges, 0.01).tolist()
        [1.0, 1.0]
    """
    edge_E22 = np.round(edge_E22, DECIMALS)
    edge_E22 = edge_E22[(edge_E22[:, 0] != edge_E22[:, 1]).any(axis=1)]
    seen = set[tuple[float, float]]()
    for point_V2 in _meetings(edge_E22):
        # One of those that lie together says what all of them would.
        near_V2, first_V = np.unique(np.round(2 * point_V2 / reach_deg), axis=0, return_index=True)
        for near, point_2 in zip(map(tuple, near_V2.tolist()), point_V2[first_V], strict=True):
            if near not in seen and _winds_wrong(edge_E22, point_2, reach_deg):
                found_2: NDArray[np.float64] = point_2
                return found_2
            seen.add(near)
            if len(seen) > MOST_TOUCHES:
                raise PlaceError(
                    f"its edges cross or touch in more than {MOST_TOUCHES:,} places. Make the "
                    "border simpler"
                )
    return None


def _meetings(edge_E22: Edges) -> Iterator[NDArray[np.float64]]:
    """Give the places where edges cross or touch that do not follow one another, shape (V, 2)."""
    yield _repeated(edge_E22[:, 0])
    for one_P, other_P in _neighbours(edge_E22):
        one_P22, other_P22 = edge_E22[one_P], edge_E22[other_P]
        touching = [
            by_P22[:, end][_lies_on(edge_P22, by_P22[:, end])]
            for edge_P22, by_P22 in ((one_P22, other_P22), (other_P22, one_P22))
            for end in (0, 1)
        ]
        yield np.concatenate([_crossings(one_P22, other_P22), *touching])


def _neighbours(edge_E22: Edges) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Give the pairs of edges whose boxes meet, many at a time."""
    if not len(edge_E22):
        return
    edge_S, strip_S, west_S, east_S = _in_strips(edge_E22)
    west_S, east_S = west_S + _APART_DEG * strip_S, east_S + _APART_DEG * strip_S
    order_S = np.argsort(west_S, kind="stable")
    edge_S, west_S, east_S = edge_S[order_S], west_S[order_S], east_S[order_S]
    following_S = np.searchsorted(west_S, east_S, side="right") - np.arange(len(edge_S)) - 1
    before_S = np.cumsum(following_S) - following_S
    if (pairs := int(following_S.sum())) > MOST_PAIRS:
        raise PlaceError(
            f"{pairs:,} pairs of its edges lie side by side; expected at most {MOST_PAIRS:,}. Make "
            "the border simpler"
        )
    for first in range(0, pairs, PAIRS_AT_A_TIME):
        pair_P = np.arange(first, min(first + PAIRS_AT_A_TIME, pairs))
        row_P = np.searchsorted(before_S, pair_P, side="right") - 1
        one_P, other_P = edge_S[row_P], edge_S[row_P + 1 + pair_P - before_S[row_P]]
        meet_P = (
            (edge_E22[one_P].min(axis=1) <= edge_E22[other_P].max(axis=1) + _SLACK_DEG)
            & (edge_E22[other_P].min(axis=1) <= edge_E22[one_P].max(axis=1) + _SLACK_DEG)
        ).all(axis=1)
        yield one_P[meet_P], other_P[meet_P]


def _in_strips(
    edge_E22: Edges,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Repeat each edge for every strip it lies in; give edge, strip, and the longitudes there."""
    low_E, high_E = edge_E22[..., 0].min(axis=1), edge_E22[..., 0].max(axis=1)
    base, rises = low_E.min() - _SLACK_DEG, float((high_E - low_E).sum())
    most = STRIPS_OF_AN_EDGE * len(edge_E22) * (high_E.max() - base) / rises if rises else 1
    strips = min(len(edge_E22), most)
    height = float(high_E.max() + _SLACK_DEG - base) / max(int(strips), 1)
    first_E = ((low_E - _SLACK_DEG - base) // height).astype(np.int64)
    count_E = ((high_E + _SLACK_DEG - base) // height).astype(np.int64) - first_E + 1
    edge_S = np.repeat(np.arange(len(edge_E22)), count_E)
    strip_S = np.arange(len(edge_S)) - np.repeat(np.cumsum(count_E) - count_E - first_E, count_E)
    start_S2, step_S2 = edge_E22[edge_S, 0], edge_E22[edge_S, 1] - edge_E22[edge_S, 0]
    rise_S = np.where(step_S2[:, 0] == 0, np.inf, step_S2[:, 0])
    ends = []
    for strip_edge_S, level in ((strip_S, 0.0), (strip_S + 1, 1.0)):
        share_S = (base + strip_edge_S * height - start_S2[:, 0]) / rise_S
        share_S = np.where(step_S2[:, 0] == 0, level, np.clip(share_S, 0, 1))
        ends.append(start_S2[:, 1] + share_S * step_S2[:, 1])
    return edge_S, strip_S, np.minimum(*ends) - _SLACK_DEG, np.maximum(*ends) + _SLACK_DEG


def _crossings(one_P22: Edges, other_P22: Edges) -> NDArray[np.float64]:
    """Return where edges cross of which none ends there, shape (V, 2)."""
    crosses_P = (_sides(one_P22, other_P22).prod(axis=1) < 0) & (
        _sides(other_P22, one_P22).prod(axis=1) < 0
    )
    one_V22, other_V22 = one_P22[crosses_P], other_P22[crosses_P]
    step_V2, other_step_V2 = one_V22[:, 1] - one_V22[:, 0], other_V22[:, 1] - other_V22[:, 0]
    share_V = _cross(other_V22[:, 0] - one_V22[:, 0], other_step_V2) / _cross(
        step_V2, other_step_V2
    )
    where_V2: NDArray[np.float64] = one_V22[:, 0] + share_V[:, None] * step_V2
    return where_V2


def _sides(edge_P22: Edges, other_P22: Edges) -> NDArray[np.float64]:
    """Tell on which side of an edge the ends of another lie: 1, -1, or 0 on it; shape (P, 2)."""
    step_P12 = (edge_P22[:, 1] - edge_P22[:, 0])[:, None]
    away_P2 = _cross(step_P12, other_P22 - edge_P22[:, :1]) / np.linalg.norm(step_P12, axis=2)
    return np.where(np.abs(away_P2) <= TOUCHES_WITHIN_DEG, 0.0, np.sign(away_P2))


def _lies_on(edge_P22: Edges, point_P2: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which points lie on an edge, but not at its ends, shape (P,)."""
    step_P2, to_P2 = edge_P22[:, 1] - edge_P22[:, 0], point_P2 - edge_P22[:, 0]
    length_P = np.linalg.norm(step_P2, axis=1)
    along_P = (step_P2 * to_P2).sum(axis=1) / length_P
    between_P = (along_P > TOUCHES_WITHIN_DEG) & (along_P < length_P - TOUCHES_WITHIN_DEG)
    on_P: NDArray[np.bool_] = between_P & (
        np.abs(_cross(step_P2, to_P2)) <= TOUCHES_WITHIN_DEG * length_P
    )
    return on_P


def _repeated(corner_E2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the corners that occur more than once, each once, shape (V, 2)."""
    corner_V, count_V = np.unique(corner_E2[:, 0] + 1j * corner_E2[:, 1], return_counts=True)
    twice_V = corner_V[count_V > 1]
    return np.stack([twice_V.real, twice_V.imag], axis=1)


def _winds_wrong(edge_E22: Edges, point_2: NDArray[np.float64], reach_deg: float) -> bool:
    """Tell whether the border winds otherwise than 0 times or once about places around a point."""
    low_E, high_E = edge_E22[..., 0].min(axis=1), edge_E22[..., 0].max(axis=1)
    beside_E = (high_E >= point_2[0] - reach_deg) & (low_E <= point_2[0] + reach_deg)
    edge_E22 = edge_E22[beside_E] - point_2
    angle_V = np.sort(_directions(edge_E22, reach_deg))
    if not len(angle_V):
        return False
    gap_V = np.diff(angle_V, append=angle_V[0] + 2 * np.pi)
    between_V = (angle_V + gap_V / 2)[gap_V > _SAME_DIRECTION]
    winds_V = _winding(edge_E22, reach_deg * np.stack([np.sin(between_V), np.cos(between_V)], 1))
    return bool(((winds_V != 0) & (winds_V != 1)).any())


def _directions(edge_E22: Edges, reach_deg: float) -> NDArray[np.float64]:
    """Return the directions in which edges cross a circle around 0, 0, in radians, shape (V,)."""
    start_E2, step_E2 = edge_E22[:, 0], edge_E22[:, 1] - edge_E22[:, 0]
    square_E = (step_E2**2).sum(axis=1)
    nearest_E = -(start_E2 * step_E2).sum(axis=1) / square_E
    # Not by the usual formula: of an edge much longer than the circle it would leave rounding only.
    inside_E = reach_deg**2 - ((start_E2 + nearest_E[:, None] * step_E2) ** 2).sum(axis=1)
    half_E = np.sqrt(np.maximum(inside_E, 0) / square_E)
    found = []
    for share_E in (nearest_E - half_E, nearest_E + half_E):
        on_E = (inside_E > 0) & (share_E >= 0) & (share_E <= 1)
        at_V2 = start_E2[on_E] + share_E[on_E, None] * step_E2[on_E]
        found.append(np.arctan2(at_V2[:, 0], at_V2[:, 1]))
    return np.concatenate(found)


def _winding(edge_E22: Edges, place_V2: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count how often edges wind clockwise about places, shape (V,)."""
    lat_V1, lon_V1 = place_V2[:, :1], place_V2[:, 1:]
    start_E2, step_E2 = edge_E22[:, 0], edge_E22[:, 1] - edge_E22[:, 0]
    crosses_VE = (start_E2[:, 0] > lat_V1) != (edge_E22[:, 1, 0] > lat_V1)
    rise_E = np.where(step_E2[:, 0] == 0, 1.0, step_E2[:, 0])
    east_VE = lon_V1 < start_E2[:, 1] + (lat_V1 - start_E2[:, 0]) * step_E2[:, 1] / rise_E
    winds_V: NDArray[np.int64] = -(
        (crosses_VE & east_VE) * np.sign(step_E2[:, 0]).astype(np.int64)
    ).sum(axis=1)
    return winds_V


def _cross(first_2: NDArray[np.float64], second_2: NDArray[np.float64]) -> NDArray[np.float64]:
    area: NDArray[np.float64] = (
        first_2[..., 0] * second_2[..., 1] - first_2[..., 1] * second_2[..., 0]
    )
    return area
