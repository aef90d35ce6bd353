"""Class rows learn from a user's photos: logistic regression that starts from the present rows.

The rows are pulled back to where they were, ``1 / (2 spread^2)`` times the square of what they
moved; so classes without corrections stay, and few corrections move little. ``spread`` is by how
much the logit of a typical photo may move. It is chosen on the newer third of the photos that
teach; the newest third of all judges, and never teaches the rows that it judges.

Source: maximum a posteriori with a Gaussian prior, as Chelba and Acero 2004 adapt a maximum
entropy model. The rows are found by Nesterov's accelerated steps (1983) under the fixed bound of
the curvature of Boehning 1992: one half of that of the inputs, the same for every class.

Axes used in this file:
    N  photos     C  classes     D  features     E  D + 1, features and a one for the bias
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows", "Taught", "newest_third", "refit", "teach"]

SPREADS = (0.1, 0.3, 1.0, 3.0, 10.0)
STEPS = 200
STILL = 1e-4
"""The search ends where no row moves further, in logits of a typical photo."""

BURST_S = 60.0
"""Photos of one camera closer than this are one visit of an animal, and stay on one side."""


@dataclass(frozen=True, eq=False)
class Rows:
    """A linear head."""

    weight_CD: NDArray[np.float32]
    bias_C: NDArray[np.float32]

    def answer(self, feature_ND: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the class of the highest logit of each photo, shape (N,)."""
        best_N: NDArray[np.int64] = self.logits(feature_ND).argmax(axis=1)
        return best_N

    def logits(self, feature_ND: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits, shape (N, C)."""
        logits_NC: NDArray[np.float32] = feature_ND @ self.weight_CD.T + self.bias_C
        return logits_NC

    def with_new(self, classes: int) -> "Rows":
        """Add rows for new classes: each the mean of the others, so it knows nothing yet."""
        rows_CE = np.column_stack([self.weight_CD, self.bias_C])
        grown = np.vstack([rows_CE, np.repeat(rows_CE.mean(axis=0, keepdims=True), classes, 0)])
        return Rows(grown[:, :-1].astype(np.float32), grown[:, -1].astype(np.float32))


@dataclass(frozen=True, eq=False)
class Taught:
    """What corrections came to."""

    rows: Rows
    """Taught by the older photos only, as far as the newest say that this is right."""
    spread: float
    answer_before_M: NDArray[np.int64]
    """Of the rows as they were, for the photos that judge."""
    answer_after_M: NDArray[np.int64]


def teach(
    rows: Rows,
    feature_ND: NDArray[np.float32],
    class_N: NDArray[np.int64],
    newest_N: NDArray[np.bool_],
    *,
    new: int = 0,
) -> Taught:
    """Teach rows the older photos and let them and the present rows answer the newest.

    Args:
        rows: As they are.
        feature_ND: What goes into them, the oldest photo first, shape (N, D).
        class_N: True classes, shape (N,); the new ones come after those of ``rows``.
        newest_N: The photos that judge, shape (N,).
        new: Classes to add.
    """
    grown = rows.with_new(new)
    older_MD, older_M = feature_ND[~newest_N], class_N[~newest_N]
    inner_M = newest_third(len(older_M))

    def loss(spread: float) -> float:
        """Return the cross-entropy of the newer third of the teaching photos."""
        tried = refit(grown, older_MD[~inner_M], older_M[~inner_M], spread=spread)
        return _cross_entropy(tried.logits(older_MD[inner_M]), older_M[inner_M])

    spread = min(SPREADS, key=loss)
    taught = refit(grown, older_MD, older_M, spread=spread)
    newest_MD = feature_ND[newest_N]
    return Taught(taught, spread, rows.answer(newest_MD), taught.answer(newest_MD))


def refit(
    rows: Rows, feature_ND: NDArray[np.float32], class_N: NDArray[np.int64], *, spread: float
) -> Rows:
    """Return the most likely rows after some photos, given the rows before.

    Args:
        rows: Before.
        feature_ND: Photos, shape (N, D).
        class_N: Their true classes, shape (N,).
        spread: How far a logit may move, above 0.

    Example:
        >>> before = Rows(np.zeros((2, 1), np.float32), np.zeros(2, np.float32))
        >>> photos = np.array([[-1.0], [1.0]], np.float32)
        >>> refit(before, photos, np.array([0, 1]), spread=1.0).answer(photos).tolist()
        [0, 1]
    """
    mean_D = feature_ND.mean(axis=0)
    length = float(np.sqrt(np.square(feature_ND - mean_D).sum(axis=1).mean())) or 1.0
    # In these units a typical photo is one long, and moving a weight moves no mean logit.
    x_NE = np.column_stack([(feature_ND - mean_D) / length, np.ones(len(feature_ND))])
    start_CE = np.column_stack(
        [rows.weight_CD * length, rows.bias_C + rows.weight_CD @ mean_D]
    ).astype(np.float64)
    found_CE = _descend(x_NE, class_N, start_CE, pull=1 / (len(x_NE) * spread**2))
    weight_CD = found_CE[:, :-1] / length
    return Rows(
        weight_CD.astype(np.float32), (found_CE[:, -1] - weight_CD @ mean_D).astype(np.float32)
    )


def newest_third(photos: int, time_N: NDArray[np.float64] | None = None) -> NDArray[np.bool_]:
    """Mark the newest third of photos, the oldest first; a burst is not divided.

    Args:
        photos: How many there are.
        time_N: Seconds, rising; without them every photo is a burst of its own.

    Example:
        >>> newest_third(6).tolist()
        [False, False, False, False, True, True]
        >>> newest_third(6, np.array([0.0, 100, 200, 300, 310, 400])).tolist()
        [False, False, False, False, False, True]
    """
    first = photos - photos // 3
    while time_N is not None and 0 < first < photos and time_N[first] - time_N[first - 1] < BURST_S:
        first += 1
    newest_N: NDArray[np.bool_] = np.arange(photos) >= first
    return newest_N


def _descend(
    x_NE: NDArray[np.float64],
    class_N: NDArray[np.int64],
    start_CE: NDArray[np.float64],
    *,
    pull: float,
) -> NDArray[np.float64]:
    """Find the rows with the smallest mean cross-entropy plus pull / 2 of the squared way."""
    truth_NC = np.eye(len(start_CE))[class_N]
    bound_EE = 0.5 * x_NE.T @ x_NE / len(x_NE) + pull * np.eye(x_NE.shape[1])
    step_EE = np.linalg.inv(bound_EE)
    found_CE, ahead_CE, momentum = start_CE, start_CE, 1.0
    for _ in range(STEPS):
        miss_NC = _softmax(x_NE @ ahead_CE.T) - truth_NC
        slope_CE = miss_NC.T @ x_NE / len(x_NE) + pull * (ahead_CE - start_CE)
        next_CE = ahead_CE - slope_CE @ step_EE
        grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead_CE = next_CE + (momentum - 1) / grown * (next_CE - found_CE)
        moved = np.abs(next_CE - found_CE).max()
        found_CE, momentum = next_CE, grown
        if moved < STILL:
            break
    return found_CE


def _softmax(logits_NC: NDArray[np.float64]) -> NDArray[np.float64]:
    exp_NC = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
    share_NC: NDArray[np.float64] = exp_NC / exp_NC.sum(axis=1, keepdims=True)
    return share_NC


def _cross_entropy(logits_NC: NDArray[np.float32], class_N: NDArray[np.int64]) -> float:
    share_NC = _softmax(logits_NC.astype(np.float64))
    own_N = np.take_along_axis(share_NC, class_N[:, None], axis=1)
    return float(-np.log(np.maximum(own_N, 1e-12)).mean())
