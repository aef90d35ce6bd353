"""Photos as batches: the same for any number of workers and processes, and bad photos set aside."""

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_training import CLASSES, draw_photo, manifest_of, tiny_config, tiny_manifest

from homerange.data.answers import class_indices
from homerange.data.images import Preprocessing, prepare
from homerange.data.manifest import Manifest
from homerange.errors import ConfigError
from homerange.train.dataset import (
    GlobalBatches,
    PlainPhotos,
    TrainingPhotos,
    loader,
)

PLAIN = Preprocessing(input_px=32, fit="squash")


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    return Manifest.read(tiny_manifest(tmp_path_factory.mktemp("photos"))).split("train")


def batches_of(*, photos=20, batch_size=4, epoch=0, first=0, **more):
    sampler = GlobalBatches(photos, batch_size, **({"seed": 0} | more))
    sampler.epoch, sampler.first = epoch, first
    return list(sampler)


def test_photos_know_where_they_were_taken_and_where_nobody_knows():
    rows = [{"latitude_deg": -2.33, "longitude_deg": 34.83}, {"latitude_deg": None}]
    found_N2 = PlainPhotos(manifest_of(rows, "."), (), PLAIN).latlon_N2
    torch.testing.assert_close(found_N2[0], torch.tensor([-2.33, 34.83]))
    assert found_N2[1].isnan().all()


# The batches of an epoch


@given(
    share=st.integers(1, 5),
    processes=st.integers(1, 4),
    extra=st.integers(0, 30),
    seed=st.integers(0, 99),
    epoch=st.integers(0, 9),
)
def test_any_number_of_processes_shares_the_same_global_batches(
    share, processes, extra, seed, epoch
):
    size = share * processes
    how = {"photos": size + extra, "batch_size": size, "seed": seed, "epoch": epoch}
    alone = batches_of(**how)
    shared = [batches_of(**how, rank=rank, processes=processes) for rank in range(processes)]
    assert [list(chain(*parts)) for parts in zip(*shared, strict=True)] == alone
    assert {len(part) for parts in shared for part in parts} == {share}


def test_an_epoch_has_each_photo_at_most_once_and_leaves_less_than_a_batch():
    batches = batches_of(photos=23, batch_size=4)
    assert [len(batch) for batch in batches] == [4] * 5
    assert len(set(chain(*batches))) == 20


def test_every_epoch_and_seed_has_an_order_of_its_own():
    orders = [
        batches_of(epoch=epoch, seed=seed) for epoch, seed in ((0, 0), (1, 0), (0, 1), (1, 1))
    ]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])
    assert sorted(chain(*orders[0])) == list(range(20))


@given(first=st.integers(0, 5))
def test_a_resumed_epoch_goes_on_with_the_batches_that_are_left(first):
    assert batches_of(first=first) == batches_of()[first:]


def test_fewer_photos_than_a_batch_make_one_batch_of_all():
    (batch,) = batches_of(photos=3, batch_size=8)
    assert sorted(batch) == [0, 1, 2]


def test_fewer_photos_than_a_batch_are_shared_evenly_too():
    shares = [batches_of(photos=7, batch_size=8, rank=rank, processes=2) for rank in (0, 1)]
    assert [len(share[0]) for share in shares] == [3, 3]
    assert not set(shares[0][0]) & set(shares[1][0])


def test_the_number_of_batches_is_known_beforehand():
    assert len(GlobalBatches(23, 4, seed=0)) == len(batches_of(photos=23, batch_size=4)) == 5


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    with pytest.raises(ConfigError, match="batch_size 9 cannot be shared evenly by 2 processes"):
        GlobalBatches(20, 9, seed=0, processes=2)


def test_more_processes_than_photos_are_refused():
    with pytest.raises(ConfigError, match="3 photos cannot be shared by 4 processes; use fewer"):
        GlobalBatches(3, 8, seed=0, processes=4)


# Labels


def test_a_photo_has_the_index_of_its_class_or_minus_one(tmp_path):
    manifest = manifest_of([{"species": s} for s in ("b", None, "a", "unheard of")], tmp_path)
    assert class_indices(manifest, ["a", "b"]) == [1, -1, 0, -1]


# Pixels


def test_a_plain_photo_is_what_the_device_sees(train):
    photos = PlainPhotos(train, CLASSES, PLAIN)
    for i in range(3):
        pixels_3HW, label, photo = photos[i]
        expected_HW3 = prepare(train.image_path(i), PLAIN)
        assert np.array_equal(pixels_3HW.permute(1, 2, 0).numpy(), expected_HW3)
        assert CLASSES[label] == train.strings("species")[i]
        assert photo == i


