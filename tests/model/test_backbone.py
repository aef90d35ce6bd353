"""Where the encoder's first weights come from, and what is said when they do not fit."""

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from homerange.errors import CheckpointError, ConfigError
from homerange.model import backbone as backbone_module
from homerange.model.backbone import build_encoder, load_encoder, save_start
from homerange.model.network import build_network

CARD = {"licence": "Apache-2.0", "made from": "drawn at random"}


@pytest.fixture(scope="module")
def encoder():
    """An encoder whose every number, batch norm's too, is its own."""
    encoder = build_encoder()
    generator = torch.Generator().manual_seed(3)
    for tensor in encoder.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator))
        else:
            tensor.fill_(12_345)
    return encoder


def same(found, expected, **tolerance):
    assert found.state_dict().keys() == expected.state_dict().keys()
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], tensor, msg=name, **tolerance)


def test_random_weights_follow_the_generator_and_batch_norm_starts_at_one():
    torch.manual_seed(5)
    first = build_encoder(start="none")
    torch.manual_seed(5)
    same(build_encoder(start="none"), first, rtol=0, atol=0)
    assert first.stem.bn.running_var.eq(1).all()


def test_shipped_start_weights_come_back_in_half_precision(encoder, tmp_path, monkeypatch):
    path = tmp_path / "start" / "mobilevitv2_050.safetensors"
    save_start(encoder, path, card=CARD)
    monkeypatch.setattr(backbone_module, "SHIPPED_START", path)
    found = build_encoder(start="shipped")
    same(found, encoder, rtol=2**-11, atol=0)  # half precision keeps 11 binary digits
    assert all(p.dtype == torch.float32 for p in found.parameters())
    assert found.stem.bn.num_batches_tracked == 12_345  # a counter, not rounded


def test_start_weights_say_how_they_were_made_and_take_half_the_bytes(encoder, tmp_path):
    path = tmp_path / "mobilevitv2_050.safetensors"
    save_start(encoder, path, card=CARD)
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == CARD
    assert path.stat().st_size < 2.4e6  # 1.1 million numbers of two bytes, and the header


def test_the_weights_that_the_package_ships_load_and_say_how_they_were_made():
    torch.manual_seed(5)
    fresh = build_encoder(start="none")
    torch.manual_seed(5)
    found = build_encoder(start="shipped")
    for name, p in found.named_parameters():
        assert p.isfinite().all(), name
        assert not torch.equal(p, dict(fresh.named_parameters())[name]), name
    with safe_open(backbone_module.SHIPPED_START, framework="pt") as file:
        assert file.metadata()


def test_shipped_weights_are_of_one_width_only():
    with pytest.raises(CheckpointError, match="ships start weights for mobilevitv2_050 only, not"):
        build_encoder("mobilevitv2_075", start="shipped")


def test_missing_shipped_weights_are_named(tmp_path, monkeypatch):
    absent = tmp_path / "mobilevitv2_050.safetensors"
    monkeypatch.setattr(backbone_module, "SHIPPED_START", absent)
    with pytest.raises(CheckpointError, match=r"mobilevitv2_050.safetensors: no such weights"):
        build_encoder(start="shipped")


def test_our_own_checkpoint_loads_without_its_class_head(encoder, tmp_path):
    network = build_network(classes=4, head="bottleneck")
    network.encoder.load_state_dict(encoder.state_dict())
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    same(build_encoder(start=str(tmp_path / "weights.safetensors")), encoder, rtol=0, atol=0)


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_format_of_timm_loads_without_its_imagenet_head(tmp_path, wrapped):
    classifier = timm.create_model("mobilevitv2_050", pretrained=False, num_classes=1000)
    state = classifier.state_dict()
    assert "head.fc.weight" in state
    torch.save({"state_dict": state, "epoch": 3} if wrapped else state, tmp_path / "timm.pth")
    found = build_encoder(start=str(tmp_path / "timm.pth"))
    for name, tensor in found.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_an_unknown_backbone_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ConfigError, match="'mobilevitv2_060' is unknown; choose one of mobilevit"):
        build_encoder("mobilevitv2_060")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere.pth: no such weights file. Expected .safe"):
        build_encoder(start=str(tmp_path / "nowhere.pth"))


def change(state, how):
    if how == "missing":
        del state["stem.conv.weight"]
    if how == "unused":
        state["stem.extra"] = torch.zeros(1)
    if how == "of another shape":
        state["stem.conv.weight"] = torch.zeros(16, 3, 5, 5)
    return state


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ("missing", "stem.conv.weight"),
        ("unused", "stem.extra"),
        ("of another shape", "stem.conv.weight"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named_and_nothing_is_loaded(encoder, tmp_path, how, name):
    save_file(change(dict(encoder.state_dict()), how), tmp_path / "other.safetensors")
    target = build_encoder()
    before = {key: tensor.clone() for key, tensor in target.state_dict().items()}
    with pytest.raises(CheckpointError, match=f"1 tensors are {how}, first {name}"):
        load_encoder(target, tmp_path / "other.safetensors")
    assert all(torch.equal(target.state_dict()[key], before[key]) for key in before)


def test_weights_of_another_width_are_refused(tmp_path):
    save_file(build_encoder("mobilevitv2_075").state_dict(), tmp_path / "wide.safetensors")
    with pytest.raises(CheckpointError, match="of another network; check the backbone"):
        build_encoder(start=str(tmp_path / "wide.safetensors"))


@pytest.mark.parametrize("name", ["broken.safetensors", "broken.pth"])
def test_a_damaged_weights_file_is_an_error_of_ours(tmp_path, name):
    (tmp_path / name).write_bytes(b"these are no weights at all")
    with pytest.raises(CheckpointError, match=f"{name}: cannot be read as weights"):
        build_encoder(start=str(tmp_path / name))


@pytest.mark.parametrize("content", [[1, 2], {"model": {}, "epoch": 3}])
def test_a_file_that_holds_something_else_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    kind = type(content).__name__
    with pytest.raises(CheckpointError, match=f"other.pth: found {kind}, expected a dict of tens"):
        build_encoder(start=str(tmp_path / "other.pth"))


def test_without_a_network_the_hub_is_an_error_with_three_ways_out(monkeypatch):
    asked = []

    def unreachable(name, *, pretrained, num_classes):
        asked.append((name, pretrained, num_classes))
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", unreachable)
    expected = (
        'ImageNet weights of mobilevitv2_050 .* no route to host. Connect.* start = "shipped"'
    )
    with pytest.raises(CheckpointError, match=expected):
        build_encoder(start="timm")
    assert asked == [("mobilevitv2_050", True, 0)]
