"""Count the work of a torch network layer by layer, independent of any exported graph.

The rule: a convolution or a linear layer costs one multiply-add (MAC) for each product, so
(outputs) * (inputs that each output sees). The paper's numbers come out when each output of a layer
with a bias costs one operation more; norms, activations and poolings cost nothing.

Experts are counted by the same rule, but apart, because the paper leaves them out: each token costs
the products of its gate, and products and bias sums of the experts that answer for it, no others.
"""

from dataclasses import dataclass

import torch
from torch import nn

from homerange.model.experts import ExpertMlp


@dataclass
class Work:
    products: int = 0
    bias_adds: int = 0
    expert_products: int = 0
    expert_bias_adds: int = 0

    @property
    def as_the_paper_counts(self):
        return self.products + self.bias_adds

    @property
    def with_experts(self):
        return self.as_the_paper_counts + self.expert_products + self.expert_bias_adds


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

    def experts(module, given, _):
        # A shared expert is made of convolutions, which ``conv`` counts.
        if not module.experts:
            return
        tokens = given[0].numel() // given[0].shape[1]
        gate = [matrix for matrix in module.gate.parameters() if matrix.ndim == 2]
        answers = tokens * module.top_k
        work.expert_products += tokens * sum(matrix.numel() for matrix in gate)
        work.expert_products += answers * (module.w1_EHD[0].numel() + module.w2_EHD[0].numel())
        work.expert_bias_adds += answers * (module.b1_EH[0].numel() + module.b2_ED[0].numel())

    count_of = {nn.Conv2d: conv, nn.Linear: linear, ExpertMlp: experts}
    hooks = [
        module.register_forward_hook(count)
        for module in network.modules()
        for kind, count in count_of.items()
        if isinstance(module, kind)
    ]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, input_px, input_px))
    for hook in hooks:
        hook.remove()
    return work


def parameters(module):
    return sum(tensor.numel() for tensor in module.parameters())
