"""A world with experts, from a checkpoint to a place that keeps some of them."""

from typing import get_args

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from fakes import SERENGETI
from tiny_training import CLASSES, tiny_config, tiny_manifest
from tiny_world import expert_checkpoint

from homerange.cli import main
from homerange.data.manifest import Manifest
from homerange.errors import ConfigError
from homerange.model.checkpoint import CheckpointConfig, load_checkpoint, save_weights
from homerange.profile.expert_sums import expert_layers, expert_sums
from homerange.profile.fold import fold_batch_norm
from homerange.profile.mean_answers import fill_mean_answers
from homerange.profile.publish import publish
from homerange.specialize.choose import Choice, choose, use_of
from homerange.specialize.cut import cut_world
from homerange.specialize.specialize import specialize
from homerange.world.description import DropRule
from homerange.world.expert_tables import Drops, Routing
from homerange.world.place_package import read_package
from homerange.world.ranges import Ranges
from homerange.world.tables import Profile
from homerange.world.weights import read_header, read_tensor
from homerange.world.world import EXPERT_FILES, WORLD_FILES, open_world

SPEC = {"layers": (1, 5), "experts": 3, "hidden": 2}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    manifest = tiny_manifest(folder, train=4, val=8, test=8)
    checkpoint = folder / "checkpoint"
    expert_checkpoint(checkpoint, **SPEC)
    publish(checkpoint, manifest, folder / "world", exact=1)
    return open_world(folder / "world")


@pytest.fixture(scope="module")
def mean_world(world):
    """The same checkpoint by another drop rule and without exact drops, from the command line."""
    folder = world.path.parent
    files = [str(folder / name) for name in ("checkpoint", "manifest.parquet")]
    output = ["-o", str(folder / "mean"), "--drop-rule", "mean"]
    result = CliRunner().invoke(main, ["profile", *files, *output])
    assert result.exit_code == 0, result.output
    return open_world(folder / "mean")


@pytest.fixture(scope="module")
def mean_network(world):
    """Its network, whose experts know their mean answers."""
    folder = world.path.parent
    network, config = load_checkpoint(folder / "checkpoint")
    network = fold_batch_norm(network)
    fill_mean_answers(network, config, Manifest.read(folder / "manifest.parquet"))
    return network


def by_rule(network, kept, rule):
    """Drop, as the network simulates it, all experts but some."""
    for layer, mlp in expert_layers(network).items():
        dropped_E = torch.ones(mlp.experts, dtype=torch.bool)
        dropped_E[torch.from_numpy(kept[layer])] = False
        mlp.drop(dropped_E, rule)


def test_it_has_the_files_of_experts_and_names_their_layers(world):
    assert set(world.files) == {*WORLD_FILES, *EXPERT_FILES, Ranges.file}
    assert world.graph.drop_rule == "reroute"
    assert not [name for name in read_header(world.weights_path) if name.endswith("mean_ED")]
    assert world.description.architecture.expert_layers == (1, 5)
    assert [(layer.layer, layer.channels, layer.experts) for layer in world.graph.experts] == [
        (1, 64, 3),
        (5, 96, 3),
    ]


def test_every_token_of_the_judged_photos_is_counted_once(world):
    # 32 pixels: maps of 4 x 4 and 2 x 2 tokens; eight validation photos.
    used = use_of(world)
    assert {layer: int(tokens.sum()) for layer, tokens in used.tokens.items()} == {1: 128, 5: 32}
    assert int(used.edges[1].sum()) == 128  # each token of the finer map once


def test_drops_were_measured_on_one_photo_of_each_class(world):
    drops = Drops.read(world.path)
    whole = drops.layer == -1
    assert drops.photos[whole].sum() == len(CLASSES)
    assert len({(layer, e) for layer, e in zip(drops.layer, drops.expert, strict=True)}) == 1 + 6


@pytest.mark.parametrize("method", ["exact", "first-order", "reap", "random"])
def test_a_place_keeps_the_experts_that_were_chosen(world, method):
    kept = choose(world, np.array([0, 1]), Choice(method=method, number=3))
    assert sum(map(len, kept.values())) == 3
    model = cut_world(world, np.array([0, 1]), kept)
    photo = np.zeros((1, 32, 32, 3), np.uint8)
    logits = onnxruntime.InferenceSession(model).run(None, {"image": photo})[0]
    assert logits.shape == (1, 2)
    assert np.isfinite(logits).all()


def test_the_same_checkpoint_without_exact_drops_has_none(mean_world):
    assert Drops.file not in mean_world.files


def test_a_world_by_the_rule_mean_holds_the_mean_answers_of_its_experts(mean_world, mean_network):
    assert mean_world.graph.drop_rule == "mean"
    for layer in mean_world.graph.experts:
        expected_ED = expert_layers(mean_network)[layer.layer].mean_ED.numpy()
        assert np.abs(expected_ED).max() > 0.1
        found_ED = read_tensor(mean_world.weights_path, f"{layer.prefix}.mean_ED")
        np.testing.assert_allclose(found_ED, expected_ED, atol=1e-5)


