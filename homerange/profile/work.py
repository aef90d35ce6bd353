"""What a network stores, and what one photo costs it, layer by layer in torch.

The rule: a convolution or a linear layer costs one multiply-add (MAC) for each product, so
(outputs) * (inputs that each output sees). The numbers of the paper's table 3 come out when each
output of a layer with a bias costs one operation more; norms, activations and poolings cost
nothing. :mod:`homerange.specialize.count` counts the products of an exported graph.

Experts are counted by the same rule, but apart, because the paper leaves them out: each token costs
the products of its gate, and products and bias sums of the experts that answer for it, no others.
An exported graph may compute more experts than that.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from homerange.model.experts import ExpertMlp

__all__ = ["Work", "count_work"]


@dataclass
class Work:
    """Parameters of a network, and operations for one photo."""

    stored: int = 0
    """All parameters."""
    active: int = 0
    """Those that answer for one token: of each expert layer the experts that are chosen."""
    products: int = 0
    bias_adds: int = 0
    expert_products: int = 0
    expert_bias_adds: int = 0

    @property
    def macs(self) -> int:
        """Products of all layers, gates and experts too: our rule."""
        return self.products + self.expert_products

    @property
    def as_the_paper_counts(self) -> int:
        """Products and sums with a bias, without gates and experts."""
        return self.products + self.bias_adds

    @property
    def with_experts(self) -> int:
        """The same, with gates and experts."""
        return self.as_the_paper_counts + self.expert_products + self.expert_bias_adds


def count_work(network: nn.Module, input_px: int) -> Work:
    """Send one black photo through a network and count.

    Args:
        network: It is set to evaluation mode.
        input_px: Side of the photo.
    """
    work = Work(stored=sum(parameter.numel() for parameter in network.parameters()))
    work.active = work.stored - sum(map(_idle, network.modules()))

    def conv(module: nn.Conv2d, _: object, output: Tensor) -> None:
        height, width = module.kernel_size
        seen = module.in_channels // module.groups * height * width
        work.products += output.numel() * seen
        work.bias_adds += output.numel() * (module.bias is not None)

    def linear(module: nn.Linear, _: object, output: Tensor) -> None:
        work.products += output.numel() * module.in_features
        work.bias_adds += output.numel() * (module.bias is not None)

    def experts(module: ExpertMlp, given: tuple[Tensor, ...], _: object) -> None:
        # A shared expert is made of convolutions, which ``conv`` counts.
        if not module.experts:
            return
        tokens = given[0].numel() // given[0].shape[1]
        gate = [matrix for matrix in module.gate.parameters() if matrix.ndim == 2]
        answers = tokens * module.top_k
        work.expert_products += tokens * sum(matrix.numel() for matrix in gate)
        work.expert_products += answers * (module.w1_EHD[0].numel() + module.w2_EHD[0].numel())
        work.expert_bias_adds += answers * (module.b1_EH[0].numel() + module.b2_ED[0].numel())

    count_of: dict[type[nn.Module], Callable[..., None]] = {
        nn.Conv2d: conv,
        nn.Linear: linear,
        ExpertMlp: experts,
    }
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


def _idle(module: nn.Module) -> int:
    """Count the parameters of the experts of a layer that do not answer for a token."""
    if not isinstance(module, ExpertMlp) or not module.experts:
        return 0
    one = sum(
        weights[0].numel() for weights in (module.w1_EHD, module.b1_EH, module.w2_EHD, module.b2_ED)
    )
    return (module.experts - module.top_k) * one
