"""Cutting experts: the package computes what the network computes with those experts dropped."""

import dataclasses
import shutil
from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from fakes import reseal
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tiny_world import expert_world
from torch import nn

from homerange.errors import WorldError
from homerange.model import experts as model_experts
from homerange.model.experts import ExpertMlp, ExpertSpec
from homerange.specialize import cut as cut_module
from homerange.specialize.cut import cut_world
from homerange.specialize.expert_graph import expert_nodes
from homerange.world.description import DropRule, ExpertLayer
from homerange.world.weights import read_header
from homerange.world.world import open_world

LAYERS = (1, 3, 5, 7)
RULES = get_args(DropRule)
MARGIN = 1e-5
"""Of the best two scores of a token, as cosines; below it the last digit decides. Not so for a
token of zeros: all its scores are zero, and ArgMax takes the first of them everywhere."""


def run(model, photos):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options).run(["logits"], {"image": photos})[0]


def photos(count=3, px=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, px, px, 3)).astype(np.uint8)


def experts_of(network):
    return [module for module in network.modules() if isinstance(module, ExpertMlp)]


def drop(network, kept, rule="reroute"):
    """Drop in torch what a cut removes."""
    for layer, mlp in zip(LAYERS, experts_of(network), strict=True):
        gone_E = torch.ones(mlp.experts, dtype=torch.bool)
        gone_E[torch.as_tensor(kept[layer], dtype=torch.long)] = False
        mlp.drop(gone_E, rule)


def opened(folder, rule):
    """The world, as if it had been published with another drop rule."""
    world = open_world(folder)
    graph = dataclasses.replace(world.graph, drop_rule=rule)
    return dataclasses.replace(
        world, description=dataclasses.replace(world.description, graph=graph)
    )


