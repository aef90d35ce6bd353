"""MobileNetV2: the size of the paper's table 2, and the normalisation that its text asks for."""

import pytest
import torch
from torchvision.models import mobilenet_v2
from torchvision.transforms.v2.functional import normalize

from homerange.baselines.mobilenet import MobileNetConfig, build_mobilenet
from homerange.errors import CheckpointError, ConfigError
from homerange.model import backbone


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_it_has_the_parameters_of_the_paper_and_of_torchvision():
    ours = parameters(build_mobilenet(5089, backbone="mobilenetv2_100"))
    assert ours == 2_223_872 + 1280 * 5089 + 5089  # the paper's "8.74"
    assert ours == parameters(mobilenet_v2(num_classes=5089))
    assert parameters(build_mobilenet(182, backbone="mobilenetv2_100")) == pytest.approx(
        2.457e6, abs=500
    )


def test_photos_are_normalised_by_the_mean_and_deviation_of_imagenet():
    network = build_mobilenet(3, backbone="mobilenetv2_035").eval()
    x_B3HW = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    known_B3HW = normalize(x_B3HW, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = network.head.classes(network.encoder.network(known_B3HW))
        torch.testing.assert_close(network(x_B3HW), expected)
        pooled_BD = network.pool(network.maps(x_B3HW))  # as the learner goes
        torch.testing.assert_close(network.classify(pooled_BD), expected)


def test_it_starts_from_a_file_of_weights_and_not_from_one_of_another_network(tmp_path):
    known = build_mobilenet(2, backbone="mobilenetv2_035").encoder.network.state_dict()
    torch.save(known, tmp_path / "w.pth")
    network = build_mobilenet(5, backbone="mobilenetv2_035", start=str(tmp_path / "w.pth"))
    found = network.encoder.network.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in known.items())
    with pytest.raises(CheckpointError, match="tensors are of another shape"):
        build_mobilenet(5, backbone="mobilenetv2_050", start=str(tmp_path / "w.pth"))


def test_weights_that_cannot_be_fetched_are_one_line(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(backbone.timm, "create_model", offline)
    with pytest.raises(CheckpointError, match=r"ImageNet weights of mobilenetv2_100 .*no route"):
        build_mobilenet(5, backbone="mobilenetv2_100", start="timm")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "mobilevitv2_050"}, "it must be one of mobilenetv2_035, "),
        ({"start": "shipped"}, 'the package ships no weights for it: start = "timm"'),
        ({"head": "bottleneck"}, "mobilenet has a plain head"),
        ({"teacher": "lite0"}, "a baseline learns from labels alone"),
    ],
)
def test_settings_of_another_network_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        MobileNetConfig(**changes)
