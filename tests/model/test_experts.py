"""The expert layer: its laws, numbers worked out by hand, and messages."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import ConvMlp
from torch import nn
from torch.nn import functional

from homerange.errors import ConfigError
from homerange.model.backbone import add_experts, build_encoder, transformer_layers
from homerange.model.experts import ExpertBlock, ExpertMlp, ExpertSpec

D = 6
SHAPES = st.fixed_dictionaries(
    {
        "experts": st.integers(1, 7),
        "hidden": st.integers(1, 4),
        "gate_rank": st.sampled_from([0, 1, 3, 8]),
        "shared": st.sampled_from([0, 2]),
    }
)


def layer_of(seed=0, **shape):
    """Experts whose every weight is random, so that no two of them agree."""
    torch.manual_seed(seed)
    layer = ExpertMlp(D, ExpertSpec(layers=(0,), **shape))
    for parameter in layer.parameters():
        if parameter.ndim:
            nn.init.normal_(parameter)
    return layer.eval()


def tokens(seed=1, batch=2):
    return torch.randn(batch, D, 4, 3, generator=torch.Generator().manual_seed(seed))


def chosen(layer, x_BDPN):
    return layer.route(x_BDPN.flatten(2).transpose(1, 2))[0]


def dropped(experts, which):
    mask_E = torch.zeros(experts, dtype=torch.bool)
    mask_E[list(which)] = True
    return mask_E


# Laws


@given(shape=SHAPES, seed=st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_experts_that_copy_the_dense_mlp_change_nothing(shape, seed):
    torch.manual_seed(seed)
    dense = ConvMlp(D, 2 * D, act_layer=nn.SiLU)
    layer = layer_of(seed, **(shape | {"hidden": 2 * D, "shared": 0}))
    with torch.no_grad():
        layer.w1_EHD.copy_(dense.fc1.weight.flatten(1).expand_as(layer.w1_EHD))
        layer.b1_EH.copy_(dense.fc1.bias.expand_as(layer.b1_EH))
        layer.w2_EHD.copy_(dense.fc2.weight.flatten(1).T.expand_as(layer.w2_EHD))
        layer.b2_ED.copy_(dense.fc2.bias.expand_as(layer.b2_ED))
    for top_k in {1, shape["experts"]}:
        layer.top_k = top_k
        torch.testing.assert_close(layer(tokens(seed)), dense(tokens(seed)))


@given(shape=SHAPES, seed=st.integers(0, 999), rule=st.sampled_from(["reroute", "zero", "literal"]))
@settings(max_examples=25, deadline=None)
def test_dropping_experts_that_no_token_visits_changes_nothing(shape, seed, rule):
    layer, x_BDPN = layer_of(seed, **shape), tokens(seed)
    before = layer(x_BDPN, x_BDPN)
    unused = set(range(shape["experts"])) - set(chosen(layer, x_BDPN).unique().tolist())
    layer.drop(dropped(shape["experts"], unused), rule)
    torch.testing.assert_close(layer(x_BDPN, x_BDPN), before)


@given(shape=SHAPES, top_k=st.integers(1, 3), seed=st.integers(0, 999), data=st.data())
@settings(max_examples=40, deadline=None)
def test_masked_and_gather_agree_whatever_is_dropped(shape, top_k, seed, data):
    layer = layer_of(seed, **(shape | {"top_k": min(top_k, shape["experts"])}))
    which = data.draw(st.sets(st.integers(0, shape["experts"] - 1)))
    layer.drop(dropped(shape["experts"], which), "reroute")
    masked = layer(tokens(seed))
    layer.execution = "gather"
    torch.testing.assert_close(layer(tokens(seed)), masked, atol=1e-5, rtol=1e-5)


def test_each_token_is_answered_by_its_own_expert_alone():
    layer, x_BDPN = layer_of(experts=5, hidden=3), tokens()
    answer = layer(x_BDPN).flatten(2)
    for b, t in [(0, 0), (1, 7)]:
        e = chosen(layer, x_BDPN)[b, t, 0]
        x_D = x_BDPN.flatten(2)[b, :, t]
        hidden_H = functional.silu(layer.w1_EHD[e] @ x_D + layer.b1_EH[e])
        torch.testing.assert_close(answer[b, :, t], hidden_H @ layer.w2_EHD[e] + layer.b2_ED[e])


# The gate


def test_a_token_in_the_direction_of_a_centre_goes_there_however_long_it_is():
    layer = layer_of(experts=4, gate_rank=0)
    centre_ED = functional.normalize(torch.randn(4, D), dim=1)
    layer.gate.set_centroids(centre_ED)
    for length in (0.01, 1.0, 300.0):
        assert layer.route(length * centre_ED[None])[0].flatten().tolist() == [0, 1, 2, 3]


def test_scores_are_cosines_over_tau():
    # |(3, 4)| = 5, so the cosine with (1, 0) is 0.6 and with (0, 1) is 0.8; tau is 0.07.
    layer = ExpertMlp(2, ExpertSpec(layers=(0,), experts=2, gate_rank=0))
    layer.gate.set_centroids(torch.eye(2))
    scores = layer.gate(torch.tensor([[[3.0, 4.0]]]))
    torch.testing.assert_close(scores, torch.tensor([[[0.6 / 0.07, 0.8 / 0.07]]]))


def test_a_gate_of_low_rank_is_the_best_of_its_rank():
    centre_ED = torch.randn(9, D, generator=torch.Generator().manual_seed(3))
    layer = layer_of(experts=9, gate_rank=2)
    layer.gate.set_centroids(centre_ED)
    left, size, right = torch.linalg.svd(centre_ED, full_matrices=False)
    expected = left[:, :2] @ torch.diag(size[:2]) @ right[:2]
    torch.testing.assert_close(layer.gate.up @ layer.gate.down, expected, atol=1e-5, rtol=1e-4)


def test_a_rank_above_the_number_of_experts_keeps_every_centre():
    centre_ED = functional.normalize(torch.randn(3, D), dim=1)
    layer = layer_of(experts=3, gate_rank=8)
    layer.gate.set_centroids(centre_ED)
    torch.testing.assert_close(layer.gate.up @ layer.gate.down, centre_ED, atol=1e-5, rtol=1e-4)


def test_equal_scores_go_to_the_lowest_index():
    layer = layer_of(experts=5, gate_rank=0)
    layer.gate.set_centroids(torch.zeros(5, D))
    assert chosen(layer, tokens()).unique().tolist() == [0]
    layer.drop(dropped(5, {0, 1}), "reroute")
    assert chosen(layer, tokens()).unique().tolist() == [2]


def test_a_weight_of_one_still_teaches_the_gate():
    layer, x_BDPN = layer_of(experts=4).train(), tokens()
    assert layer.route(x_BDPN.flatten(2).transpose(1, 2))[1].unique().tolist() == [1.0]
    layer(x_BDPN).square().sum().backward()
    assert layer.gate.up.grad.abs().max() > 1e-4
    assert layer.gate.log_tau.grad.abs() > 1e-4


def test_several_experts_are_weighted_by_the_softmax_of_their_own_scores():
    layer, x_BDPN = layer_of(experts=4, top_k=2), tokens()
    x_BTD = x_BDPN.flatten(2).transpose(1, 2)
    best = layer.gate(x_BTD)[0, 0].sort(descending=True)
    index, weight = layer.route(x_BTD)
    assert index[0, 0].tolist() == best.indices[:2].tolist()
    torch.testing.assert_close(weight[0, 0], best.values[:2].softmax(0))


def test_tau_is_never_below_a_hundredth():
    layer = layer_of(experts=2, gate_rank=0)
    with torch.no_grad():
        layer.gate.log_tau.fill_(-50.0)
    assert layer.gate(tokens().flatten(2).transpose(1, 2)).abs().max() < 1e3


def test_the_gate_stays_in_32_bit_where_the_rest_does_not():
    layer = layer_of(experts=4)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.gate(tokens().flatten(2).transpose(1, 2)).dtype == torch.float32


# What becomes of the tokens of dropped experts


@pytest.fixture
def one_dropped():
    """A layer whose most visited expert is to be dropped, its tokens, and which are meant."""
    layer, x_BDPN = layer_of(experts=4), tokens()
    first_BT = chosen(layer, x_BDPN)[..., 0]
    gone = int(first_BT.mode().values.flatten()[0])
    is_gone_B1PN = (first_BT == gone).unflatten(1, (4, 3)).unsqueeze(1)
    assert 0 < is_gone_B1PN.float().mean() < 1
    return layer, x_BDPN, gone, is_gone_B1PN


@pytest.mark.parametrize("rule", ["zero", "literal", "skip", "mean"])
def test_a_rule_speaks_of_the_tokens_of_dropped_experts_only(one_dropped, rule):
    layer, x_BDPN, gone, is_gone_B1PN = one_dropped
    residual_BDPN = tokens(seed=9)
    before = layer(x_BDPN)
    layer.mean_ED = torch.arange(4.0)[:, None].expand(4, D)
    layer.drop(dropped(4, {gone}), rule)
    expected = {"zero": -residual_BDPN, "literal": -x_BDPN, "skip": 0.0, "mean": float(gone)}[rule]
    expected = torch.where(is_gone_B1PN, torch.as_tensor(expected), before)
    torch.testing.assert_close(layer(x_BDPN, residual_BDPN), expected)


def test_reroute_asks_the_best_of_the_kept(one_dropped):
    layer, x_BDPN, gone, _ = one_dropped
    scores_BTE = layer.gate(x_BDPN.flatten(2).transpose(1, 2))
    scores_BTE[..., gone] = -torch.inf
    layer.drop(dropped(4, {gone}), "reroute")
    assert torch.equal(chosen(layer, x_BDPN)[..., 0], scores_BTE.argmax(-1))


@pytest.mark.parametrize("rule", ["reroute", "skip"])
def test_without_any_expert_the_mlp_answers_zero(rule):
    layer = layer_of(experts=3)
    layer.drop(dropped(3, {0, 1, 2}), rule)
    assert layer(tokens()).abs().max() == 0


def test_zero_makes_what_leaves_the_layer_zero():
    block = build_encoder().get_submodule("stages.2.1.transformer.1")
    layer = ExpertBlock(block, ExpertSpec(experts=3)).eval()
    layer.mlp.drop(dropped(3, {0, 1, 2}), "zero")
    x_BDPN = torch.randn(1, 64, 4, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x_BDPN), torch.zeros_like(x_BDPN))


def test_zero_without_what_it_is_added_to_is_an_error():
    layer = layer_of(experts=2)
    layer.drop(dropped(2, {0, 1}), "zero")
    with pytest.raises(ValueError, match='drop rule "zero" needs what the answer is added to'):
        layer(tokens())


def test_an_unknown_rule_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="rule 'ignore' is unknown; use reroute, zero, literal, s"):
        layer_of(experts=2).drop(dropped(2, {0}), "ignore")


# In the encoder


def test_the_paper_puts_experts_into_these_layers():
    # METHOD 2: 0, 1 = stages.2.1; 2 to 5 = stages.3.1; 6 to 8 = stages.4.1
    names = transformer_layers(build_encoder())
    assert len(names) == 9
    assert [names[i] for i in ExpertSpec().layers] == [
        "stages.2.1.transformer.1",
        "stages.3.1.transformer.1",
        "stages.3.1.transformer.3",
        "stages.4.1.transformer.1",
    ]


def test_everything_but_the_mlp_is_kept():
    dense = build_encoder().eval()
    expert = copy.deepcopy(dense)
    add_experts(expert, ExpertSpec(experts=4))
    kept = {n for n in expert.state_dict() if n in dense.state_dict()}
    assert {n for n in dense.state_dict()} - kept == {
        f"{transformer_layers(dense)[i]}.mlp.{part}"
        for i in (1, 3, 5, 7)
        for part in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")
    }
    assert all(torch.equal(dense.state_dict()[n], expert.state_dict()[n]) for n in kept)


def test_new_experts_add_nothing_to_their_layer():
    encoder = build_encoder().eval()
    x_BDPN = torch.randn(1, 64, 4, 5)
    block = encoder.get_submodule("stages.2.1.transformer.1")
    attended = x_BDPN + block.attn(block.norm1(x_BDPN))
    torch.testing.assert_close(ExpertBlock(block, ExpertSpec()).eval()(x_BDPN), attended)


def test_a_layer_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match=r"expert layer 9 does not exist; .* layers 0 to 8"):
        add_experts(build_encoder(), ExpertSpec(layers=(1, 9)))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"layers": (3, 1)}, r"expert_layers is \[3, 1\]; expected layers that rise"),
        ({"layers": ()}, r"expert_layers is \[\]"),
        ({"experts": -1}, "experts is -1; expected 0 or more"),
        ({"hidden": 0}, "hidden is 0; expected 1 or more"),
        ({"experts": 0}, "experts and shared are both 0; that is no MLP at all"),
        ({"experts": 4, "top_k": 5}, "top_k is 5; expected 1 to the 4 experts"),
    ],
)
def test_shapes_that_cannot_be_built_are_refused(shape, message):
    with pytest.raises(ConfigError, match=message):
        ExpertSpec(**shape)
