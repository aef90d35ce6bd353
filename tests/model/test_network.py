"""The dense network: what the heads compute, dropout, and the first step from pixels."""

import pytest
import torch
from torch.nn import functional

from homerange.model.network import build_network, pixels_to_input


@pytest.fixture
def photos_B3HW():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_the_plain_head_is_one_linear_layer_on_the_pooled_features(photos_B3HW):
    network = build_network(classes=5).eval()
    with torch.no_grad():
        pooled_BD = network.encoder(photos_B3HW)
        rows = network.head.classes
        expected_BC = pooled_BD @ rows.weight.T + rows.bias
        torch.testing.assert_close(network(photos_B3HW), expected_BC)
        torch.testing.assert_close(network.features(photos_B3HW), pooled_BD)


def test_the_bottleneck_goes_to_1024_and_back_to_256_with_silu_after_each(photos_B3HW):
    network = build_network(classes=5, head="bottleneck").eval()
    tensors = dict(network.head.named_parameters())
    with torch.no_grad():
        x = network.encoder(photos_B3HW)
        for layer in ("neck.0", "neck.2"):
            x = x @ tensors[f"{layer}.weight"].T + tensors[f"{layer}.bias"]
            x = x * torch.sigmoid(x)
        torch.testing.assert_close(network.features(photos_B3HW), x)
        logits_BC = x @ tensors["classes.weight"].T + tensors["classes.bias"]
        torch.testing.assert_close(network(photos_B3HW), logits_BC)


def test_the_class_rows_have_the_class_first():
    assert build_network(classes=7).head.classes.weight.shape == (7, 256)


def test_dropout_works_in_training_only():
    network = build_network(classes=3, dropout=0.5)
    features_BD = torch.ones(1, 256)
    with torch.no_grad():
        network.train()
        assert not torch.equal(network.classify(features_BD), network.classify(features_BD))
        network.eval()
        full = functional.linear(
            features_BD, network.head.classes.weight, network.head.classes.bias
        )
        torch.testing.assert_close(network.classify(features_BD), full)


def test_an_encoder_has_features_but_no_logits(photos_B3HW):
    network = build_network(classes=0, head="none").eval()
    assert not [name for name in network.state_dict() if not name.startswith("encoder.")]
    with torch.no_grad():
        torch.testing.assert_close(network.features(photos_B3HW), network.encoder(photos_B3HW))
        with pytest.raises(ValueError, match="encoder without a class head; it has no logits"):
            network(photos_B3HW)


def test_pixels_become_channels_between_0_and_1():
    # One photo of 1 x 2 pixels, red then half-bright blue: 127 / 255 = 0.498...
    rgb_BHW3 = torch.tensor([[[[255, 0, 0], [0, 0, 127]]]], dtype=torch.uint8)
    x_B3HW = pixels_to_input(rgb_BHW3)
    assert x_B3HW.shape == (1, 3, 1, 2)
    assert x_B3HW.flatten().tolist() == pytest.approx([1, 0, 0, 0, 0, 127 / 255])
