"""The location stage: what it leaves behind, what it learns from, what it refuses."""

import dataclasses
import shutil

import pytest
import torch
from safetensors.torch import load_file
from tiny_encoder import torchspatial_file
from tiny_ranges import tiny_range_config
from tiny_training import (
    CLASSES,
    manifest_of,
    tiny_config,
    tiny_location_config,
    tiny_manifest,
)
from tiny_world import expert_checkpoint

from homerange.data.manifest import Manifest
from homerange.errors import CheckpointError, ConfigError, ManifestError
from homerange.model.checkpoint import WEIGHTS, load_checkpoint, read_config
from homerange.model.network import build_network
from homerange.model.projections import PROJECTIONS
from homerange.train import loop
from homerange.train.contrast import LocationLoss
from homerange.train.dense import train_dense
from homerange.train.evaluate import evaluate
from homerange.train.learner import Learner
from homerange.train.location import train_location
from homerange.train.location_config import LocationConfig
from homerange.train.losses import Mix
from homerange.train.range import train_range
from homerange.train.stage import sha256_of
from homerange.train.state import STATE

CONFIG = tiny_location_config(input_px=32, location_weight=0.5)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return tiny_manifest(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("encoder") / "grid.pth.tar"
    torchspatial_file(path)
    return path


@pytest.fixture(scope="module")
def dense(manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dense") / "checkpoint"
    return train_dense(manifest, folder, tiny_config(epochs=1, input_px=32)).folder


@pytest.fixture(scope="module")
def located(manifest, dense, encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("located") / "checkpoint"
    how = {"from_checkpoint": dense, "encoder": encoder}
    return train_location(manifest, folder, CONFIG, **how).folder


def unlocated(path, folder, rows):
    """Copy a manifest without the coordinates of some rows of split train."""
    whole = Manifest.read(path)
    table = whole.table.to_pylist()
    for i in rows:
        assert table[i]["split"] == "train"
        table[i] |= {"latitude_deg": None, "longitude_deg": None}
    manifest_of(table, whole.root).write(folder / "unlocated.parquet")
    return folder / "unlocated.parquet"


# What it leaves behind


def shapes(folder):
    return {name: tensor.shape for name, tensor in load_file(folder / WEIGHTS).items()}


def test_nothing_of_places_is_left_in_the_checkpoint(located, dense, manifest):
    assert shapes(located) == shapes(dense)
    ours, theirs = read_config(located), read_config(dense)
    assert dataclasses.replace(ours, recipe={}, provenance={}) == dataclasses.replace(
        theirs, recipe={}, provenance={}
    )
    assert evaluate(located, manifest).overall.photos == 7
    state = torch.load(located / STATE, weights_only=True)["learner"]
    assert any(name.startswith("location.") for name in state)  # where --resume finds it


def test_the_projections_of_the_epoch_that_is_kept_lie_beside_its_weights(located, dense):
    # One epoch: what is kept is what training ended with.
    state = torch.load(located / STATE, weights_only=True)["learner"]
    kept = load_file(located / PROJECTIONS)
    assert {f"location.{name}" for name in kept} == {n for n in state if n.startswith("location.")}
    for name, tensor in kept.items():
        assert torch.equal(tensor, state[f"location.{name}"]), name
    assert len(kept) == 2 * (1 + 3)  # weight and bias of the norm and of three blocks
    assert not (dense / PROJECTIONS).exists()


def test_the_provenance_names_checkpoint_and_encoder(located, encoder):
    start = read_config(located).provenance["start"]
    assert start.startswith("checkpoint sha256 ")
    assert ", location encoder sha256 " in start
    assert read_config(located).recipe["location_weight"] == 0.5


def test_a_checkpoint_with_experts_keeps_them(manifest, encoder, tmp_path):
    facts, before = expert_checkpoint(tmp_path / "experts", CLASSES, experts=4, gate_rank=4)
    how = {"from_checkpoint": tmp_path / "experts", "encoder": encoder}
    trained = train_location(manifest, tmp_path / "located", CONFIG, **how)
    network, found = load_checkpoint(trained.folder)
    assert found.experts == facts.experts
    moved = [
        name
        for name, tensor in before.state_dict().items()
        if not torch.equal(tensor, network.state_dict()[name])
    ]
    assert {"w1_EHD", "w2_EHD"} <= {name.rpartition(".")[2] for name in moved}


def test_random_gates_of_the_control_stay_as_they_were_drawn(manifest, encoder, tmp_path):
    facts, before = expert_checkpoint(tmp_path / "experts", CLASSES, experts=4, gate_rank=4)
    dataclasses.replace(facts, recipe={"routing": "random"}).write(tmp_path / "experts")
    how = {"from_checkpoint": tmp_path / "experts", "encoder": encoder}
    trained = train_location(manifest, tmp_path / "located", CONFIG, **how)
    after = load_checkpoint(trained.folder)[0].state_dict()
    gates = {n: t for n, t in before.state_dict().items() if ".gate." in n}
    assert len(gates) == 12
    assert all(torch.equal(tensor, after[name]) for name, tensor in gates.items())


def test_the_encoder_of_a_range_model_can_supervise(manifest, dense, tmp_path):
    ranges = train_range(manifest, tmp_path / "ranges", tiny_range_config(epochs=1)).folder
    how = {"from_checkpoint": dense, "encoder": ranges}
    trained = train_location(manifest, tmp_path / "located", CONFIG, **how)
    digest = sha256_of(ranges / WEIGHTS)
    assert read_config(trained.folder).provenance["start"].endswith(f"encoder sha256 {digest}")
    assert shapes(trained.folder) == shapes(dense)


# What it learns from


def test_other_places_make_another_network(manifest, dense, located, tmp_path):
    torchspatial_file(tmp_path / "other.pth.tar", seed=4)
    how = {"from_checkpoint": dense, "encoder": tmp_path / "other.pth.tar"}
    train_location(manifest, tmp_path / "elsewhere", CONFIG, **how)
    name = "encoder.stages.2.1.transformer.0.attn.qkv_proj.weight"
    ours, theirs = (load_file(f / WEIGHTS)[name] for f in (located, tmp_path / "elsewhere"))
    assert not torch.allclose(ours, theirs, atol=1e-5)


def test_every_step_knows_where_its_photos_were_taken(
    manifest, dense, encoder, tmp_path, monkeypatch
):
    path = unlocated(manifest, tmp_path, [0, 5, 6])
    latlon_N2 = torch.from_numpy(Manifest.read(path).split("train").latlon_N2()).float()
    batches, looked = [], []
    one_step, forward = loop._Run.one_step, LocationLoss.forward

    def note_batch(self, batch, steps):
        batches.append(batch)
        return one_step(self, batch, steps)

    def note_places(self, tokens, latlon_B2, class_B):
        looked.append((latlon_B2, class_B))
        return forward(self, tokens, latlon_B2, class_B)

    monkeypatch.setattr(loop._Run, "one_step", note_batch)
    monkeypatch.setattr(LocationLoss, "forward", note_places)
    config = dataclasses.replace(CONFIG, mixup=0.0)
    how = {"from_checkpoint": dense, "encoder": encoder}
    train_location(path, tmp_path / "located", config, **how)
    assert len(batches) == len(looked) == 3  # validation has no places
    for batch, (latlon_B2, class_B) in zip(batches, looked, strict=True):
        torch.testing.assert_close(latlon_B2, latlon_N2[batch.photo_B], equal_nan=True)
        assert torch.equal(class_B, batch.class_B)
    assert sum(latlon_B2.isnan().any(1).sum().item() for latlon_B2, _ in looked) == 3


def test_a_blend_stands_where_its_larger_part_was_taken():
    given = []
    learner = Learner(build_network(classes=3), CONFIG, teacher_size=0, location=Noting(given))
    x_B3HW = torch.rand(2, 3, 32, 32)
    latlon_B2 = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    mix = Mix(torch.tensor([1, 0]), 0.4)
    learner.train()(x_B3HW, torch.tensor([0, 1]), None, mix, latlon_B2=latlon_B2)
    ((tokens, found_B2, class_B),) = given
    assert found_B2.tolist() == [[3, 4], [1, 2]]
    assert class_B.tolist() == [1, 0]
    # What enters the MLP is the normed output of the attention, of the blended photos.
    layer = learner.network.encoder.get_submodule("stages.2.1.transformer.0")
    seen = []
    handle = layer.norm2.register_forward_hook(lambda _, __, out: seen.append(out))
    learner.network.maps(mix.blend(x_B3HW))
    handle.remove()
    torch.testing.assert_close(tokens, seen[0].flatten(2).transpose(1, 2))


class Noting(torch.nn.Module):
    """A location loss that only remembers what it was given."""

    layers = ("stages.2.1.transformer.0",)

    def __init__(self, given):
        super().__init__()
        self.given = given

    def forward(self, tokens, latlon_B2, class_B):
        self.given.append((tokens[self.layers[0]], latlon_B2, class_B))
        return torch.zeros(())


def test_a_stopped_training_goes_on_to_the_same_weights(
    manifest, dense, encoder, located, tmp_path, monkeypatch
):
    class Stop(Exception):
        pass

    one_step, steps = loop._Run.one_step, []

    def stop_at_the_third(self, *arguments):
        if len(steps) == 2:
            raise Stop
        steps.append(1)
        return one_step(self, *arguments)

    how = {"from_checkpoint": dense, "encoder": encoder}
    with monkeypatch.context() as patch:
        patch.setattr(loop, "SAVE_EVERY_S", -1.0)
        patch.setattr(loop._Run, "one_step", stop_at_the_third)
        with pytest.raises(Stop):
            train_location(manifest, tmp_path / "c", CONFIG, **how)
    train_location(manifest, tmp_path / "c", CONFIG, **how, resume=True)
    ours, theirs = load_file(tmp_path / "c" / WEIGHTS), load_file(located / WEIGHTS)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


# What is refused


def test_another_start_is_not_resumed(manifest, dense, encoder, located, tmp_path):
    shutil.copytree(located, tmp_path / "copy")
    other = tmp_path / "other.pth.tar"
    torchspatial_file(other, seed=4)
    how = {"from_checkpoint": dense, "encoder": other, "resume": True}
    with pytest.raises(
        ConfigError, match=r"cannot resume: .* started from checkpoint sha256 .*Give"
    ):
        train_location(manifest, tmp_path / "copy", CONFIG, **how)


def test_without_any_place_nothing_is_written(manifest, dense, encoder, tmp_path):
    path = unlocated(manifest, tmp_path, range(12))
    how = {"from_checkpoint": dense, "encoder": encoder}
    expected = "none of 12 photos of split train has coordinates, so places cannot supervise"
    with pytest.raises(ManifestError, match=expected):
        train_location(path, tmp_path / "located", CONFIG, **how)
    assert not (tmp_path / "located").exists()


def test_a_checkpoint_of_another_kind_is_refused(manifest, dense, encoder, tmp_path):
    how = {"from_checkpoint": dense, "encoder": encoder}
    config = dataclasses.replace(CONFIG, head="bottleneck")
    with pytest.raises(ConfigError, match=r"head is 'bottleneck' but .* has 'plain'; use --set"):
        train_location(manifest, tmp_path / "out", config, **how)
    config = dataclasses.replace(CONFIG, location_layers=(3, 9))
    with pytest.raises(
        ConfigError, match=r"location_layers is \[3, 9\]; expected different layers"
    ):
        train_location(manifest, tmp_path / "out", config, **how)
    with pytest.raises(CheckpointError, match="no such location encoder"):
        train_location(manifest, tmp_path / "out", CONFIG, **how | {"encoder": tmp_path / "no"})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("location_layers=last-three", "location_layers is 'last-three'; it must be one of all, l"),
        ("location_layers=3", "location_layers is 3; expected str or tuple"),
        ("tau=0", r"tau is 0\.0; it must be above 0"),
        ("pooling=max", "pooling is 'max'; it must be one of mean, tokens"),
        ("contrast=none", "contrast is 'none'; it must be one of all, cross"),
        ("location_dropout=1", r"location_dropout is 1\.0; it must be at least 0 and below 1"),
        ("compile=true", "compile is true; the location stage reads between the layers"),
        ("location_layer=all", "did you mean location_layers"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        LocationConfig.read("small-location", [text])


@pytest.mark.parametrize("recipe", ["paper-location", "small-location"])
def test_shipped_recipes_load_and_take_layers_as_a_word_or_a_list(recipe):
    assert LocationConfig.read(recipe).name == recipe
    assert LocationConfig.read(recipe).supervised(9) == tuple(range(9))
    two = LocationConfig.read(recipe, ["location_layers=last-two"])
    assert two.supervised(9) == (2, 3, 4, 5, 6, 7, 8)
    assert LocationConfig.read(recipe, ["location_layers=[1, 7]"]).supervised(9) == (1, 7)


def test_the_paper_recipe_holds_what_section_3_2_states():
    found = LocationConfig.read("paper-location")
    assert (found.location_weight, found.location_dropout, found.head) == (0.01, 0.3, "bottleneck")
    assert (found.tau, found.learning_rate, found.batch_size) == (0.1, 1e-4, 256)
