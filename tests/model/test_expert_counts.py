"""Parameters and work of the paper's experts on the real networks (its section 3.4, table 3)."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from homerange.model.backbone import build_encoder
from homerange.model.experts import ExpertMlp, ExpertSpec
from homerange.model.network import build_network
from homerange.profile.work import count_work

INATURALIST, IWILDCAM = 5089, 182
TAU = 4  # one learnt temperature for each gate, which the paper's sums leave out


def count(module):
    return sum(p.numel() for p in module.parameters())


def experts_of(network):
    return [module for module in network.modules() if isinstance(module, ExpertMlp)]


@pytest.mark.parametrize(
    ("experts", "hidden", "inaturalist", "iwildcam"),
    [
        (16, 2, 2.825, 1.038),
        (64, 2, 2.919, 1.132),
        (16, 4, 2.849, 1.063),
        (64, 4, 3.018, 1.231),
        (16, 8, 2.899, 1.112),
        (64, 8, 3.215, 1.429),
    ],
)
def test_stored_parameters_of_networks_with_experts(experts, hidden, inaturalist, iwildcam):
    spec = ExpertSpec(experts=experts, hidden=hidden)
    large = build_network(classes=INATURALIST, head="bottleneck", experts=spec)
    small = build_network(classes=IWILDCAM, head="plain", experts=spec)
    assert count(large) / 1e6 == pytest.approx(inaturalist, abs=6e-4)
    assert count(small) / 1e6 == pytest.approx(iwildcam, abs=6e-4)


def test_all_experts_of_width_two_hold_little_of_the_network():
    # 64 x (2 x 2 d + 2 + d) for d = 64, 96, 96, 128: 64 x (5 x 384 + 8) = 123,392.
    network = build_network(classes=INATURALIST, head="bottleneck", experts=ExpertSpec())
    held = sum(count(mlp) - count(mlp.gate) for mlp in experts_of(network))
    assert held == 123_392
    assert held / count(network) == pytest.approx(0.042, abs=1e-3)
    small = build_network(classes=IWILDCAM, experts=ExpertSpec())
    assert held / count(small) == pytest.approx(0.109, abs=1e-3)


def test_a_gate_of_rank_eight_is_a_fifth_of_a_full_one():
    # 8 (d + 64) over the four layers: 5,120; 64 d: 24,576.
    for rank, expected in ((8, 5_120), (0, 24_576)):
        network = build_network(classes=2, experts=ExpertSpec(gate_rank=rank))
        assert sum(count(mlp.gate) for mlp in experts_of(network)) == expected + TAU


@pytest.mark.parametrize(
    ("classes", "head", "active"), [(INATURALIST, "bottleneck", 2.797), (IWILDCAM, "plain", 1.0106)]
)
def test_active_parameters_count_one_expert_of_each_layer(classes, head, active):
    network = build_network(classes=classes, head=head, experts=ExpertSpec())
    idle = sum((count(mlp) - count(mlp.gate)) * 63 / 64 for mlp in experts_of(network))
    assert (count(network) - TAU - idle) / 1e6 == pytest.approx(active, abs=6e-4)
    work = count_work(network, 64)
    assert (work.stored, work.active) == (count(network), count(network) - idle)


def test_the_dense_mlps_that_experts_replace():
    # 16,576 + 2 x 37,152 + 65,920 = 156,800.
    dense, spec = build_encoder(), ExpertSpec()
    without = count(build_network(classes=0, head="none", experts=spec)) - sum(
        count(mlp) for mlp in experts_of(build_network(classes=0, head="none", experts=spec))
    )
    assert count(dense) - without == 156_800


@pytest.mark.parametrize(
    ("input_px", "rank", "inaturalist", "iwildcam"),
    [(256, 8, 429.9, 428.1), (256, 0, 436.0, 434.2), (224, 8, 334.8, 333.1)],
)
def test_work_of_networks_with_experts(input_px, rank, inaturalist, iwildcam):
    # Gate and experts at 256 px, where layers 1, 3, 5, 7 have d = 64, 96, 96, 128 and 1,024, 256,
    # 256, 64 tokens. Gate of rank 8: 8 d + 8 x 64 a token, 1,802,240 in all; full: 64 d, 7,864,320.
    # One expert: 4 d products and 2 + d sums a token, 617,600.
    spec = ExpertSpec(gate_rank=rank)
    large = build_network(classes=INATURALIST, head="bottleneck", experts=spec)
    small = build_network(classes=IWILDCAM, experts=spec)
    assert count_work(large, input_px).with_experts / 1e6 == pytest.approx(inaturalist, abs=0.05)
    work = count_work(small, input_px)
    assert work.with_experts / 1e6 == pytest.approx(iwildcam, abs=0.05)
    if input_px == 256:
        of_gates = {8: 1_802_240, 0: 7_864_320}[rank]
        assert work.expert_products + work.expert_bias_adds == of_gates + 617_600


@pytest.mark.parametrize(
    ("classes", "head", "work", "of_table_3"),
    [(INATURALIST, "bottleneck", 427.5, 427), (IWILDCAM, "plain", 425.7, 426)],
)
def test_the_work_of_table_3_leaves_out_experts_and_gates(classes, head, work, of_table_3):
    network = build_network(classes=classes, head=head, experts=ExpertSpec())
    counted = count_work(network, 256)
    assert counted.as_the_paper_counts / 1e6 == pytest.approx(work, abs=0.05)
    assert round(counted.as_the_paper_counts / 1e6) == of_table_3
    assert round(counted.with_experts / 1e6) > of_table_3


@pytest.mark.parametrize(
    "shape", [{"hidden": 2}, {"hidden": 3, "gate_rank": 0}, {"hidden": 2, "top_k": 2}]
)
def test_counted_products_are_those_that_torch_multiplies_when_each_token_fetches_its_expert(shape):
    # torch's own counter: two operations for each product of a matrix product, none for sums.
    layer = ExpertMlp(16, ExpertSpec(experts=6, **shape)).eval()
    layer.execution = "gather"

    class OfOnePhoto(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x_B3HW):
            return self.layer(x_B3HW.new_ones(1, 16, 4, 9))

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        layer(torch.ones(1, 16, 4, 9))
    assert counter.get_total_flops() == 2 * count_work(OfOnePhoto(), 8).expert_products
