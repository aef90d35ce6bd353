"""The animal detector: YOLOX-tiny in torch, and the ONNX file that predict takes."""

import io
import math
import zipfile

import numpy as np
import onnxruntime as ort
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from homerange.cli import main
from homerange.errors import CheckpointError
from homerange.export.detector import MEMBER, export_detector
from homerange.export.yolox import STRIDES, Head, YoloxTiny
from homerange.run.detector import Detector
from homerange.run.sources import Photo

torch.set_num_threads(1)
PX = 64
CANDIDATES = 8 * 8 + 4 * 4 + 2 * 2  # positions of the three scales in 64 px


@pytest.fixture(scope="module")
def network():
    """A detector that was not trained, but whose batch norms are not the identity."""
    torch.manual_seed(3)
    network = YoloxTiny()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.fixture(scope="module")
def wheel(network, tmp_path_factory):
    """The weights, where the wheel of zamba has them."""
    path = tmp_path_factory.mktemp("wheel") / "zamba-2.7.2-py3-none-any.whl"
    weights = io.BytesIO()
    torch.save({"model": network.state_dict(), "start_epoch": 1}, weights)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(MEMBER, weights.getvalue())
    return path


@pytest.fixture(scope="module")
def exported(wheel):
    output = wheel.parent / "detector.onnx"
    assert export_detector(wheel, output, input_px=PX) == output.stat().st_size
    return output


def test_the_network_has_the_parameters_of_yolox_tiny_with_one_class(network):
    # Counted in the weights of zamba 2.7.2.
    assert len(network.state_dict()) == 462
    assert sum(tensor.numel() for tensor in network.state_dict().values()) == 5_050_268


def test_onnx_gives_the_boxes_of_torch_for_red_green_and_blue(network, exported):
    rgb_BHW3 = np.random.default_rng(0).integers(0, 256, (3, PX, PX, 3), dtype=np.uint8)
    (found_BA5,) = ort.InferenceSession(exported).run(None, {"image": rgb_BHW3})
    blue_first_B3HW = torch.from_numpy(rgb_BHW3[..., ::-1].copy()).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected_BA5 = network(blue_first_B3HW).numpy()
    assert found_BA5.shape == (3, CANDIDATES, 5)
    np.testing.assert_allclose(found_BA5, expected_BA5, rtol=1e-3, atol=1e-3)


def test_boxes_are_decoded_from_their_position_and_the_logarithm_of_their_size():
    head = Head().eval()
    for scale in range(3):
        for branch in (head.reg_preds, head.obj_preds, head.cls_preds):
            torch.nn.init.zeros_(branch[scale].weight)
        head.reg_preds[scale].bias.data = torch.tensor([0.5, 0.25, 0.0, math.log(2)])
        head.obj_preds[scale].bias.data.fill_(0.0)
        head.cls_preds[scale].bias.data.fill_(math.log(3))
    maps = [torch.zeros(1, width, 2, 3) for width in (96, 192, 384)]
    with torch.no_grad():
        boxes_A5 = head(maps)[0].numpy()
    assert boxes_A5.shape == (18, 5)
    # Scale of 16 px, row 1, column 2: the centre is (2.5, 1.25) x 16 = (40, 20), the size 1 x 2
    # strides = 16 x 32; the confidence is 1/2 x 3/4.
    np.testing.assert_allclose(boxes_A5[6 + 5], [32, 4, 48, 36, 0.375], rtol=1e-5)
    assert STRIDES == (8, 16, 32)


def test_predict_takes_what_export_writes(exported, tmp_path):
    Image.new("RGB", (50, 30), (200, 40, 40)).save(tmp_path / "a.png")
    boxes = Detector.open(exported).find(Photo("a.png", tmp_path / "a.png"))
    assert all(0 <= box.confidence <= 1 for box in boxes)


def test_the_verb_takes_the_weights_themselves_too(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as file:
        (tmp_path / "w.pth").write_bytes(file.read(MEMBER))
    output = tmp_path / "d.onnx"
    arguments = ["export", "detector", str(tmp_path / "w.pth"), "-o", str(output), "--px", "32"]
    ran = CliRunner().invoke(main, arguments)
    assert (ran.exit_code, ran.output) == (0, f"{output.stat().st_size / 1e6:.1f} MB: {output}\n")


def test_what_holds_no_such_weights_is_refused_with_what_to_fetch(tmp_path, network):
    output = tmp_path / "d.onnx"
    torch.save({"model": {"head.weight": torch.zeros(1)}}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("hello")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as file:
        file.writestr("other.py", "")
    for name in ("other.pth", "text.pth", "other.whl", "none.pth"):
        with pytest.raises(CheckpointError, match="pip download zamba --no-deps"):
            export_detector(tmp_path / name, output)
    with pytest.raises(CheckpointError, match="100 px; expected a multiple of 32"):
        export_detector(tmp_path / "other.whl", output, input_px=100)
    assert not output.exists()
