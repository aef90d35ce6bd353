"""How right a list of answers is, in numpy, so that trainer, card and runner count alike.

The interval is Wilson's (1927), which stays inside 0 and 1 for few photos. Macro-F1 is the mean
over the classes that occur in the photos, as the WILDS benchmark counts it; scikit-learn with
``labels=`` set to those classes gives the same number.

Axes used in this file:
    N  photos      C  classes
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["chance", "in_top", "macro_f1", "majority", "wilson_interval"]

Z_95 = 1.959963984540054


def in_top(
    logits_NC: NDArray[np.floating], class_N: NDArray[np.integer], k: int
) -> NDArray[np.bool_]:
    """Return whether the true class is among the ``k`` largest logits of each photo, shape (N,).

    A tie counts for the lower class index, as ArgMax does on the device.

    Example:
        >>> in_top(np.array([[0.1, 0.9], [0.5, 0.5]]), np.array([1, 1]), k=1).tolist()
        [True, False]
    """
    true_N1 = np.take_along_axis(logits_NC, class_N[:, None], axis=1)
    index_C = np.arange(logits_NC.shape[1])
    ahead_NC = (logits_NC > true_N1) | ((logits_NC == true_N1) & (index_C < class_N[:, None]))
    rank_N: NDArray[np.int64] = ahead_NC.sum(axis=1)
    return rank_N < k


def macro_f1(true_N: NDArray[np.integer], answer_N: NDArray[np.integer]) -> float:
    """Return the mean F1 over the classes that occur in ``true_N``; nan for no photos.

    Example:
        >>> macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1]))  # both classes: 2*1 / (2*1 + 1)
        0.6666666666666666
    """
    if len(true_N) == 0:
        return float("nan")
    classes = int(max(true_N.max(), answer_N.max())) + 1
    hits_C = np.bincount(true_N[true_N == answer_N], minlength=classes)
    both_C = np.bincount(true_N, minlength=classes) + np.bincount(answer_N, minlength=classes)
    present = np.unique(true_N)
    return float((2 * hits_C[present] / both_C[present]).mean())


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, both ends between 0 and 1; (0, 1) for no photos.

    Example:
        >>> [round(end, 3) for end in wilson_interval(8, 10)]
        [0.49, 0.943]
    """
    if total == 0:
        return 0.0, 1.0
    share = right / total
    middle = share + Z_95**2 / (2 * total)
    half = Z_95 * np.sqrt(share * (1 - share) / total + Z_95**2 / (4 * total**2))
    scale = 1 + Z_95**2 / total
    return max(0.0, float((middle - half) / scale)), min(1.0, float((middle + half) / scale))


def chance(classes: int) -> float:
    """Return the accuracy of guessing among ``classes`` classes at random."""
    return 1 / classes if classes else float("nan")


def majority(true: Sequence[object]) -> float:
    """Return the accuracy of always answering the commonest of the ``true`` classes.

    Example:
        >>> majority(["lion", "lion", "hare", "lion"])
        0.75
    """
    if not true:
        return float("nan")
    counts_C = np.unique(np.asarray(true, dtype=str), return_counts=True)[1]
    return float(counts_C.max()) / len(true)
