"""What training does to a photo: where it looks (geometry) and how it looks (appearance).

Source: the paper, section 3.4: random crop, flip, RandAugment and a random erased patch, all from
torchvision. Every draw depends on the seed, the epoch or view, and the photo alone, so that a
training resumes at any step and any number of workers gives the same photos.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as v2_functional

from homerange.train.config import TrainConfig

__all__ = ["appearance", "geometry", "seeded"]

RATIO = (3 / 4, 4 / 3)
ERASED_AREA = (0.02, 0.2)
ERASED_RATIO = (0.3, 3.3)


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Draw from a stream fixed by ``numbers``; the global generator is as before afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint32)[0]))
        yield


def geometry(photo: Image.Image, *, px: int, config: TrainConfig) -> Image.Image:
    """Cut a random crop, resize it to ``px`` by ``px`` pixels and flip it half of the time.

    With ``fit = "squash"`` the crop has the shape of the photo, give or take a third, because
    evaluation squeezes the photo in the same way.
    """
    stretch = photo.width / photo.height if config.fit == "squash" else 1.0
    cropped = v2.RandomResizedCrop(
        px,
        scale=(config.crop_scale_min, 1.0),
        ratio=(RATIO[0] * stretch, RATIO[1] * stretch),
        interpolation=InterpolationMode.BICUBIC,
    )(photo)
    flipped: Image.Image = v2.RandomHorizontalFlip(0.5)(cropped)
    return flipped


def appearance(photo: Image.Image, config: TrainConfig) -> Tensor:
    """Change colours and shapes by RandAugment, erase a patch; returns uint8, shape (3, px, px)."""
    if config.randaugment:
        photo = v2.RandAugment(num_ops=2, magnitude=config.randaugment)(photo)
    x_3HW: Tensor = v2_functional.pil_to_tensor(photo)
    if not config.erase:
        return x_3HW
    erase = v2.RandomErasing(config.erase, ERASED_AREA, ERASED_RATIO, value="random")
    noisy_3HW: Tensor = erase(x_3HW / 255)  # torchvision's noise is normal, so it needs floats
    return (noisy_3HW.clamp(0, 1) * 255).round().to(torch.uint8)
