"""The best classes of an answer.

Axes used in this file:
    C  classes, in the order of the package's labels
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from homerange.run.answers import Answer

__all__ = ["ranked", "top_of"]

TOP = 5
"""Classes kept per photo."""


def ranked(answer: Answer, probability_C: NDArray[np.float32], labels: tuple[str, ...]) -> Answer:
    """Return the answer with its best classes, best first; a tie goes to the lower index.

    Example:
        >>> ranked(Answer("a.jpg"), np.array([0.25, 0.75], np.float32), ("lion", "blank")).top
        ((1, 0.75), (0, 0.25))
    """
    if not np.isfinite(probability_C).all():
        return replace(answer, failure="the model gave no finite answer")
    blank = probability_C[labels.index("blank")] if "blank" in labels else None
    return replace(
        answer,
        top=top_of(probability_C),
        blank=None if blank is None else round(float(blank), 6),
    )


def top_of(probability_C: NDArray[np.float32]) -> tuple[tuple[int, float], ...]:
    """Return the `TOP` best classes, best first: index and probability."""
    order = np.argsort(-probability_C, kind="stable")[:TOP].tolist()
    return tuple((index, round(float(probability_C[index]), 6)) for index in order)
