"""Count the work of a torch network layer by layer, independent of any exported graph.

The rule: a convolution or a linear layer costs one multiply-add (MAC) for each product, so
(outputs) * (inputs that each output sees). The paper's numbers come out when each output of a layer
with a bias costs one operation more; norms, activations and poolings cost nothing.
"""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Work:
    products: int = 0
    bias_adds: int = 0

    @property
    def as_the_paper_counts(self):
        return self.products + self.bias_adds


def count_work(network, input_px):
    """Send one black photo through ``network`` and count."""
    work = Work()

    def conv(module, _, output):
        height, width = module.kernel_size
        seen = module.in_channels // module.groups * height * width
        work.products += output.numel() * seen
        work.bias_adds += output.numel() * (module.bias is not None)

    def linear(module, _, output):
        work.products += output.numel() * module.in_features
        work.bias_adds += output.numel() * (module.bias is not None)

    hooks = [
        module.register_forward_hook(conv if isinstance(module, nn.Conv2d) else linear)
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, input_px, input_px))
    for hook in hooks:
        hook.remove()
    return work


def parameters(module):
    return sum(tensor.numel() for tensor in module.parameters())
