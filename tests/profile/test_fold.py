"""Folding batch norm changes no answer and leaves no batch norm."""

import pytest
import torch
from torch import nn

from homerange.model.network import SpeciesNetwork, build_network
from homerange.profile.fold import fold_batch_norm


def with_random_statistics(network):
    """Give batch norm means, variances, scales and shifts that are far from 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.3, generator=generator)
                module.running_var.uniform_(0.3, 3, generator=generator)
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(std=0.3, generator=generator)
    return network


@pytest.fixture(params=[("mobilevitv2_050", "plain"), ("mobilevitv2_075", "bottleneck")])
def network(request):
    backbone, head = request.param
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(classes=5, backbone=backbone, head=head)
    return with_random_statistics(network)


def test_the_folded_network_gives_the_same_logits(network):
    x_B3HW = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected_BC = network.eval()(x_B3HW)
        unfolded_BC = fold_batch_norm(network)(x_B3HW)
    assert expected_BC.abs().max() > 0.1
    torch.testing.assert_close(unfolded_BC, expected_BC, rtol=1e-5, atol=1e-5)


def test_no_batch_norm_is_left_and_the_network_itself_keeps_its_own(network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    folded = fold_batch_norm(network.train())
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not [name for name in folded.state_dict() if "running" in name]
    assert network.training
    assert not folded.training
    assert all(torch.equal(network.state_dict()[name], before[name]) for name in before)


def test_activations_stay_where_they_were(network):
    folded = fold_batch_norm(network)
    count = [sum(isinstance(m, nn.SiLU) for m in n.modules()) for n in (network, folded)]
    assert count[0] == count[1] > 10


def test_a_batch_norm_without_a_convolution_is_refused():
    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

    with pytest.raises(ValueError, match=r"batch norm encoder.norm has no convolution before it"):
        fold_batch_norm(SpeciesNetwork(Other(), None))