@pytest.fixture
def two_halves(tmp_path):
    """A photo that is red on the left and blue on the right, with boxes around either half."""
    rgb_HW3 = np.zeros((60, 80, 3), np.uint8)
    rgb_HW3[:, :40, 0] = rgb_HW3[:, 40:, 2] = 255
    Image.fromarray(rgb_HW3).save(tmp_path / "0.png")
    box = {"image": "0.png", "bbox_y": 0.25, "bbox_width": 0.5, "bbox_height": 0.5}
    return manifest_of([box | {"bbox_x": 0.0}, box | {"bbox_x": 0.5}], tmp_path)


@pytest.mark.parametrize("training", [False, True])
def test_a_box_is_all_that_is_seen_of_a_photo(two_halves, training):
    config = tiny_config(randaugment=0, erase=0.0, crop_scale_min=0.9)
    photos = (
        TrainingPhotos(two_halves, (), config, px=32)
        if training
        else PlainPhotos(two_halves, (), PLAIN)
    )
    for row, (red, blue) in enumerate(((255, 0), (0, 255))):
        pixels_3HW = photos[row][0]
        assert pixels_3HW.shape == (3, 32, 32)
        assert pixels_3HW[0].eq(red).all()
        assert pixels_3HW[2].eq(blue).all()


def pixels_of(photos, epoch, workers=0):
    photos.epoch = epoch
    batches = GlobalBatches(len(photos), 4, seed=0)
    batches.epoch = epoch
    return torch.cat(
        [batch.pixels_B3HW for batch in loader(photos, batches=batches, workers=workers)]
    )


def test_workers_change_no_pixel(train):
    photos = TrainingPhotos(train, CLASSES, tiny_config(), px=32)
    alone = pixels_of(photos, 3)
    assert torch.equal(pixels_of(photos, 3, workers=2), alone)


def test_a_photo_does_not_depend_on_the_photos_drawn_before_it(train):
    photos = TrainingPhotos(train, CLASSES, tiny_config(), px=32)
    first = photos[4][0]
    _ = photos[2], photos[3]
    assert torch.equal(photos[4][0], first)


def test_every_epoch_photo_and_seed_looks_different(train):
    photos = TrainingPhotos(train, CLASSES, tiny_config(), px=32)
    other_seed = TrainingPhotos(train, CLASSES, tiny_config(seed=1), px=32)
    first = photos[0][0]
    photos.epoch = 1
    assert not torch.equal(photos[0][0], first)
    assert not torch.equal(other_seed[0][0], first)


def test_with_a_teacher_geometry_comes_back_after_all_views_and_appearance_is_new(train):
    config = tiny_config(teacher="lite0", teacher_weight=1.0, views=2, randaugment=0, erase=1.0)
    photos = TrainingPhotos(train, CLASSES, config, px=32)
    crops, looks = [], []
    for photos.epoch in range(4):
        crops.append(photos.crop(0).tobytes())
        looks.append(photos[0][0])
    assert photos.view == 1
    assert crops[0] == crops[2] != crops[1] == crops[3]
    assert not torch.equal(looks[0], looks[2])


def test_without_a_teacher_geometry_never_comes_back(train):
    photos = TrainingPhotos(train, CLASSES, tiny_config(views=2), px=32)
    crops = set()
    for photos.epoch in range(4):
        crops.add(photos.crop(0).tobytes())
    assert len(crops) == 4


# Photos that cannot be read


@pytest.fixture
def mixed(tmp_path):
    """Two good photos between one that is cut off, one that is missing and one on the web."""
    for name in ("good.jpg", "cut.jpg", "fine.jpg"):
        draw_photo(tmp_path / name, (90, 90, 90), seed=1)
    data = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    names = ("cut.jpg", "good.jpg", "missing.jpg", "fine.jpg", "https://example.org/5.jpg")
    return manifest_of([{"image": name, "species": "blank"} for name in names], tmp_path)


@pytest.mark.parametrize("training", [False, True])
def test_a_photo_that_cannot_be_read_leaves_its_batch_with_a_reason(mixed, training):
    photos = (
        TrainingPhotos(mixed, ["blank"], tiny_config(), px=32)
        if training
        else PlainPhotos(mixed, ["blank"], PLAIN)
    )
    (batch,) = loader(photos, workers=0)
    assert len(batch) == 2
    assert batch.photo_B.tolist() == [1, 3]
    assert batch.class_B.tolist() == [0, 0]
    assert batch.pixels_B3HW.shape == (2, 3, 32, 32)
    assert [(bad.photo, bad.image) for bad in batch.unreadable] == [
        (0, "cut.jpg"),
        (2, "missing.jpg"),
        (4, "https://example.org/5.jpg"),
    ]
    for bad, reason in zip(batch.unreadable, ("damaged", "no such file", "download"), strict=True):
        assert reason in bad.reason


def test_a_batch_of_unreadable_photos_only_is_empty(mixed):
    photos = PlainPhotos(mixed.where(np.array([True, False, True, False, False])), (), PLAIN)
    (batch,) = loader(photos, workers=0)
    assert len(batch) == 0
    assert len(batch.unreadable) == 2
    assert batch.class_B.dtype == torch.long
