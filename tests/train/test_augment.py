"""Augmentation: fixed by its numbers alone, and as strong as the recipe says."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_training import tiny_config

from homerange.train.augment import appearance, geometry, seeded

WIDTH, HEIGHT = 400, 100


@pytest.fixture(scope="module")
def map_photo():
    """A wide photo whose colours say where a pixel was: red grows to the right, green downwards."""
    x_W = np.linspace(0, 255, WIDTH).round()
    y_H = np.linspace(0, 255, HEIGHT).round()
    rgb_HW3 = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb_HW3[..., 0], rgb_HW3[..., 1] = x_W, y_H[:, None]
    return Image.fromarray(rgb_HW3)


@pytest.fixture(scope="module")
def grey_photo():
    return Image.new("RGB", (64, 64), (128, 128, 128))


def seen(photo):
    """The part of the width and of the height that a crop of ``map_photo`` shows, and its start."""
    rgb_HW3 = np.asarray(photo).astype(float)
    left, right = sorted([rgb_HW3[:, 0, 0].mean(), rgb_HW3[:, -1, 0].mean()])
    top, bottom = rgb_HW3[0, :, 1].mean(), rgb_HW3[-1, :, 1].mean()
    return (right - left) / 255, (bottom - top) / 255


def crop(photo, config, *numbers):
    with seeded(*numbers):
        return geometry(photo, px=32, config=config)


def test_the_same_numbers_give_the_same_picture(map_photo):
    config = tiny_config(randaugment=9, erase=1.0)
    pictures = []
    for numbers in ((1, 2, 3), (1, 2, 3), (1, 2, 4)):
        with seeded(*numbers):
            pictures.append(appearance(geometry(map_photo, px=32, config=config), config))
    assert torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[0], pictures[2])


def test_the_global_generator_is_as_it_was(map_photo):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    crop(map_photo, tiny_config(), 5)
    with pytest.raises(ZeroDivisionError), seeded(6):
        torch.rand(1 // 0)
    assert torch.equal(torch.rand(3), expected)


def test_the_global_generator_does_not_enter(map_photo):
    torch.manual_seed(0)
    first = crop(map_photo, tiny_config(), 5)
    torch.manual_seed(1)
    assert first.tobytes() == crop(map_photo, tiny_config(), 5).tobytes()


def test_order_and_number_of_the_numbers_matter():
    draws = []
    for numbers in ((1, 2), (2, 1), (1, 2, 0, 1), (12,)):
        with seeded(*numbers):
            draws.append(torch.rand(1).item())
    assert len(set(draws)) == 4


def test_squash_may_see_the_whole_photo_and_crop_sees_a_square_of_it(map_photo):
    # The whole area of a photo four times as wide as high. Squash: all of it. Crop: the widest
    # shape allowed is 4/3, so 133 of 400 pixels across and all pixels down.
    across, down = seen(crop(map_photo, tiny_config(fit="squash", crop_scale_min=1.0), 1))
    assert (across, down) == pytest.approx((1, 1), abs=0.05)
    across, down = seen(crop(map_photo, tiny_config(fit="crop", crop_scale_min=1.0), 1))
    assert (across, down) == pytest.approx((1 / 3, 1), abs=0.05)


def test_a_training_crop_is_as_large_as_asked_and_nearly_of_the_photos_shape(map_photo):
    config = tiny_config(fit="squash", crop_scale_min=0.5)
    sizes = np.array([seen(crop(map_photo, config, i)) for i in range(60)])
    area_N, shape_N = sizes.prod(axis=1), sizes[:, 0] / sizes[:, 1]
    assert area_N.min() > 0.45
    assert area_N.max() > 0.85
    assert shape_N.min() > 3 / 4 - 0.05
    assert shape_N.max() < 4 / 3 + 0.05
    assert shape_N.std() > 0.05  # not always the same shape


def test_every_crop_is_a_square_of_the_size_asked_for(map_photo):
    for fit in ("squash", "crop"):
        assert crop(map_photo, tiny_config(fit=fit), 9).size == (32, 32)


def test_half_of_the_crops_are_flipped(map_photo):
    config = tiny_config()
    flipped = 0
    for i in range(200):
        rgb_HW3 = np.asarray(crop(map_photo, config, i)).astype(int)
        flipped += bool(rgb_HW3[:, 0, 0].mean() > rgb_HW3[:, -1, 0].mean())
    assert 70 < flipped < 130


def test_with_all_turned_off_the_picture_stays_as_it_is(map_photo):
    x_3HW = appearance(map_photo, tiny_config(randaugment=0, erase=0.0))
    assert x_3HW.dtype == torch.uint8
    assert np.array_equal(x_3HW.permute(1, 2, 0).numpy(), np.asarray(map_photo))


def changed_share(x_3HW):
    return (x_3HW != 128).any(dim=0).float().mean().item()


def test_erasing_replaces_a_patch_of_2_to_20_percent_by_noise(grey_photo):
    shares = []
    for i in range(30):
        with seeded(i):
            x_3HW = appearance(grey_photo, tiny_config(randaugment=0, erase=1.0))
        assert x_3HW.dtype == torch.uint8
        shares.append(changed_share(x_3HW))
        assert len(x_3HW.unique()) > 20  # noise, not one colour
    assert min(shares) > 0.015
    assert max(shares) < 0.21
    assert np.std(shares) > 0.02


def test_erasing_leaves_the_other_pixels_as_they_were(grey_photo):
    with seeded(1):
        x_3HW = appearance(grey_photo, tiny_config(randaugment=0, erase=1.0))
    rows, columns = torch.where((x_3HW != 128).any(dim=0))
    patch = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
    assert patch / 64**2 == pytest.approx(changed_share(x_3HW), abs=0.01)


def test_erasing_happens_as_often_as_asked(grey_photo):
    erased = 0
    for i in range(100):
        with seeded(i):
            erased += (
                changed_share(appearance(grey_photo, tiny_config(randaugment=0, erase=0.3))) > 0
            )
    assert 15 < erased < 45


def test_randaugment_changes_the_picture_and_more_so_with_more_magnitude(map_photo):
    small = map_photo.resize((32, 32))
    distance = []
    for magnitude in (1, 15):
        total = 0.0
        for i in range(40):
            with seeded(i):
                x_3HW = appearance(small, tiny_config(randaugment=magnitude, erase=0.0))
            before_HW3 = np.asarray(small).astype(int)
            total += np.abs(x_3HW.permute(1, 2, 0).numpy() - before_HW3).mean()
        distance.append(total)
    assert 0 < distance[0] < distance[1]
