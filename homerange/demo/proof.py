"""Proof that the model of a place is a part of its world: the same photo, the same numbers.

A package that keeps all experts has some of the class rows of the world and nothing else (law 3).
So for any picture its logits are those rows of the world's logits. The pictures here are drawn:
noise at several scales, which reaches every part of a network and needs no photo at hand.

Axes used in this file:
    B  pictures     C  classes of the world     K  classes of the package
    H, W  rows and columns of a picture         3  red, green, blue
"""

from typing import Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from homerange.world.world import World

__all__ = ["TOLERANCE", "Proof", "draw_pictures"]

TOLERANCE = 1e-4
"""Largest difference of a logit that is called equal: float32 sums in another order."""
PICTURES = 3
GRAINS = (2, 8, 32)
"""Rows and columns of the noise of each picture before it is made as large as a photo."""


class Proof:
    """What a world answers to some pictures, to hold models of places against."""

    def __init__(self, picture_BHW3: NDArray[np.uint8], logits_BC: NDArray[np.float32]) -> None:
        """Use ``Proof.of``; this only joins pictures with the world's answers."""
        self.picture_BHW3 = picture_BHW3
        self.logits_BC = logits_BC

    @classmethod
    def of(cls, world: World) -> Self:
        """Ask a world, once."""
        picture_BHW3 = draw_pictures(world.preprocessing.input_px)
        return cls(picture_BHW3, _logits(str(world.graph_path), picture_BHW3))

    def difference(self, model: bytes, class_index_K: NDArray[np.integer]) -> float:
        """Return the largest difference of a model's logits from the same rows of the world's.

        Args:
            model: A model of a place, as ONNX.
            class_index_K: The world's class of each of its logits.
        """
        logits_BK = _logits(model, self.picture_BHW3)
        return float(np.abs(logits_BK - self.logits_BC[:, class_index_K]).max())


def draw_pictures(side_px: int) -> NDArray[np.uint8]:
    """Draw noise in coarse and in fine grain, always the same.

    Args:
        side_px: Height and width, in pixels.

    Returns:
        Pictures, shape (B, side_px, side_px, 3).
    """
    generator = np.random.default_rng(0)
    pictures = []
    for grain in GRAINS:
        noise = generator.integers(0, 256, (grain, grain, 3), dtype=np.uint8)
        row_H = np.arange(side_px) * grain // side_px
        pictures.append(noise[row_H][:, row_H])
    return np.stack(pictures)


def _logits(model: bytes | str, picture_BHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    logits_BC: NDArray[np.float32]
    (logits_BC,) = session.run(None, {session.get_inputs()[0].name: picture_BHW3})
    return logits_BC
