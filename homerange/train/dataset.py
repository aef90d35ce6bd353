"""Photos of a manifest as batches, the same ones for any number of workers and processes.

A photo that cannot be read leaves its batch and is reported with the reason; training goes on.

Axes used in this file:
    B  photos of a batch      H, W  pixels      V  views of a photo
    N  photos of a manifest
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from homerange.data.answers import Unreadable, class_indices
from homerange.data.images import Preprocessing, prepare, read_rgb
from homerange.data.manifest import Manifest
from homerange.errors import ConfigError, ImageError, ManifestError
from homerange.train.augment import appearance, geometry, seeded
from homerange.train.config import TrainConfig

__all__ = [
    "Batch",
    "GlobalBatches",
    "PlainPhotos",
    "TrainingPhotos",
    "loader",
]


@dataclass
class Batch:
    """Photos ready for the network, with those that could not be read set aside."""

    pixels_B3HW: Tensor
    class_B: Tensor
    photo_B: Tensor
    """Row of each photo in its manifest."""
    unreadable: list[Unreadable] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.photo_B)

    @property
    def known(self) -> "Batch":
        """The photos whose class the network knows."""
        known_B = self.class_B >= 0
        photos = (self.pixels_B3HW[known_B], self.class_B[known_B], self.photo_B[known_B])
        return Batch(*photos, self.unreadable)


Sample = tuple[Tensor, int, int]


class _Photos(Dataset[Sample | Unreadable]):
    """Rows of a manifest with their class; a subclass says how a photo is looked at."""

    def __init__(self, manifest: Manifest, classes: Sequence[str]) -> None:
        self.manifest = manifest
        self.class_of_photo = class_indices(manifest, classes)
        self.latlon_N2 = torch.from_numpy(manifest.latlon_N2()).float()

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, photo: int) -> Sample | Unreadable:
        try:
            return self.pixels(photo), self.class_of_photo[photo], photo
        except (ImageError, ManifestError) as error:  # unreadable, or not on this machine
            return Unreadable(photo, self.manifest.strings("image")[photo] or "", str(error))

    def pixels(self, photo: int) -> Tensor:
        """Return the photo as uint8, shape (3, H, W)."""
        raise NotImplementedError


class PlainPhotos(_Photos):
    """Photos exactly as the device sees them: for evaluation and for the profile."""

    def __init__(
        self, manifest: Manifest, classes: Sequence[str], preprocessing: Preprocessing
    ) -> None:
        super().__init__(manifest, classes)
        self.preprocessing = preprocessing

    def pixels(self, photo: int) -> Tensor:
        """Return the photo as uint8, shape (3, H, W)."""
        box = self.manifest.bbox(photo)
        rgb_HW3 = prepare(self.manifest.image_path(photo), self.preprocessing, bbox=box)
        return torch.from_numpy(rgb_HW3).permute(2, 0, 1)


class TrainingPhotos(_Photos):
    """Photos with augmentation drawn from (seed, view, photo), where a view is an epoch.

    With a teacher, geometry repeats after ``config.views`` epochs, because the teacher's features
    are known for these views only; appearance is new in every epoch.
    """

    def __init__(
        self, manifest: Manifest, classes: Sequence[str], config: TrainConfig, *, px: int
    ) -> None:
        super().__init__(manifest, classes)
        self.config = config
        self.px = px
        self.epoch = 0

    @property
    def view(self) -> int:
        """Which geometry the present epoch uses."""
        return self.epoch % self.config.views if self.config.teacher else self.epoch

    def crop(self, photo: int) -> Image.Image:
        """Return the photo as this view crops it, before its appearance is changed."""
        box = self.manifest.bbox(photo)
        whole = read_rgb(self.manifest.image_path(photo), at_least_px=None if box else 2 * self.px)
        image = Image.fromarray(whole)
        if box:
            image = _crop_to_box(image, box)
        with seeded(self.config.seed, self.view, photo):
            return geometry(image, px=self.px, config=self.config)

    def pixels(self, photo: int) -> Tensor:
        """Return the photo as uint8, shape (3, px, px)."""
        crop = self.crop(photo)
        with seeded(self.config.seed, self.epoch, photo, 1):
            return appearance(crop, self.config)


def _crop_to_box(image: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    x, y, width, height = box
    right, lower = (x + width) * image.width, (y + height) * image.height
    return image.crop(
        (
            int(x * image.width),
            int(y * image.height),
            max(int(x * image.width) + 1, round(right)),
            max(int(y * image.height) + 1, round(lower)),
        )
    )


class GlobalBatches(Sampler[list[int]]):
    """Batches of one epoch: the same for any number of processes, each of which takes a share.

    The photos are shuffled by (seed, epoch); what does not fill a last batch waits for the next
    epoch's shuffle. Fewer photos than a batch make one batch of all of them.
    """

    def __init__(
        self, photos: int, batch_size: int, *, seed: int, rank: int = 0, processes: int = 1
    ) -> None:
        if batch_size % processes:
            raise ConfigError(
                f"batch_size {batch_size} cannot be shared evenly by {processes} processes"
            )
        if photos < processes:
            raise ConfigError(
                f"{photos} photos cannot be shared by {processes} processes; use fewer processes"
            )
        self.photos = photos
        self.batch_size = min(batch_size, photos - photos % processes)
        self.seed = seed
        self.rank = rank
        self.processes = processes
        self.epoch = 0
        self.first = 0
        """Batches to leave out at the start of the epoch: those done before an interruption."""

    def __len__(self) -> int:
        return self.photos // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.photos)
        share = self.batch_size // self.processes
        for batch in range(self.first, len(self)):
            start = batch * self.batch_size + self.rank * share
            yield order[start : start + share].tolist()


def loader(
    photos: TrainingPhotos | PlainPhotos,
    *,
    batches: GlobalBatches | None = None,
    batch_size: int = 64,
    workers: int,
) -> DataLoader[Batch]:
    """Make a loader over ``batches``, or over all photos in order where there are none."""
    how: dict[str, object] = {"num_workers": workers, "collate_fn": _collate}
    if workers:
        how["multiprocessing_context"] = "fork"
    if batches is None:
        how["batch_size"] = batch_size
    else:
        how["batch_sampler"] = batches
    return DataLoader(photos, **how)  # type: ignore[arg-type]


def _collate(samples: Sequence[Sample | Unreadable]) -> Batch:
    good = [sample for sample in samples if not isinstance(sample, Unreadable)]
    bad = [sample for sample in samples if isinstance(sample, Unreadable)]
    pixels = [pixels_3HW for pixels_3HW, _, _ in good]
    return Batch(
        torch.stack(pixels) if pixels else torch.empty(0, 3, 1, 1, dtype=torch.uint8),
        torch.tensor([label for _, label, _ in good], dtype=torch.long),
        torch.tensor([photo for _, _, photo in good], dtype=torch.long),
        bad,
    )
