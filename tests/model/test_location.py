"""The location encoder, judged by plain formulas, and the files of TorchSpatial."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_encoder import SMALL, torchspatial_file
from torch.nn import functional

from homerange.errors import CheckpointError, ConfigError, CoordinateError
from homerange.geo.space2vec import Space2Vec
from homerange.model.location import LocationEncoder, LocationSpec
from homerange.model.torchspatial import load_torchspatial

REAL = Path(__file__).parents[3] / "shared/weights/space2vec_grid_yfcc.pth.tar"
PLACES = np.array([[0.39, 36.87], [-16.8, 179.98], [90.0, 0.0], [41.88, -87.63]])


def by_formula(state, latlon_N2, *, scales):
    """Two layers as section 3.2 of the paper and TorchSpatial's code have them."""
    feature_NF = torch.from_numpy(Space2Vec(scales=scales).encode(latlon_N2))
    x_NH = feature_NF @ state["layers.0.linear.weight"].T + state["layers.0.linear.bias"]
    x_NH = torch.where(x_NH > 0, x_NH, 0.2 * x_NH)
    centred_NH = x_NH - x_NH.mean(1, keepdim=True)
    x_NH = centred_NH / (centred_NH.square().mean(1, keepdim=True) + 1e-5).sqrt()
    x_NH = x_NH * state["layers.0.layernorm.weight"] + state["layers.0.layernorm.bias"]
    y_ND = x_NH @ state["layers.1.linear.weight"].T + state["layers.1.linear.bias"]
    return torch.where(y_ND > 0, y_ND, 0.2 * y_ND)


def test_the_encoder_is_its_formula():
    torch.manual_seed(0)
    encoder = LocationEncoder(SMALL)
    state = {name.removeprefix("ffn."): t for name, t in encoder.state_dict().items()}
    expected = by_formula(state, PLACES, scales=4)
    torch.testing.assert_close(encoder.embed(PLACES), expected)
    assert expected.std() > 0.1


def test_hidden_layers_of_equal_width_are_skipped_around():
    torch.manual_seed(0)
    spec = LocationSpec(space2vec=Space2Vec(scales=3), hidden_layers=2, hidden=5, features=5)
    first, second, last = LocationEncoder(spec).eval().ffn.layers
    x_BF = torch.randn(2, 12)
    hidden_BH = first(x_BF)
    answer_BH = functional.leaky_relu(second.linear(hidden_BH), 0.2)
    torch.testing.assert_close(second(hidden_BH), second.layernorm(answer_BH + hidden_BH))
    # The last layer is as wide as what goes in, and has neither skip nor norm.
    torch.testing.assert_close(last(hidden_BH), functional.leaky_relu(last.linear(hidden_BH), 0.2))


def test_a_frozen_encoder_drops_nothing_and_training_goes_on_as_before():
    encoder = LocationEncoder(SMALL).train()
    assert torch.equal(encoder.embed(PLACES), encoder.embed(PLACES))
    assert encoder.training
    assert not torch.equal(encoder(torch.ones(1, 16)), encoder(torch.ones(1, 16)))


def test_no_place_gives_no_row_and_a_bad_one_is_refused():
    assert LocationEncoder(SMALL).embed(np.empty((0, 2))).shape == (0, 6)
    with pytest.raises(CoordinateError, match="row 0: latitude 95"):
        LocationEncoder(SMALL).embed(np.array([[95.0, 0.0]]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hidden": 0}, "hidden is 0; expected 1 or more"),
        ({"activation": "swish"}, "activation is 'swish'; it must be one of leakyrelu, relu"),
        ({"dropout": 1.0}, "dropout is 1.0; it must be at least 0 and below 1"),
    ],
)
def test_a_shape_that_cannot_be_built_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        LocationSpec(**wrong)


# Files of TorchSpatial


def test_a_file_of_torchspatial_gives_its_encoder(tmp_path):
    expected = torchspatial_file(tmp_path / "a.pth.tar")
    found = load_torchspatial(tmp_path / "a.pth.tar")
    assert torch.equal(found.embed(PLACES), expected.embed(PLACES))
    assert not found.training


@pytest.mark.parametrize("how", [{"wrapped": True}, {"prefix": "module."}])
def test_so_does_one_that_was_wrapped(tmp_path, how):
    expected = torchspatial_file(tmp_path / "a.pth.tar", **how)
    found = load_torchspatial(tmp_path / "a.pth.tar")
    assert torch.equal(found.embed(PLACES), expected.embed(PLACES))


