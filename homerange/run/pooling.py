"""One answer for several looks at the same thing: the photos of a burst, the frames of a video.

The mean of their log-probabilities, which is the answer of independent looks up to a power: one
look that is sure weighs more than several that waver. Looks that show nothing are left out
as long as any shows something: an animal crosses three of thirty frames, and the empty frames
before and after it are no evidence against it.

Axes used in this file:
    C  classes, in the order of the package's labels
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pool", "from_scores", "to_scores"]

_LEAST = 1e-8  # a class that one look excludes may still be the answer of the others


def to_scores(probability_C: NDArray[np.float32]) -> bytes:
    """Keep probabilities as their logarithms in 16 bits: two bytes a class."""
    log_C = np.log(np.maximum(probability_C.astype(np.float64), _LEAST))
    return log_C.astype("<f2").tobytes()


def from_scores(scores: bytes) -> NDArray[np.float32]:
    """Read back what `to_scores` kept, up to 0.8 % of each probability, shape (C,).

    Example:
        >>> from_scores(to_scores(np.array([0.25, 0.75], np.float32))).round(3).tolist()
        [0.25, 0.75]
    """
    return np.exp(np.frombuffer(scores, "<f2").astype(np.float32))


class Pool:
    """Collects looks; needs the same memory for two as for a million."""

    looks: int

    def __init__(self, labels: Sequence[str]) -> None:
        """Begin without looks.

        Args:
            labels: Those of the package.
        """
        self._blank = labels.index("blank") if "blank" in labels else -1
        self._all_C = np.zeros(len(labels))
        self._seen_C = np.zeros(len(labels))
        self._highest_C = np.full(len(labels), -np.inf)
        self._look_C = np.zeros(len(labels), np.int64)
        self.looks = self._seen = 0

    def add(self, probability_C: NDArray[np.float32], look: int = 0) -> None:
        """Take in one look.

        Args:
            probability_C: What the model answered, shape (C,).
            look: Its number, for `best_look`.
        """
        log_C = np.log(np.maximum(probability_C.astype(np.float64), _LEAST))
        self.looks += 1
        self._all_C += log_C
        if int(log_C.argmax()) != self._blank:
            self._seen += 1
            self._seen_C += log_C
        higher_C = log_C > self._highest_C
        self._highest_C[higher_C] = log_C[higher_C]
        self._look_C[higher_C] = look

    def probabilities(self) -> NDArray[np.float32]:
        """Return the one answer of all looks, shape (C,); adds up to 1.

        Example:
            >>> pool = Pool(["lion", "blank"])
            >>> pool.add(np.array([0.9, 0.1], np.float32))
            >>> pool.add(np.array([0.2, 0.8], np.float32))
            >>> pool.probabilities().astype(float).round(3).tolist()
            [0.9, 0.1]
        """
        mean_C = self._seen_C / self._seen if self._seen else self._all_C / max(self.looks, 1)
        share_C = np.exp(mean_C - mean_C.max())
        mean: NDArray[np.float32] = (share_C / share_C.sum()).astype(np.float32)
        return mean

    def best_look(self, label: int) -> int:
        """Return the number of the look that was most sure of a class."""
        return int(self._look_C[label])
