"""A detector in ONNX: a photo in, boxes around its animals out.

The file says what it wants: uint8 (batch, side, side, 3), RGB, and gives candidate boxes (batch, A,
5): left, top, right, bottom in pixels of that square, and a confidence from 0 to 1.
``homerange export detector`` writes one. A photo is shrunk or grown until it just fits into the
square and lies in its upper left corner, on grey: what YOLOX was trained on.

Axes used in this file:
    A  candidate boxes      K  boxes that are kept      H, W  pixels      3  red, green, blue
"""

import hashlib
from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from homerange.data.images import read_rgb
from homerange.errors import RunError
from homerange.run.looks import Box
from homerange.run.sources import Photo

__all__ = ["Detector", "letterbox", "suppress"]

GREY = 114  # around the photo; of the authors of YOLOX
LEAST = 0.05
"""Boxes of less confidence are noise: they are not even written down."""
SAME_ANIMAL = 0.45
"""Two boxes that share more of their union than this are one animal."""
MAX_BOXES = 50
_ONLY_FATAL = 4  # as in session


class Detector:
    """A detector, loaded. `find` may be called from several threads."""

    name: str
    """Of the file, with the beginning of its hash, so that results say which it was."""

    def __init__(self, name: str, runtime: ort.InferenceSession, side_px: int) -> None:
        """Use ``Detector.open``; this only joins a file with its loaded model."""
        self.name = name
        self._runtime = runtime
        self._side_px = side_px

    @classmethod
    def open(cls, path: Path) -> Self:
        """Load a detector; each call of `find` uses one thread.

        Raises:
            RunError: If the file is missing or is no detector of this form.
        """
        options = ort.SessionOptions()
        options.log_severity_level = _ONLY_FATAL
        options.intra_op_num_threads = 1
        options.enable_mem_pattern = False
        try:
            data = path.read_bytes()
            runtime = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except OSError as error:
            raise RunError(f"{path}: cannot be read ({error.strerror})") from error
        except Exception as error:  # the runtime has a dozen error classes of its own
            raise RunError(f"{path}: is no model that onnxruntime can load: {error}") from error
        side_px = _side_px(runtime)
        if side_px is None:
            given = [(port.type, port.shape) for port in runtime.get_inputs()]
            made = [(port.type, port.shape) for port in runtime.get_outputs()]
            raise RunError(
                f"{path}: takes {given} and gives {made}; expected a detector from uint8 (batch, "
                "side, side, 3) to float boxes (batch, candidates, 5). Write one with: homerange "
                "export detector"
            )
        return cls(f"{path.name} {hashlib.sha256(data).hexdigest()[:12]}", runtime, side_px)

    def find(self, photo: Photo) -> tuple[Box, ...]:
        """Return the boxes of one photo, the surest first.

        Raises:
            ImageError: If the photo cannot be read.
            RunError: If the runtime cannot compute it.
        """
        rgb_HW3 = read_rgb(photo.path, at_least_px=self._side_px)
        square_HW3, scale = letterbox(rgb_HW3, self._side_px)
        feed = {self._runtime.get_inputs()[0].name: square_HW3[None]}
        try:
            ((boxes_A5,),) = self._runtime.run(None, feed)
        except Exception as error:  # as in open
            raise RunError(f"the detector {self.name} stopped: {error}") from error
        height, width = rgb_HW3.shape[:2]
        return tuple(
            box
            for row in suppress(boxes_A5)
            if (box := _box(row, scale, width, height)) is not None
        )


def letterbox(rgb_HW3: NDArray[np.uint8], side_px: int) -> tuple[NDArray[np.uint8], float]:
    """Fit a photo into the upper left corner of a grey square.

    Returns:
        The square, and by how much lengths were multiplied.

    Example:
        >>> square, scale = letterbox(np.zeros((30, 60, 3), np.uint8), 40)
        >>> scale, int(square[19, 39, 0]), int(square[20, 0, 0])
        (0.6666666666666666, 0, 114)
    """
    height, width = rgb_HW3.shape[:2]
    scale = side_px / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    square_HW3 = np.full((side_px, side_px, 3), GREY, np.uint8)
    fitted = Image.fromarray(rgb_HW3).resize(size, Image.Resampling.BILINEAR)
    square_HW3[: size[1], : size[0]] = np.asarray(fitted)
    return square_HW3, scale


def suppress(
    boxes_A5: NDArray[np.float32], *, least: float = LEAST, same: float = SAME_ANIMAL
) -> NDArray[np.float32]:
    """Keep the surest box of those that lie on one animal (non-maximum suppression).

    Args:
        boxes_A5: Left, top, right, bottom and confidence; shape (A, 5).
        least: Boxes below this confidence are dropped.
        same: Boxes that share more than this part of their union count as one.

    Returns:
        The boxes that are kept, the surest first; shape (K, 5), K at most `MAX_BOXES`.
    """
    sure_A5 = boxes_A5[(boxes_A5[:, 4] >= least) & np.isfinite(boxes_A5).all(axis=1)]
    left = sure_A5[np.argsort(-sure_A5[:, 4], kind="stable")]
    kept: list[NDArray[np.float32]] = []
    while len(left) and len(kept) < MAX_BOXES:
        kept.append(left[0])
        left = left[1:][_shared(left[0], left[1:]) <= same]
    return np.array(kept, np.float32).reshape(-1, 5)


def _shared(box_5: NDArray[np.float32], boxes_A5: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the intersection over union of one box with others, shape (A,)."""
    low_A2 = np.maximum(box_5[:2], boxes_A5[:, :2])
    high_A2 = np.minimum(box_5[2:4], boxes_A5[:, 2:4])
    both_A = (high_A2 - low_A2).clip(0).prod(axis=1)
    own = (box_5[2:4] - box_5[:2]).prod()
    other_A = (boxes_A5[:, 2:4] - boxes_A5[:, :2]).prod(axis=1)
    shared_A: NDArray[np.float32] = both_A / np.maximum(own + other_A - both_A, 1e-9)
    return shared_A


def _box(row_5: NDArray[np.float32], scale: float, width: int, height: int) -> Box | None:
    """Turn pixels of the square into parts of the photo; None for a box that lies outside it."""
    corners_4 = row_5[:4].astype(np.float64) / scale / [width, height, width, height]
    left, top, right, bottom = (round(float(x), 4) for x in corners_4.clip(0, 1))
    if right <= left or bottom <= top:
        return None
    bbox = (left, top, round(right - left, 4), round(bottom - top, 4))
    return Box("animal", round(float(row_5[4]), 4), bbox)


def _side_px(runtime: ort.InferenceSession) -> int | None:
    """Return the side of the square that a detector takes; None where it is no detector of ours."""
    takes, gives = runtime.get_inputs(), runtime.get_outputs()
    if len(takes) != 1 or len(gives) != 1 or takes[0].type != "tensor(uint8)":
        return None
    shape, boxes = takes[0].shape, gives[0].shape
    square = len(shape) == 4 and shape[3] == 3 and shape[1] == shape[2]
    if not square or not isinstance(shape[1], int) or len(boxes) != 3 or boxes[2] != 5:
        return None
    return shape[1]
