"""The losses of dense training: labels, with smoothing and mixup, and a teacher's features.

Axes used in this file:
    B  photos      C  classes      F  features of the teacher      G  side of the grid
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Mix", "draw_mix", "label_loss", "teacher_loss"]


class Mix:
    """One draw of mixup: each photo of a batch is blended with a partner (Zhang 2018)."""

    def __init__(self, partner_B: Tensor, share: float) -> None:
        self.partner_B = partner_B
        self.share = share
        """Weight of the photo itself; its partner has ``1 - share``."""

    def blend(self, x_B: Tensor) -> Tensor:
        """Blend any tensor whose first axis is the batch."""
        return self.share * x_B + (1 - self.share) * x_B[self.partner_B]

    def dominant(self, x_B: Tensor) -> Tensor:
        """Choose, for each blended photo, the value of the photo that has the larger share."""
        return x_B if self.share >= 0.5 else x_B[self.partner_B]


def draw_mix(batch: int, *, alpha: float, seed: tuple[int, ...]) -> Mix:
    """Draw partners and share from Beta(alpha, alpha) with a generator of their own.

    Args:
        batch: Number of photos B.
        alpha: Parameter of the Beta distribution; 0 gives no mixing.
        seed: Numbers that fix the draw, for example (seed, step).
    """
    generator = np.random.default_rng(seed)
    share = float(generator.beta(alpha, alpha)) if alpha > 0 else 1.0
    return Mix(torch.from_numpy(generator.permutation(batch)), share)


def label_loss(logits_BC: Tensor, class_B: Tensor, *, mix: Mix, smoothing: float) -> Tensor:
    """Cross entropy with smoothed labels, blended as the photos were. A scalar.

    Args:
        logits_BC: Logits of the (blended) photos, shape (B, C).
        class_B: Class of each photo before blending, shape (B,); -1 where it has no label. Such
            a photo, and its share of a blend, does not count.
        mix: The blend that was applied to the photos.
        smoothing: Share of each label that is spread evenly over all classes.
    """
    known_B = (class_B >= 0).float()
    target_B = class_B.clamp(min=0)
    own_B = known_B * functional.cross_entropy(
        logits_BC, target_B, reduction="none", label_smoothing=smoothing
    )
    partner_B = known_B[mix.partner_B] * functional.cross_entropy(
        logits_BC, target_B[mix.partner_B], reduction="none", label_smoothing=smoothing
    )
    return (mix.share * own_B + (1 - mix.share) * partner_B).sum() / mix.blend(known_B).sum()


def teacher_loss(projected_BFGG: Tensor, teacher_BFGG: Tensor) -> Tensor:
    """One minus the cosine between our projected features and the teacher's, a scalar.

    Args:
        projected_BFGG: Our features at each position of a grid, in the teacher's terms.
        teacher_BFGG: The teacher's, of the same shape (B, F, G, G).

    Returns:
        In [0, 2] for a grid of one position. Else in [0, 4]: that of the features averaged over
        the photo, and the mean over positions.
    """
    ours, theirs = projected_BFGG.float(), teacher_BFGG.float()
    whole = functional.cosine_similarity(ours.mean((2, 3)), theirs.mean((2, 3)), dim=1)
    if teacher_BFGG.shape[2] == 1:
        return 1 - whole.mean()
    return 2 - whole.mean() - functional.cosine_similarity(ours, theirs, dim=1).mean()
