"""The expert stage: what it starts from, what it reports, what it moves, what it refuses."""

import dataclasses
import json

import pytest
import torch
from tiny_training import tiny_config, tiny_manifest

from homerange.data.manifest import Manifest
from homerange.errors import CheckpointError, ConfigError, ManifestError
from homerange.model.checkpoint import load_checkpoint, read_config
from homerange.model.experts import ExpertMlp, ExpertSpec
from homerange.train import loop
from homerange.train.dense import train_dense
from homerange.train.evaluate import evaluate
from homerange.train.expert_config import ExpertConfig
from homerange.train.experts import collect_tokens, convert, train_experts
from homerange.train.learner import Learner
from homerange.train.loop import make_optimizer

LAYER = "stages.3.1.transformer.1"


def expert_config(**changes):
    shared = dataclasses.asdict(tiny_config(epochs=1))
    settings = {
        "experts": 4,
        "gate_rank": 4,
        "tokens_max": 2000,
        "distill_steps": 20,
        "expert_learning_rate": 5e-3,
    }
    return ExpertConfig(**(shared | settings | changes))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return tiny_manifest(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def dense(manifest, tmp_path_factory):
    return train_dense(
        manifest, tmp_path_factory.mktemp("dense") / "checkpoint", tiny_config(epochs=2)
    ).folder


@pytest.fixture(scope="module")
def train_photos(manifest):
    return Manifest.read(manifest).split("train")


@pytest.fixture(scope="module")
def trained(manifest, dense, tmp_path_factory):
    folder = tmp_path_factory.mktemp("experts") / "checkpoint"
    return train_experts(manifest, folder, expert_config(), from_checkpoint=dense)


def converted(dense, photos, **changes):
    return convert(*load_checkpoint(dense), photos, expert_config(**changes))


def mlps(network):
    return [module for module in network.modules() if isinstance(module, ExpertMlp)]


# What it leaves behind


def test_a_checkpoint_of_experts_can_be_loaded_and_judged(trained, manifest, dense):
    network, config = load_checkpoint(trained.folder)
    assert config.experts == ExpertSpec(experts=4, gate_rank=4)
    assert len(mlps(network)) == 4
    assert config.classes == read_config(dense).classes
    assert config.provenance["start"].startswith("dense checkpoint sha256 ")
    assert evaluate(trained.folder, manifest).overall.photos == 7


def test_the_report_tells_of_each_layer_how_it_began(trained):
    reports = json.loads((trained.folder / "experts.json").read_text())
    assert [report["layer"] for report in reports] == [1, 3, 5, 7]
    for report in reports:
        assert report["tokens"] > 100
        assert 0 <= report["smallest_cluster"] <= report["largest_cluster"] <= report["tokens"]
        assert sum(report["token_share"]) == pytest.approx(1, abs=1e-4)
        assert report["gate_agreement"] == 1.0  # rank 4 holds four centres
        assert report["r2"]["distill"] >= report["r2"]["mean"] - 1e-3
        assert report["r2"]["mean"] >= 0


def test_training_moves_experts_gates_and_all_the_rest(trained, dense, train_photos):
    before, _ = converted(dense, train_photos)
    after, _ = load_checkpoint(trained.folder)
    still = [
        name
        for name, tensor in before.state_dict().items()
        if tensor.is_floating_point() and torch.equal(tensor, after.state_dict()[name])
    ]
    assert still == []


def test_a_stopped_training_of_experts_goes_on_to_the_same_weights(
    manifest, dense, trained, tmp_path, monkeypatch
):
    class Stop(Exception):
        pass

    one_step, steps = loop._Run.one_step, []

    def stop_at_the_third(self, *arguments):
        if len(steps) == 2:
            raise Stop
        steps.append(1)
        return one_step(self, *arguments)

    monkeypatch.setattr(loop, "SAVE_EVERY_S", -1.0)
    monkeypatch.setattr(loop._Run, "one_step", stop_at_the_third)
    with pytest.raises(Stop):
        train_experts(manifest, tmp_path / "c", expert_config(), from_checkpoint=dense)
    monkeypatch.setattr(loop._Run, "one_step", one_step)
    train_experts(manifest, tmp_path / "c", expert_config(), from_checkpoint=dense, resume=True)
    found = load_checkpoint(tmp_path / "c")[0].state_dict()
    for name, tensor in load_checkpoint(trained.folder)[0].state_dict().items():
        assert torch.equal(tensor, found[name]), name


# How experts begin


def test_copies_of_the_dense_mlp_change_nothing(dense, train_photos):
    copies, _ = converted(dense, train_photos, expert_init="copy", hidden=192, expert_layers=(3,))
    network, _ = load_checkpoint(dense)
    x_B3HW = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(copies.eval()(x_B3HW), network(x_B3HW), atol=1e-5, rtol=1e-5)


def test_the_mean_start_answers_the_mean_of_the_dense_mlp_over_each_cluster(dense, train_photos):
    config = expert_config(expert_init="mean", expert_layers=(3,))
    network, facts = load_checkpoint(dense)
    with_experts, _ = convert(network, facts, train_photos, config)
    (mlp,) = mlps(with_experts)
    x_TD = collect_tokens(network, facts, train_photos, [LAYER], config)[LAYER]
    dense_mlp = network.encoder.get_submodule(f"{LAYER}.mlp")
    with torch.no_grad():
        y_TD = dense_mlp(x_TD.T[None, :, None])[0, :, 0].T
        chosen_T = mlp.route(x_TD[None])[0][0, :, 0]
    for e in chosen_T.unique().tolist():
        torch.testing.assert_close(mlp.b2_ED[e], y_TD[chosen_T == e].mean(0), atol=1e-5, rtol=1e-4)
    assert mlp.w2_EHD.abs().max() == 0


def test_a_random_start_adds_nothing(dense, train_photos):
    network, reports = converted(dense, train_photos, expert_init="random", expert_layers=(3,))
    assert all(mlp.w2_EHD.abs().max() == 0 and mlp.b2_ED.abs().max() == 0 for mlp in mlps(network))
    assert reports[0].r2 == {"random": 0.0}


def test_the_control_without_a_router_imitates_with_one_mlp(dense, train_photos):
    network, reports = converted(dense, train_photos, experts=0, shared=2)
    assert [name for name, _ in network.named_parameters() if ".gate." in name] == []
    assert all(report.r2["distill"] >= report.r2["mean"] - 1e-6 for report in reports)
    assert all(report.r2["mean"] == pytest.approx(0, abs=1e-5) for report in reports)
    assert reports[0].token_share == []
    assert reports[0].gate_agreement is None


def test_the_control_with_random_routing_is_fixed_and_looks_at_no_photo(dense, train_photos):
    network, reports = converted(dense, train_photos, routing="random")
    again, _ = converted(dense, train_photos, routing="random", tokens_per_photo=3)
    gates = {n: p for n, p in network.named_parameters() if ".gate." in n}
    assert gates
    assert not any(p.requires_grad for p in gates.values())
    assert all(torch.equal(p, dict(again.named_parameters())[n]) for n, p in gates.items())
    assert all(report.inertia is None for report in reports)
    learner = Learner(network, expert_config(), teacher_size=0)
    moved = {
        id(p) for g in make_optimizer(learner, learner.config).param_groups for p in g["params"]
    }
    assert not moved & {id(p) for p in gates.values()}


def test_tokens_are_what_enters_the_mlp_and_no_photo_gives_more_than_its_share(dense, train_photos):
    network, facts = load_checkpoint(dense)
    config = expert_config(tokens_per_photo=3, photos_per_class_min=0)
    tokens = collect_tokens(network, facts, train_photos, [LAYER], config)[LAYER]
    assert tokens.shape == (12 * 3, 96)
    norm = network.encoder.get_submodule(f"{LAYER}.norm2")
    seen = []
    handle = norm.register_forward_hook(lambda _, __, out: seen.append(out.flatten(2)))
    collect_tokens(network, facts, train_photos, [LAYER], config)
    handle.remove()
    everything_TD = torch.cat(seen).transpose(1, 2).flatten(0, 1)
    exact = "donot_use_mm_for_euclid_dist"
    assert (torch.cdist(tokens, everything_TD, compute_mode=exact).amin(1) < 1e-4).all()


def test_rare_classes_are_shown_several_times(dense, train_photos):
    network, facts = load_checkpoint(dense)
    config = expert_config(tokens_per_photo=1, photos_per_class_min=10)
    # Four classes of three photos each: 40 photos are shown.
    assert len(collect_tokens(network, facts, train_photos, [LAYER], config)[LAYER]) == 40


# Rates


def test_experts_learn_at_their_own_rate(dense, train_photos):
    config = expert_config(shared=2, learning_rate=1e-3, head_learning_rate=2e-3)
    network, _ = convert(*load_checkpoint(dense), train_photos, config)
    learner = Learner(network, config, teacher_size=0)
    group_of = {
        id(p): group
        for group in make_optimizer(learner, config).param_groups
        for p in group["params"]
    }
    for name, p in learner.named_parameters():
        of_expert = any(part in name for part in ("_EHD", "_EH", "_ED", ".shared."))
        expected = 5e-3 if of_expert else 1e-3 if ".encoder." in name else 2e-3
        assert group_of[id(p)]["peak"] == expected, name
        if name.endswith(("b1_EH", "b2_ED", "bias")):
            assert group_of[id(p)]["weight_decay"] == 0, name
        if name.endswith(("w1_EHD", "gate.up")):
            assert group_of[id(p)]["weight_decay"] == config.weight_decay, name


# What is refused


def test_experts_are_not_made_of_experts(manifest, trained, tmp_path):
    with pytest.raises(
        CheckpointError, match=r"has experts already. Start from a dense checkpoint"
    ):
        train_experts(manifest, tmp_path, expert_config(), from_checkpoint=trained.folder)


def test_another_head_than_the_checkpoints_is_refused(manifest, dense, tmp_path):
    with pytest.raises(
        ConfigError, match=r"head is 'bottleneck' but .* has 'plain'; use --set head"
    ):
        train_experts(manifest, tmp_path, expert_config(head="bottleneck"), from_checkpoint=dense)


def test_copies_of_another_width_are_refused(dense, train_photos):
    with pytest.raises(ConfigError, match='expert_init "copy" needs experts as wide as the dense'):
        converted(dense, train_photos, expert_init="copy")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"routing": "nearest"}, "routing is 'nearest'; it must be one of clusters, random"),
        ({"expert_init": "zeros"}, "expert_init is 'zeros'; it must be one of random, mean"),
        ({"tokens_max": 0}, "tokens_max is 0; it must be above 0"),
        ({"distill_steps": -1}, "distill_steps is -1; it must be 0 or more"),
        ({"experts": 0}, "experts and shared are both 0"),
        ({"epochs": 0}, "epochs is 0; it must be above 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        expert_config(**changes)


@pytest.mark.parametrize("recipe", ["paper-experts", "small-experts"])
def test_the_shipped_recipes_can_be_read(recipe):
    config = ExpertConfig.read(recipe, ["expert_layers=[1, 7]"])
    assert config.expert_layers == (1, 7)
    assert config.name == recipe


def test_a_dense_recipe_is_not_one_of_experts():
    with pytest.raises(ConfigError, match=r"unknown; shipped are .*paper-experts, small-experts"):
        ExpertConfig.read("small-data")


def test_too_few_photos_for_so_many_experts_are_told_with_the_way_out(dense, train_photos):
    message = "12 training photos give .* tokens in layer 1, too few to begin 5000 experts there"
    with pytest.raises(ManifestError, match=message):
        converted(dense, train_photos, experts=5000)
