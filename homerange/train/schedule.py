"""The learning rate as a pure function of the step: nothing to save, nothing to restore.

Source: the paper, section 3.4: cosine schedule with 40 warmup epochs of 60, both ends at 0.8 of
the peak. We read this as a straight line from ``warmup_from`` to the peak, then a cosine to
``final_rate``.
"""

import math

__all__ = ["rate_factor"]


def rate_factor(
    step: int, *, steps: int, warmup_steps: int, warmup_from: float, final_rate: float
) -> float:
    """Return the learning rate at ``step`` as a share of its peak.

    Args:
        step: Step about to be taken, 0 to ``steps - 1``.
        steps: Steps of the whole training.
        warmup_steps: Steps until the peak.
        warmup_from: Share of the peak at step 0.
        final_rate: Share of the peak at the end.

    Example:
        >>> rate_factor(1, steps=4, warmup_steps=2, warmup_from=0.5, final_rate=0.0)
        0.75
    """
    if step < warmup_steps:
        return warmup_from + (1 - warmup_from) * step / warmup_steps
    share = (step - warmup_steps) / max(1, steps - warmup_steps)
    return final_rate + (1 - final_rate) * (1 + math.cos(math.pi * share)) / 2