def logits_and_margin(network, pixels):
    """Logits, and for each photo the smallest margin of any gate."""
    margins = []

    def note(mlp, given):
        x_BTD = given[0].flatten(2).transpose(1, 2)
        scores_BTE = mlp.gate(x_BTD) * mlp.gate.log_tau.exp()
        if mlp.drop_rule == "reroute" and mlp.kept_E.any():
            scores_BTE = scores_BTE.masked_fill(~mlp.kept_E, -torch.inf)
        if mlp.kept_E.sum() > 1 or mlp.drop_rule != "reroute":
            best_BT2 = scores_BTE.topk(2, dim=-1).values
            margin_BT = best_BT2[..., 0] - best_BT2[..., 1]
            if mlp.top_k == 1:
                margin_BT = margin_BT.masked_fill((x_BTD == 0).all(-1), torch.inf)
            margins.append(margin_BT.amin(1))

    handles = [mlp.register_forward_pre_hook(note) for mlp in experts_of(network)]
    with torch.no_grad():
        logits_BC = network(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
    for handle in handles:
        handle.remove()
    smallest_B = torch.stack(margins).amin(0) if margins else torch.ones(len(pixels))
    return logits_BC.numpy(), smallest_B.numpy()


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """Worlds with experts and their networks: of low and full rank, one and two for a token.

    They hold mean answers, which the rules other than ``mean`` leave alone.
    """
    shapes = {
        "paper": {"experts": 6, "hidden": 2},
        "full gate, shared": {"experts": 5, "hidden": 3, "gate_rank": 0, "shared": 2},
        "two for a token": {"experts": 4, "hidden": 1, "top_k": 2},
    }
    return {
        name: expert_world(
            tmp_path_factory.mktemp("world"), layers=LAYERS, seed=i, rule="mean", **shape
        )
        for i, (name, shape) in enumerate(shapes.items())
    }


def test_the_graph_of_a_world_computes_what_its_network_computes(worlds):
    for folder, network in worlds.values():
        expected, margin_B = logits_and_margin(network, photos())
        assert (margin_B > MARGIN).all()
        found = run(str(folder / "graph.onnx"), photos())
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rule", RULES)
@given(data=st.data(), seed=st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_physical_pruning_equals_simulated_dropping(worlds, rule, data, seed):
    folder, network = worlds[data.draw(st.sampled_from(sorted(worlds)))]
    count = experts_of(network)[0].experts
    one_layer = st.sets(st.integers(0, count - 1)).map(sorted)
    kept = {layer: np.array(data.draw(one_layer), dtype=np.int64) for layer in LAYERS}
    classes = np.array(sorted(data.draw(st.sets(st.integers(0, 4), min_size=1))))
    pixels = photos(seed=seed)
    drop(network, kept, rule)
    expected, margin_B = logits_and_margin(network, pixels)
    found = run(cut_world(opened(folder, rule), classes, kept), pixels)
    sure_B = margin_B > MARGIN  # the others are decided by the last digit of a float
    assume(sure_B.any())
    expected = expected[sure_B][:, classes]
    np.testing.assert_allclose(found[sure_B], expected, atol=1e-5, rtol=1e-5)
    assert np.array_equal(found[sure_B].argmax(1), expected.argmax(1))


def test_a_model_cut_to_every_class_and_expert_equals_the_world(worlds):
    for folder, network in worlds.values():
        kept = {layer: np.arange(experts_of(network)[0].experts) for layer in LAYERS}
        whole = run(cut_world(open_world(folder), np.arange(5), kept), photos())
        world = run(str(folder / "graph.onnx"), photos())  # its constants may be folded otherwise
        np.testing.assert_allclose(whole, world, atol=1e-5, rtol=1e-5)


def test_dropped_experts_leave_gate_weights_and_biases(worlds):
    shapes = shapes_of_layer_3(opened(worlds["paper"][0], "reroute"), [1, 4])
    assert shapes["gate.up"] == (2, 8)
    assert shapes["gate.down"] == (8, 96)
    assert (shapes["w1_EHD"], shapes["w2_EHD"]) == ((2, 2, 96), (2, 2, 96))
    assert (shapes["b1_EH"], shapes["b2_ED"]) == ((2, 2), (2, 96))
    assert "mean_ED" not in shapes


def test_by_the_other_rules_the_gate_stays_whole_and_means_are_those_of_the_dropped(worlds):
    for rule in ("zero", "literal", "skip", "mean"):
        shapes = shapes_of_layer_3(opened(worlds["paper"][0], rule), [1, 4])
        assert (shapes["gate.up"], shapes["gate.down"]) == ((6, 8), (8, 96))
        assert (shapes["w1_EHD"], shapes["w2_EHD"]) == ((2, 2, 96), (2, 2, 96))
        assert (shapes["b1_EH"], shapes["b2_ED"]) == ((2, 2), (2, 96))
        assert shapes.get("mean_ED") == ((4, 96) if rule == "mean" else None)
        left = {name for name in shapes_of_layer_3(opened(worlds["paper"][0], rule), [])}
        assert left == ({"gate.up", "gate.down", "mean_ED"} if rule == "mean" else set())


def shapes_of_layer_3(world, kept):
    """The tensors of that layer in a model that keeps some of its experts."""
    model = onnx.load_from_string(cut_world(world, np.arange(5), {3: np.array(kept, int)}))
    prefix = "encoder.stages.3.1.transformer.1.mlp."
    return {
        t.name.removeprefix(prefix): tuple(t.dims)
        for t in model.graph.initializer
        if t.name.startswith(prefix)
    }


def test_a_world_without_the_means_that_its_rule_takes_is_refused(worlds, monkeypatch):
    def without_means(path):
        return {n: t for n, t in read_header(path).items() if not n.endswith("mean_ED")}

    monkeypatch.setattr(cut_module, "read_header", without_means)
    expected = r"has no tensor '.*\.mlp\.mean_ED', which the drop rule mean takes. Publish the"
    with pytest.raises(WorldError, match=expected):
        cut_world(opened(worlds["paper"][0], "mean"), np.arange(5), {3: np.array([0])})


def test_the_rules_of_a_world_are_those_of_the_network():
    assert get_args(DropRule) == get_args(model_experts.DropRule)


def test_one_expert_needs_no_gate(worlds):
    world = opened(worlds["paper"][0], "reroute")
    model = onnx.load_from_string(cut_world(world, np.arange(5), {3: np.array([2])}))
    own = [
        node
        for node in model.graph.node
        if node.name.startswith("encoder.stages.3.1.transformer.1")
    ]
    assert "ArgMax" not in {node.op_type for node in own}
    assert not [
        t.name
        for t in model.graph.initializer
        if t.name.startswith("encoder.stages.3.1.transformer.1.mlp.gate")
    ]


def test_without_experts_a_layer_has_no_mlp(worlds):
    world = opened(worlds["paper"][0], "reroute")
    model = onnx.load_from_string(cut_world(world, np.arange(5), {3: np.array([], int)}))
    prefix = "encoder.stages.3.1.transformer.1.mlp"
    assert [n.op_type for n in model.graph.node if n.name.startswith(prefix)] == ["Identity"]
    assert not [t.name for t in model.graph.initializer if t.name.startswith(prefix)]


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({3: np.array([4, 1])}, r"cannot keep the experts \[4, 1\] of layer 3; .* from 0 to 5"),
        ({3: np.array([6])}, r"cannot keep the experts \[6\] of layer 3"),
        (
            {2: np.array([0])},
            r"layer 2 of this world has no experts; those that have: \[1, 3, 5, 7\]",
        ),
    ],
)
def test_experts_that_are_not_there_are_refused(worlds, kept, message):
    with pytest.raises(ValueError, match=message):
        cut_world(open_world(worlds["paper"][0]), np.arange(5), kept)


