"""The checkpoint folder: what is written comes back, and what does not belong is refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from homerange.data.images import Preprocessing
from homerange.errors import CheckpointError
from homerange.model.checkpoint import (
    CheckpointConfig,
    load_checkpoint,
    read_config,
    save_weights,
)

CONFIG = CheckpointConfig(
    backbone="mobilevitv2_050",
    head="bottleneck",
    classes=("Panthera leo", "Equus quagga", "blank"),
    preprocessing=Preprocessing(input_px=96, fit="squash"),
    recipe={"epochs": 3, "name": "tiny", "learning_rate": 0.1},
    provenance={"start": "none", "photos": {"train": 5}},
)


@pytest.fixture
def folder(tmp_path):
    CONFIG.write(tmp_path)
    save_weights(CONFIG.network(), tmp_path)
    return tmp_path


def edit(folder, **changes):
    found = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(found))


def test_a_checkpoint_comes_back_as_it_was_written(tmp_path):
    network = CONFIG.network().eval()
    network.encoder.stem.bn.running_mean.fill_(0.25)
    CONFIG.write(tmp_path)
    save_weights(network, tmp_path)
    found, config = load_checkpoint(tmp_path)
    assert config == CONFIG
    x_B3HW = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(found(x_B3HW), network(x_B3HW))


def test_a_loaded_network_is_in_evaluation_mode(folder):
    network, _ = load_checkpoint(folder)
    assert not any(module.training for module in network.modules())


def test_new_weights_replace_the_old_and_leave_nothing_beside_them(folder):
    network = CONFIG.network()
    network.head.classes.bias.data.fill_(7)
    save_weights(network, folder)
    assert load_checkpoint(folder)[0].head.classes.bias.tolist() == [7, 7, 7]
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "weights.safetensors"]


def test_names_of_species_are_written_as_they_are(tmp_path):
    config = CheckpointConfig(
        backbone="mobilevitv2_050",
        head="plain",
        classes=("Felis silvestris", "Ñandú"),
        preprocessing=Preprocessing(),
    )
    config.write(tmp_path)
    assert "Ñandú" in (tmp_path / "config.json").read_text(encoding="utf-8")
    assert read_config(tmp_path) == config


def test_a_folder_without_a_config_is_no_checkpoint(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"not a checkpoint \(no config.json\). Make one with"
    ):
        read_config(tmp_path)


def test_a_config_of_something_else_is_refused(folder):
    edit(folder, format="another-tool")
    with pytest.raises(CheckpointError, match="not the config of a homerange checkpoint"):
        read_config(folder)
    (folder / "config.json").write_text("[1, 2]")
    with pytest.raises(CheckpointError, match="not the config of a homerange checkpoint"):
        read_config(folder)


def test_another_version_is_refused_with_both_numbers(folder):
    edit(folder, version=3)
    with pytest.raises(
        CheckpointError, match="checkpoint version 3, this homerange reads versions 1 to 2"
    ):
        read_config(folder)


def test_a_checkpoint_of_version_1_is_read_as_a_dense_one(folder):
    found = json.loads((folder / "config.json").read_text())
    del found["experts"]
    (folder / "config.json").write_text(json.dumps(found | {"version": 1}))
    assert read_config(folder).experts is None


def test_experts_that_are_not_understood_are_refused(folder):
    edit(folder, experts={"layers": [1]})
    with pytest.raises(CheckpointError, match=r"experts is .*; expected null or an object with"):
        read_config(folder)


def test_a_config_that_is_no_json_is_refused(folder):
    (folder / "config.json").write_text('{"format": ')
    with pytest.raises(CheckpointError, match=r"config.json: not JSON .*Copy the checkpoint again"):
        read_config(folder)


def test_a_config_with_a_key_too_many_or_too_few_is_refused(folder):
    edit(folder, colour="blue")
    with pytest.raises(CheckpointError, match=r"lacks \[\] and has unknown \['colour'\]"):
        read_config(folder)
    found = json.loads((folder / "config.json").read_text())
    del found["colour"], found["head"]
    (folder / "config.json").write_text(json.dumps(found))
    with pytest.raises(CheckpointError, match=r"lacks \['head'\] and has unknown \[\]"):
        read_config(folder)


def test_a_checkpoint_without_weights_is_not_finished(folder):
    (folder / "weights.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no weights.safetensors yet. Let the training"):
        load_checkpoint(folder)


def test_damaged_weights_are_refused(folder):
    data = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(
        CheckpointError, match=r"weights.safetensors: damaged .*Copy the checkpoint"
    ):
        load_checkpoint(folder)


@pytest.mark.parametrize("how", ["missing", "left over", "of another shape"])
def test_a_tensor_that_does_not_fit_is_named(folder, how):
    tensors = load_file(folder / "weights.safetensors")
    if how == "missing":
        del tensors["head.classes.bias"]
    if how == "left over":
        tensors["head.classes.bias.extra"] = torch.zeros(1)
    if how == "of another shape":
        tensors["head.classes.bias"] = torch.zeros(9)
    save_file(tensors, folder / "weights.safetensors")
    expected = "1 tensors do not belong to mobilevitv2_050 with a bottleneck head for 3 classes, "
    with pytest.raises(CheckpointError, match=f"{expected}first head.classes.bias"):
        load_checkpoint(folder)
