"""S2 cells: the Earth as six faces of a cube, each split into four again and again.

Source: the S2 geometry library, s2geometry.io: quadratic projection, Hilbert curve, 64-bit ids.
An id is, from the highest bit: 3 bits of face, 2 bits for each level, one bit 1, then zeros.
A cell has two notations: the token ``4c`` (the id in hexadecimal without its trailing zeros) and
the path ``2/1`` (the face, then the child of each level).

Where we differ, and why: numpy instead of the library, which has no wheels for ARM Linux and
Windows; kilometres with the radius of ``sphere.py``, where S2 takes 6371.01 km.

Axes used in this file:
    N  cells or places
    2  latitude, longitude in degrees; or the two axes of a face: i, j (whole) and s, t (0 to 1)
    4  corners of a cell, anticlockwise
    O  orientations of the Hilbert curve: bit 0 swaps i and j, bit 1 reverses both
    D  digits (position of a child along the curve), Q  quadrants (2 * i + j), F  faces
"""

import math
import re

import numpy as np
from numpy.typing import NDArray

from homerange.errors import PlaceError
from homerange.geo.sphere import (
    EARTH_RADIUS_KM,
    check_latlon,
    great_circle_km,
    to_latlon,
    to_xyz,
)

__all__ = [
    "FINEST_LEVEL",
    "cell_centre",
    "cell_corners",
    "cell_ids",
    "cell_level",
    "cell_parent",
    "cell_reach_km",
    "contains",
    "level_for_km",
    "longest_diagonal_km",
    "mean_edge_km",
    "parse_cell",
    "random_places",
    "to_path",
    "to_token",
]

FINEST_LEVEL = 30
# S2 metrics of the quadratic projection: "average edge" and "maximum diagonal".
MEAN_EDGE_OF_A_FACE_RAD = 1.459213746386106
LONGEST_DIAGONAL_OF_A_FACE_RAD = 2.438654594434021

QUADRANT_OD = np.array([[0, 1, 3, 2], [0, 2, 3, 1], [3, 2, 0, 1], [3, 1, 0, 2]])
DIGIT_OQ = np.argsort(QUADRANT_OD, axis=1)
TURN_D = np.array([1, 0, 0, 3])  # what each child changes in the orientation of the curve