def test_a_world_that_says_another_number_of_experts_than_its_weights_is_refused(worlds, tmp_path):
    shutil.copytree(worlds["paper"][0], tmp_path / "world")
    graph = open_world(tmp_path / "world").description.to_json()["graph"]
    graph["experts"][1]["experts"] = 7
    reseal(tmp_path / "world", graph=graph | {"experts": list(graph["experts"])})
    with pytest.raises(WorldError, match=r"has shape .*; world.json says 7 classes or experts"):
        cut_world(open_world(tmp_path / "world"), np.arange(5), {3: np.array([0, 1])})


@pytest.mark.parametrize("rule", ["zero", "literal", "skip", "mean"])
@pytest.mark.parametrize("kept", [[], [2], [0, 3], [0, 1, 2, 3]])
def test_the_other_drop_rules_as_nodes_equal_the_layer_in_torch(rule, kept):
    torch.manual_seed(0)
    mlp = ExpertMlp(6, ExpertSpec(layers=(0,), experts=4, hidden=2, gate_rank=3)).eval()
    for parameter in mlp.parameters():
        if parameter.ndim:
            nn.init.normal_(parameter)
    mlp.mean_ED = torch.randn(4, 6)
    x_BDPN, residual_BDPN = torch.randn(2, 6, 4, 3), torch.randn(2, 6, 4, 3)
    gone_E = torch.ones(4, dtype=torch.bool)
    gone_E[kept] = False
    mlp.drop(gone_E, rule)
    with torch.no_grad():
        expected = mlp(x_BDPN, residual_BDPN).numpy()
    layer = ExpertLayer(
        layer=0, prefix="mlp", input="x", output="y", residual="r", channels=6,
        experts=4, hidden=2, low_rank=True, top_k=1, shared=0,
    )  # fmt: skip
    written = expert_nodes(layer, kept_K=np.array(kept, dtype=np.int64), rule=rule)
    rows = {"w1_EHD", "b1_EH", "w2_EHD", "b2_ED"}
    tensors = {n: p.detach() for n, p in mlp.named_parameters()} | {"mean_ED": mlp.mean_ED[gone_E]}
    used = {name for node in written.nodes for name in node.input}
    weights = [
        onnx.numpy_helper.from_array((t[kept] if n in rows else t).numpy(), f"mlp.{n}")
        for n, t in tensors.items()
        if f"mlp.{n}" in used
    ]
    values = {
        name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 6, 4, 3])
        for name in ("x", "r", "y")
    }
    graph = onnx.helper.make_graph(
        written.nodes, "layer", [values["x"], values["r"]], [values["y"]],
        [*weights, *written.constants],
    )  # fmt: skip
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    given = {
        i.name: v.numpy()
        for i, v in zip(session.get_inputs(), (x_BDPN, residual_BDPN), strict=True)
    }
    np.testing.assert_allclose(session.run(None, given)[0], expected, atol=1e-5, rtol=1e-5)