def test_scores_are_those_of_the_rule(world, mean_world, mean_network):
    everything = {layer: np.arange(3) for layer in (1, 5)}
    by_rule(mean_network, everything, "mean")
    folder = world.path.parent
    _, config = load_checkpoint(folder / "checkpoint")
    judged = Manifest.read(folder / "manifest.parquet")
    judged = judged.where(np.isin(judged.strings("split"), ["val", "test"]))
    expected, _ = expert_sums(mean_network, config, judged)
    found, other = Routing.read(mean_world.path), Routing.read(world.path)
    np.testing.assert_allclose(found.loss_rise, expected.loss_rise, atol=1e-4)
    assert not np.allclose(found.loss_rise, other.loss_rise, atol=1e-2)
    assert found.tokens.tolist() == other.tokens.tolist()


def test_a_place_gets_the_rule_of_its_world(mean_world, mean_network, tmp_path):
    made = specialize(mean_world.path, SERENGETI, tmp_path / "p.homerange", experts="first-order:4")
    assert (made.experts.dropped, made.experts.drop_rule) == (4, "mean")
    package = read_package(made.path)
    assert package.place["experts"]["drop_rule"] == "mean"
    said = "Each patch of a photo whose expert is gone gets the mean answer of that expert (drop "
    assert f"{said}rule mean)." in made.card
    by_rule(mean_network, {int(n): np.array(k, int) for n, k in made.experts.kept.items()}, "mean")
    photos = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    with torch.no_grad():
        expected_BC = mean_network(torch.from_numpy(photos).permute(0, 3, 1, 2).float() / 255)
    found_BK = onnxruntime.InferenceSession(package.model).run(None, {"image": photos})[0]
    expected_BK = expected_BC[:, made.table.class_index_K].numpy()
    np.testing.assert_allclose(found_BK, expected_BK, atol=1e-4, rtol=1e-4)


def test_the_command_line_offers_every_rule():
    (option,) = [given for given in main.commands["profile"].params if given.name == "drop_rule"]
    assert tuple(option.type.choices) == get_args(DropRule)


def test_a_drop_rule_without_experts_to_drop_is_refused(tmp_path):
    config = CheckpointConfig(
        backbone="mobilevitv2_050",
        head="plain",
        classes=CLASSES,
        preprocessing=tiny_config().preprocessing,
    )
    config.write(tmp_path)
    save_weights(config.network(), tmp_path)
    with pytest.raises(ConfigError, match=r"drop rule zero: .* has no experts that could be dropp"):
        publish(tmp_path, tmp_path / "m.parquet", tmp_path / "world", drop_rule="zero")
    assert not (tmp_path / "world").exists()


def test_a_package_with_fewer_experts_shows_the_levers_apart(world, tmp_path):
    made = specialize(world.path, SERENGETI, tmp_path / "here.homerange", experts="first-order:3")
    whole = specialize(world.path, SERENGETI, tmp_path / "whole.homerange")
    figures = made.experts
    assert whole.experts is None
    assert (figures.dropped, sum(map(len, figures.kept.values()))) == (3, 3)
    head_only = made.figures.rows[2].size
    assert head_only == whole.figures.rows[2].size
    package = read_package(made.path)
    assert len(package.model) == figures.head_and_experts.bytes < head_only.bytes
    assert figures.experts_only.parameters < made.figures.rows[0].size.parameters
    # An expert of layer 1 has 2 x 64 x 2 + 2 + 64 = 322 parameters and 8 of the gate, one of
    # layer 5 has 482 and 8: three experts that leave save these.
    gone = {layer: 3 - len(kept) for layer, kept in figures.kept.items()}
    # One expert needs no gate at all: its own row and the lower half go too.
    channels = {"1": 64, "5": 96}
    gates = sum(8 * channels[n] + 8 for n, kept in figures.kept.items() if len(kept) == 1)
    saved = gone["1"] * 330 + gone["5"] * 490 + gates
    assert head_only.parameters - figures.head_and_experts.parameters == saved
    assert package.place["experts"]["choice"] == "first-order:3"
    assert package.place["experts"]["drop_rule"] == "reroute"
    said = "Each patch of a photo whose expert is gone goes to the best expert that is left (drop "
    assert f"{said}rule reroute)." in made.card
    assert "| experts dropped | 3 of 6 experts |" in made.card
    assert "this package: class rows cut, experts dropped" in made.card
    assert made.figures.rows[0].name == "world with experts"
    assert "dense world" not in made.card
    assert f"estimated: loss {figures.estimated_loss_rise:+.3f} a photo" in made.card


def test_the_estimate_is_the_rise_of_the_dropped_experts_for_each_validation_photo(world, tmp_path):
    made = specialize(world.path, SERENGETI, tmp_path / "p.homerange", experts="frequency:2")
    rise, photos = use_of(world, made.table.class_index_K).loss_rise, 0
    expected = sum(
        rise[int(layer)][e]
        for layer, kept in made.experts.kept.items()
        for e in range(3)
        if e not in kept
    )
    profile = Profile.read(world.path, "split = 'val'")
    photos = profile.photos[np.isin(profile.class_index, made.table.class_index_K)].sum()
    assert made.experts.estimated_loss_rise == pytest.approx(expected / photos)


def test_the_command_line_drops_experts_too(world, tmp_path):
    place = ["get", "--world", str(world.path), "--at", "-2.33,34.83"]
    output = ["-o", str(tmp_path / "here.homerange")]
    result = CliRunner().invoke(main, [*place, *output, "--experts", "threshold:50"])
    assert result.exit_code == 0, result.output
    assert "experts dropped" in result.output
    wrong = CliRunner().invoke(main, [*place, *output, "--experts", "most"])
    assert wrong.exit_code == 1
    assert "expected METHOD:AMOUNT" in wrong.output
