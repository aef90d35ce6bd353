"""The folder for Sparrow Engine: the same answers from floats with the channels first."""

import tomllib

import numpy as np
import onnxruntime as ort
import pytest
from click.testing import CliRunner
from fakes import SERENGETI, build_world

from homerange.cli import main
from homerange.data.images import Preprocessing
from homerange.errors import PackageError
from homerange.export.sparrow import export_sparrow
from homerange.specialize.sparrow import sparrow_manifest
from homerange.specialize.specialize import specialize
from homerange.world.place_package import read_package


@pytest.fixture
def package(tmp_path):
    return specialize(build_world(tmp_path / "world"), SERENGETI, tmp_path / "p.homerange").path


def test_floats_with_the_channels_first_give_the_logits_of_the_package(package, tmp_path):
    folder = tmp_path / "sparrow"
    ran = CliRunner().invoke(main, ["export", "sparrow", str(package), "-o", str(folder)])
    assert ran.exit_code == 0, ran.output
    place = read_package(package)
    px = place.preprocessing.input_px
    rgb_BHW3 = np.random.default_rng(0).integers(0, 256, (3, px, px, 3), dtype=np.uint8)
    (expected,) = ort.InferenceSession(place.model).run(None, {place.input_name: rgb_BHW3})
    runtime = ort.InferenceSession(folder / "model.onnx")
    (port,) = runtime.get_inputs()
    assert (port.type, port.shape[1:]) == ("tensor(float)", [3, px, px])
    floats_B3HW = rgb_BHW3.transpose(0, 3, 1, 2).astype(np.float32) + 0.3  # what a resize leaves
    (found,) = runtime.run(None, {port.name: floats_B3HW.clip(0, 255)})
    np.testing.assert_array_equal(found, expected)
    assert (folder / "labels.txt").read_text().splitlines() == list(place.labels)
    manifest = tomllib.loads((folder / "manifest.toml").read_text())
    assert manifest["preprocessing"]["layout"] == "nchw"  # all that the engine takes in ONNX


def test_the_manifest_says_how_the_package_fits_a_photo():
    crop = tomllib.loads(sparrow_manifest("a", Preprocessing(input_px=224)))["preprocessing"]
    assert (crop["method"], crop["resize_size"]) == ("resize_crop", [252, 252])  # 224 / 0.888
    squash = tomllib.loads(sparrow_manifest("a", Preprocessing(fit="squash")))["preprocessing"]
    assert squash["method"] == "resize"
    assert "resize_size" not in squash


def test_a_folder_that_holds_something_is_left_alone(package, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thing").touch()
    with pytest.raises(PackageError, match="not an empty folder"):
        export_sparrow(package, tmp_path / "full")
