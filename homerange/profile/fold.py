"""Fold batch norm into the convolution before it, so that a world holds each number once.

The folded network computes the same in evaluation mode. It is folded before the export, in torch,
because exporters fold by themselves otherwise and the tensors lose their names.
"""

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from homerange.model.network import SpeciesNetwork

__all__ = ["fold_batch_norm"]


def fold_batch_norm(network: SpeciesNetwork) -> SpeciesNetwork:
    """Return a copy of ``network``, in evaluation mode, without batch norm.

    Raises:
        ValueError: If a batch norm does not follow a convolution of its own: not our backbone.
    """
    folded = copy.deepcopy(network).eval()
    for block in folded.modules():
        conv, norm = getattr(block, "conv", None), getattr(block, "bn", None)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            block.conv = fuse_conv_bn_eval(conv, norm)
            block.bn = getattr(norm, "act", nn.Identity())  # timm's norm holds the activation
    left = [name for name, module in folded.named_modules() if isinstance(module, nn.BatchNorm2d)]
    if left:
        raise ValueError(f"batch norm {left[0]} has no convolution before it")
    return folded