# For each face the directions of its first axis, its second axis and its outward normal.
AXES_F33 = np.array(
    [
        [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
        [[-1, 0, 0], [0, 0, 1], [0, 1, 0]],
        [[-1, 0, 0], [0, -1, 0], [0, 0, 1]],
        [[0, 0, -1], [0, -1, 0], [-1, 0, 0]],
        [[0, 0, -1], [1, 0, 0], [0, -1, 0]],
        [[0, 1, 0], [1, 0, 0], [0, 0, -1]],
    ],
    np.float64,
)
CORNERS_42 = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
LAST_BITS = np.uint64(0x1555555555555555)  # where the last 1 of an id can be


def cell_ids(latlon_N2: NDArray[np.float64], level: int) -> NDArray[np.uint64]:
    """Find the cell that holds each place.

    Args:
        latlon_N2: Latitude and longitude, degrees, shape (N, 2).
        level: From 0 (a face of the cube) to 30 (about 1 cm).

    Returns:
        64-bit cell ids, shape (N,).

    Raises:
        CoordinateError: If a coordinate is NaN or out of range.
        PlaceError: If there is no such level.

    Example:
        >>> to_path(cell_ids(np.array([[42.36, -71.06]]), 3)[0])  # Boston
        '4/103'
    """
    _check_level(level)
    check_latlon(latlon_N2)
    face_N, st_N2 = _to_face(to_xyz(latlon_N2))
    ij_N2 = np.clip(np.floor(st_N2 * 2**level), 0, 2**level - 1).astype(np.int64)
    id_N, orientation_N = face_N, face_N & 1
    for bit in range(level - 1, -1, -1):
        i_N, j_N = (ij_N2.T >> bit) & 1
        digit_N = DIGIT_OQ[orientation_N, 2 * i_N + j_N]
        id_N = (id_N << 2) | digit_N
        orientation_N = orientation_N ^ TURN_D[digit_N]
    return ((id_N.astype(np.uint64) << np.uint64(1)) | np.uint64(1)) << np.uint64(60 - 2 * level)


def cell_level(ids_N: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Read the level, 0 to 30, of each cell.

    Raises:
        PlaceError: If an id is not that of an S2 cell, for example 0.
    """
    bad_N = ~_is_cell(ids_N)
    if bad_N.any():
        row = int(bad_N.argmax())
        raise PlaceError(
            f"{ids_N[row]} is not the id of an S2 cell; expected the 64-bit number of one. "
            f"{bad_N.sum()} of {len(bad_N)} ids have this problem, the first in row {row}."
        )
    _, exponent_N = np.frexp(_last_bit(ids_N).astype(np.float64))  # exact: a power of two
    return FINEST_LEVEL - exponent_N.astype(np.int64) // 2


def cell_parent(ids_N: NDArray[np.uint64], level: int) -> NDArray[np.uint64]:
    """Find the cell of a coarser level, or the same, that holds each cell.

    Raises:
        PlaceError: If there is no such level, an id is not a cell, or a cell is coarser.
    """
    _check_level(level)
    level_N = cell_level(ids_N)
    if (level_N < level).any():
        row = int(level_N.argmin())
        raise PlaceError(
            f"the S2 cell {to_path(ids_N[row])} is coarser than level {level}, so it has no "
            f"parent there; expected a level from 0 to {level_N[row]}."
        )
    last = np.uint64(1 << (60 - 2 * level))
    return (ids_N & ~(last - np.uint64(1))) | last


def cell_centre(ids_N: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Find the centre of each cell: latitude and longitude in degrees, shape (N, 2)."""
    face_N, ij_N2, level_N = _unfold(ids_N)
    return to_latlon(_from_face(face_N, (ij_N2 + 0.5) / 2.0 ** level_N[:, None]))


def cell_corners(ids_N: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Find the corners of each cell, anticlockwise: latitude and longitude, shape (N, 4, 2)."""
    face_N, ij_N2, level_N = _unfold(ids_N)
    st_N42 = (ij_N2[:, None] + CORNERS_42) / 2.0 ** level_N[:, None, None]
    return to_latlon(_from_face(face_N[:, None], st_N42))


def random_places(ids_N: NDArray[np.uint64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw a place inside each cell: latitude and longitude in degrees, shape (N, 2).

    Places are even on the face of the cube that the cell lies on, and so nearly even on the Earth.
    """
    face_N, ij_N2, level_N = _unfold(ids_N)
    st_N2 = (ij_N2 + generator.random((len(ids_N), 2))) / 2.0 ** level_N[:, None]
    return to_latlon(_from_face(face_N, st_N2))


def cell_reach_km(ids_N: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Measure from the centre of each cell to its farthest corner, in km, shape (N,).

    A disc of this radius around the centre covers the whole cell.
    """
    to_corner_N4 = great_circle_km(cell_centre(ids_N)[:, None], cell_corners(ids_N))
    reach_km_N: NDArray[np.float64] = to_corner_N4.max(axis=1)
    return reach_km_N


def contains(
    parent_N: int | NDArray[np.uint64], ids_N: int | NDArray[np.uint64]
) -> NDArray[np.bool_]:
    """Tell whether one cell lies inside another, or is the same; the two sides broadcast.

    Args:
        parent_N: The ids of one cell or more that may hold the others.
        ids_N: The ids of one cell or more that may lie inside.

    Returns:
        True where it does, shape (N,).
    """
    parents_N = np.atleast_1d(np.asarray(parent_N, np.uint64))
    children_N = np.asarray(ids_N, np.uint64)
    most_N = _last_bit(parents_N) - np.uint64(1)  # ids inside differ by at most this
    return (parents_N - most_N <= children_N) & (children_N <= parents_N + most_N)


def mean_edge_km(level: int) -> float:
    """Give the mean length of the edges of all cells of one level, in km.

    Example:
        >>> round(mean_edge_km(8), 1)
        36.3
    """
    _check_level(level)
    return math.ldexp(MEAN_EDGE_OF_A_FACE_RAD * EARTH_RADIUS_KM, -level)


def longest_diagonal_km(ids_N: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Give the longest diagonal that a cell of the same level has anywhere, in km, shape (N,)."""
    return np.ldexp(LONGEST_DIAGONAL_OF_A_FACE_RAD * EARTH_RADIUS_KM, -cell_level(ids_N))


def level_for_km(edge_km: float, coarsest: int = 0, finest: int = FINEST_LEVEL) -> int:
    """Find the finest level whose mean edge is at least ``edge_km``.

    Args:
        edge_km: Length in km, 0 or more.
        coarsest: The answer where even this level has shorter edges.
        finest: The answer where even this level has edges long enough.

    Raises:
        PlaceError: If the length is negative or NaN.

    Example:
        >>> level_for_km(27.0), level_for_km(27.0, finest=6), level_for_km(1e5)
        (8, 6, 0)
    """
    if not edge_km >= 0:
        raise PlaceError(f"the edge of a cell cannot be {edge_km} km; expected 0 km or more.")
    if edge_km <= mean_edge_km(finest):
        return finest
    halvings = math.frexp(mean_edge_km(0) / edge_km)[1] - 1  # log2, rounded down without error
    return max(coarsest, halvings)


def to_token(cell: int) -> str:
    """Write a cell as its token, for example ``4c``."""
    return f"{int(cell):016x}".rstrip("0")


def to_path(cell: int) -> str:
    """Write a cell as its path, for example ``2/1``; a whole face is ``2/``."""
    level = int(cell_level(np.array([cell], np.uint64))[0])
    digits = (str(int(cell) >> (61 - 2 * k) & 3) for k in range(1, level + 1))
    return f"{int(cell) >> 61}/" + "".join(digits)


def parse_cell(text: str) -> int:
    """Read a cell in either notation.

    Args:
        text: A token such as ``4c`` or a path such as ``2/1``.

    Returns:
        The 64-bit id.

    Raises:
        PlaceError: If the text is neither.

    Example:
        >>> parse_cell("4c") == parse_cell("2/1")
        True
    """
    name = text.strip().lower()
    cell = 0
    if path := re.fullmatch(r"([0-5])/([0-3]{0,30})", name):
        face, digits = path.groups()
        position = int(face) << 2 * len(digits) | int(digits or "0", 4)
        cell = (2 * position + 1) << (60 - 2 * len(digits))
    elif re.fullmatch(r"[0-9a-f]{1,16}", name):
        cell = int(name.ljust(16, "0"), 16)
    if _is_cell(np.array([cell], np.uint64))[0]:
        return cell
    raise PlaceError(
        f'"{text}" is not an S2 cell; expected a path such as 2/1 (a face 0 to 5, a slash, then '
        "at most 30 digits 0 to 3) or a token such as 4c (at most 16 hexadecimal digits)."
    )


def _check_level(level: int) -> None:
    if not 0 <= level <= FINEST_LEVEL:
        raise PlaceError(
            f"there is no S2 level {level}; expected 0 (a sixth of the Earth) to 30 (about 1 cm)."
        )


def _is_cell(ids_N: NDArray[np.uint64]) -> NDArray[np.bool_]:
    is_cell_N: NDArray[np.bool_] = (ids_N >> np.uint64(61) < 6) & (_last_bit(ids_N) & LAST_BITS > 0)
    return is_cell_N


def _last_bit(ids_N: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return ids_N & (~ids_N + np.uint64(1))


def _to_face(xyz_N3: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Project unit vectors on the cube: the face and s, t on it."""
    # On an edge of the cube the library gives the last of the axes that tie.
    axis_N = 2 - np.abs(xyz_N3[:, ::-1]).argmax(axis=1)
    face_N = axis_N + 3 * (np.take_along_axis(xyz_N3, axis_N[:, None], 1)[:, 0] < 0)
    uvw_N3 = np.einsum("nac,nc->na", AXES_F33[face_N], xyz_N3)
    uv_N2 = uvw_N3[:, :2] / uvw_N3[:, 2:]
    half_N2 = 0.5 * np.sqrt(1 + 3 * np.abs(uv_N2))
    return face_N, np.where(uv_N2 >= 0, half_N2, 1 - half_N2)


def _from_face(face_N: NDArray[np.int64], st_2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Undo ``_to_face``, but for the length of the vectors: shape (..., 3)."""
    uv_2 = np.where(st_2 >= 0.5, 4 * st_2**2 - 1, 1 - 4 * (1 - st_2) ** 2) / 3
    axes_33 = AXES_F33[face_N]
    on_face_3 = (uv_2[..., None] * axes_33[..., :2, :]).sum(axis=-2)
    xyz_3: NDArray[np.float64] = on_face_3 + axes_33[..., 2, :]
    return xyz_3


def _unfold(
    ids_N: NDArray[np.uint64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Read face, (i, j) counted in cells of its own level, and level of each cell."""
    level_N = cell_level(ids_N)
    face_N = (ids_N >> np.uint64(61)).astype(np.int64)
    orientation_N = face_N & 1
    ij_N2 = np.zeros((len(ids_N), 2), np.int64)
    for level in range(1, int(level_N.max(initial=0)) + 1):
        digit_N = (ids_N >> np.uint64(61 - 2 * level) & np.uint64(3)).astype(np.int64)
        quadrant_N = QUADRANT_OD[orientation_N, digit_N]
        finer_N2 = 2 * ij_N2 + np.stack([quadrant_N >> 1, quadrant_N & 1], axis=1)
        ij_N2 = np.where((level <= level_N)[:, None], finer_N2, ij_N2)
        orientation_N = orientation_N ^ TURN_D[digit_N]
    return face_N, ij_N2, level_N