def test_an_encoder_that_is_only_inside_the_wrapping_is_found(tmp_path):
    expected = torchspatial_file(tmp_path / "a.pth.tar", wrapped=True)
    loaded = torch.load(tmp_path / "a.pth.tar", weights_only=True)
    state = loaded["state_dict"]
    loaded["state_dict"] = {n: t for n, t in state.items() if not n.startswith("spa_enc.")}
    torch.save(loaded, tmp_path / "b.pth.tar")
    found = load_torchspatial(tmp_path / "b.pth.tar")
    assert torch.equal(found.embed(PLACES), expected.embed(PLACES))


def test_theory_has_six_features_a_scale(tmp_path):
    spec = LocationSpec(space2vec=Space2Vec(encoding="theory", scales=4), hidden=12, features=6)
    torchspatial_file(tmp_path / "a.pth.tar", spec, spa_enc_type="Space2Vec-theory")
    assert load_torchspatial(tmp_path / "a.pth.tar").spec == spec


def test_radii_that_params_lack_are_read_from_the_name(tmp_path):
    name = "model_inat_2017_Space2Vec-grid_inception_v3_0.0200_4_0.0100000_180.000_1_12_leakyrelu"
    path = tmp_path / f"{name}.pth.tar"
    torchspatial_file(path, min_radius=None, max_radius=None)
    space2vec = load_torchspatial(path).spec.space2vec
    assert (space2vec.min_radius_deg, space2vec.max_radius_deg) == (0.01, 180.0)
    other = path.rename(tmp_path / "renamed.pth.tar")
    with pytest.raises(CheckpointError, match="neither params nor the name of the file give min_"):
        load_torchspatial(other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spa_enc_type": "Sphere2Vec-sphereC"}, "encoder is Sphere2Vec-sphereC; expected one"),
        ({"freq_init": "random"}, "freq_init is 'random'; .* drawn frequencies are not stored"),
        ({"hidden_dim": None, "dropout": None}, "params lack hidden_dim, dropout. Get the file"),
        ({"spa_f_act": "gelu"}, "params of the training: activation is 'gelu'"),
        ({"frequency_num": 8}, r"1 tensors .* another shape .* ffn.layers.0.linear.weight"),
        ({"num_hidden_layer": 2}, r"tensors .* are missing, left over .* ffn.layers.1"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, changes, message):
    torchspatial_file(tmp_path / "a.pth.tar", **changes)
    with pytest.raises(CheckpointError, match=message):
        load_torchspatial(tmp_path / "a.pth.tar")


def test_a_tensor_that_nobody_knows_is_refused_by_name(tmp_path):
    torchspatial_file(tmp_path / "a.pth.tar")
    loaded = torch.load(tmp_path / "a.pth.tar", weights_only=True)
    loaded["state_dict"]["time_enc.weight"] = torch.ones(1)
    torch.save(loaded, tmp_path / "a.pth.tar")
    with pytest.raises(CheckpointError, match=r"of no part .*, first time_enc\.weight"):
        load_torchspatial(tmp_path / "a.pth.tar")


def test_what_is_no_such_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="absent: no such location encoder"):
        load_torchspatial(tmp_path / "absent")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(CheckpointError, match="text: cannot be read as tensors and plain values"):
        load_torchspatial(tmp_path / "text")
    torch.save({"weights": torch.ones(1)}, tmp_path / "other")
    with pytest.raises(CheckpointError, match="other: lacks 'state_dict' or 'params'"):
        load_torchspatial(tmp_path / "other")


def test_code_inside_a_file_is_not_run(tmp_path):
    class Bad:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    torch.save({"state_dict": {}, "params": {"a": Bad()}}, tmp_path / "bad")
    with pytest.raises(CheckpointError, match="cannot be read as tensors and plain values"):
        load_torchspatial(tmp_path / "bad")
    assert not (tmp_path / "written").exists()


@pytest.mark.skipif(not REAL.is_file(), reason="a file of TorchSpatial is not at hand")
def test_a_real_file_of_torchspatial_gives_what_its_tensors_say():
    found = load_torchspatial(REAL)
    assert found.spec == LocationSpec(space2vec=Space2Vec(scales=64), hidden=512)
    state = torch.load(REAL, map_location="cpu", weights_only=True)["state_dict"]
    plain = {name.removeprefix("spa_enc.ffn."): tensor for name, tensor in state.items()}
    torch.testing.assert_close(found.embed(PLACES), by_formula(plain, PLACES, scales=64))
