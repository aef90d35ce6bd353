"""One way from a photo's bytes to the square that a network sees.

Training evaluation, the profile of a world and the device all call `prepare`, so a model meets the
same pixels everywhere. JPEG goes through simplejpeg, which can decode at 1/8 ... 8/8 of the size
(libjpeg-turbo's scaled DCT: most of the cost of a big photo is pixels that nobody looks at);
everything else, and the odd JPEG that simplejpeg refuses, goes through Pillow.

Where we differ from the usual "open, resize, crop", and why:
    - A damaged JPEG is refused. Decoders fill the missing part with grey and go on.
    - 16-bit and 32-bit grey is scaled by its bit depth. Pillow's own conversion clips at 255.
    - Resize and centre crop are one step: only the pixels inside the crop are computed, so a photo
      of 10,000 x 1 pixels costs as little as any other.

Axes: H height, W width, 3 = red, green, blue; uint8.
"""

import difflib
import math
import stat
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Literal, Self

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from homerange.errors import ConfigError, ImageError

__all__ = ["MAX_MEGAPIXELS", "Preprocessing", "fit", "prepare", "read_rgb"]

MAX_MEGAPIXELS = 200  # the largest sensors of today; above it a small file can fill the memory
MAX_FILE_BYTES = 500_000_000  # 16-bit TIFF of the largest sensors, with room
BOX_TOLERANCE = 0.01  # how far a box may stick out of the photo: rounding, not a mistake

Bbox = tuple[float, float, float, float]
WHOLE: Bbox = (0.0, 0.0, 1.0, 1.0)

# Pillow knows 40 more; some of those start other programs (EPS), which a stranger's file must not.
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "PPM")

ORIENTATION = 0x0112  # the EXIF tag
BITS_PER_SAMPLE = 258  # the TIFF tag
UPRIGHT: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: np.fliplr,
    3: lambda rgb_HW3: np.rot90(rgb_HW3, 2),
    4: np.flipud,
    5: lambda rgb_HW3: rgb_HW3.transpose(1, 0, 2),
    6: lambda rgb_HW3: np.rot90(rgb_HW3, -1),
    7: lambda rgb_HW3: np.rot90(rgb_HW3, 2).transpose(1, 0, 2),
    8: lambda rgb_HW3: np.rot90(rgb_HW3, 1),
}


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a photo becomes the input of a network; travels inside every world and package."""

    input_px: int = 224
    """Side of the square that the network sees."""

    fit: Literal["crop", "squash"] = "crop"
    """``crop``: centre of the photo, shape kept; ``squash``: the whole photo, shape lost."""

    crop_fraction: float = 0.888
    """With ``crop``: the part of the shorter side that the square covers, in (0, 1]."""

    decoder: str = "simplejpeg+pillow"
    """Name of the decoding path of this file; another path would give other pixels."""

    def __post_init__(self) -> None:
        """Refuse values that no photo could be prepared with."""
        if type(self.input_px) is not int or not 1 <= self.input_px <= 4096:
            raise ConfigError(
                f"preprocessing.input_px is {self.input_px!r}; expected a whole number, 1 to 4096"
            )
        if self.fit not in ("crop", "squash"):
            raise ConfigError(f"preprocessing.fit is {self.fit!r}; expected 'crop' or 'squash'")
        if not (isinstance(self.crop_fraction, int | float) and 0 < self.crop_fraction <= 1):
            raise ConfigError(
                f"preprocessing.crop_fraction is {self.crop_fraction!r}; expected above 0, up to 1"
            )
        if self.decoder != "simplejpeg+pillow":
            raise ConfigError(
                f"preprocessing.decoder is {self.decoder!r}; this version only has "
                "'simplejpeg+pillow'"
            )

    @property
    def resize_px(self) -> int:
        """Length of the photo's shorter side at the moment the square is cut out."""
        return self.input_px if self.fit == "squash" else round(self.input_px / self.crop_fraction)

    def to_json(self) -> dict[str, object]:
        """Return the settings as plain values for ``world.json`` and ``place.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Self:
        """Read the settings back.

        Raises:
            ConfigError: If a setting is unknown, missing or out of range.

        Example:
            >>> Preprocessing.from_json(Preprocessing(input_px=160).to_json()).input_px
            160
        """
        names = [field.name for field in fields(cls)]
        for key in values:
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1) or names
                raise ConfigError(f"preprocessing.{key} is not a setting; did you mean {near[0]}?")
        missing = [name for name in names if name not in values]
        if missing:
            raise ConfigError(
                f"preprocessing lacks {', '.join(missing)}; found {', '.join(values) or 'nothing'}"
            )
        return cls(**values)  # type: ignore[arg-type]  # __post_init__ checks the values


def read_rgb(source: Path | bytes, *, at_least_px: int | None = None) -> NDArray[np.uint8]:
    """Read a photo upright, as red, green and blue.

    Transparent parts become white. EXIF that cannot be parsed counts as no orientation.

    Args:
        source: The file, or its bytes.
        at_least_px: With it a JPEG may come back smaller, with its shorter side at least this
            long (or as long as the photo has it). Without it, the full size.

    Returns:
        Pixels, shape (H, W, 3).

    Raises:
        ImageError: If there is no file, it is no image, it is damaged, or it has more than
            `MAX_MEGAPIXELS`.
    """
    return _read(source, at_least_px, WHOLE)


def fit(rgb_HW3: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Bring pixels to the size of the network (bicubic, antialiased).

    Args:
        rgb_HW3: Pixels of any size from 1 x 1, shape (H, W, 3).
        preprocessing: The size, and whether to crop or to squash.

    Returns:
        Pixels, shape (input_px, input_px, 3).

    Example:
        >>> fit(np.zeros((30, 40, 3), np.uint8), Preprocessing(input_px=8)).shape
        (8, 8, 3)
    """
    height, width = rgb_HW3.shape[:2]
    box = (0.0, 0.0, float(width), float(height))
    if preprocessing.fit == "crop":
        side = min(height, width) * preprocessing.input_px / preprocessing.resize_px
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    size = (preprocessing.input_px, preprocessing.input_px)
    return np.array(Image.fromarray(rgb_HW3).resize(size, Image.Resampling.BICUBIC, box=box))


def prepare(
    source: Path | bytes, preprocessing: Preprocessing, bbox: Bbox | None = None
) -> NDArray[np.uint8]:
    """Read a photo, cut out a box where there is one, and fit it to the network.

    Args:
        source: The file, or its bytes.
        preprocessing: The settings of the world or package.
        bbox: Left, top, width and height, each relative (0-1) to the upright photo.

    Returns:
        Pixels, shape (input_px, input_px, 3).

    Raises:
        ImageError: As `read_rgb`; also if the box is empty or outside the photo.
    """
    bbox = WHOLE if bbox is None else bbox
    _check_box(bbox, _name(source))
    rgb_HW3 = _read(source, preprocessing.resize_px, bbox)
    return fit(_crop(rgb_HW3, bbox), preprocessing)


def _check_box(bbox: Bbox, name: str) -> None:
    left, top, width, height = bbox
    if not (width > 0 and height > 0):
        raise ImageError(f"{name}: the box {bbox} has no area; expected a width and height above 0")
    low, high = -BOX_TOLERANCE, 1 + BOX_TOLERANCE
    if not (left >= low and top >= low and left + width <= high and top + height <= high):
        raise ImageError(
            f"{name}: the box {bbox} reaches outside the photo; expected left, top, width and "
            "height relative to the photo, between 0 and 1"
        )


def _crop(rgb_HW3: NDArray[np.uint8], bbox: Bbox) -> NDArray[np.uint8]:
    """Cut out the box, grown to whole pixels: at least one, never outside the photo."""
    height, width = rgb_HW3.shape[:2]
    left, right = _whole_pixels(bbox[0], bbox[2], width)
    top, bottom = _whole_pixels(bbox[1], bbox[3], height)
    return rgb_HW3[top:bottom, left:right]


def _whole_pixels(start: float, extent: float, length_px: int) -> tuple[int, int]:
    first = min(max(math.floor(start * length_px), 0), length_px - 1)
    last = math.ceil((start + extent) * length_px - 1e-6)  # 1e-6: 0.1 + 0.2 is above 0.3
    return first, min(max(last, first + 1), length_px)


def _name(source: Path | bytes) -> str:
    return f"photo of {len(source):,} bytes" if isinstance(source, bytes) else str(source)


def _read(source: Path | bytes, at_least_px: int | None, bbox: Bbox) -> NDArray[np.uint8]:
    """Read upright pixels; the part inside ``bbox`` has its shorter side ``at_least_px`` long."""
    name = _name(source)
    data = source if isinstance(source, bytes) else _file_bytes(source)
    if not data:
        raise ImageError(f"{name}: the file is empty (0 bytes)")
    try:
        with _pillow_for_untrusted_files(), Image.open(BytesIO(data), formats=FORMATS) as image:
            return _decode(image, data, at_least_px, bbox)
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name}: this is not an image; it begins with {data[:8]!r}, expected one of "
            f"{', '.join(FORMATS)}"
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{name}: more than {MAX_MEGAPIXELS} megapixels ({error}); reduce it first"
        ) from error
    except Exception as error:  # decoders raise anything on damaged files: each is one bad photo
        raise ImageError(
            f"{name}: the image is damaged ({type(error).__name__}: {error}); "
            f"the file has {len(data):,} bytes"
        ) from error


def _file_bytes(path: Path) -> bytes:
    """Read a file, but never one without an end: a pipe called ``a.jpg`` would wait for ever."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode) and not stat.S_ISDIR(facts.st_mode):
            raise ImageError(f"{path}: this is a pipe, a socket or a device, expected a photo")
        if facts.st_size > MAX_FILE_BYTES:
            raise ImageError(
                f"{path}: the file has {facts.st_size:,} bytes; expected at most "
                f"{MAX_FILE_BYTES:,} for one photo"
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(f"{path}: there is no such file") from error
    except IsADirectoryError as error:
        raise ImageError(f"{path}: this is a folder, expected a photo") from error
    except OSError as error:
        raise ImageError(f"{path}: the file cannot be read ({error.strerror})") from error


def _decode(
    image: Image.Image, data: bytes, at_least_px: int | None, bbox: Bbox
) -> NDArray[np.uint8]:
    if image.format in ("JPEG", "MPO"):
        orientation = _orientation(image)
        short_px = _short_side_px(image.size, orientation, at_least_px, bbox)
        rgb_HW3 = _read_jpeg(image, data, short_px)
    else:
        image.load()  # of TIFF, Pillow turns the pixels while it loads them
        orientation = _orientation(image)
        rgb_HW3 = _rgb(image)
    return np.ascontiguousarray(UPRIGHT.get(orientation, np.asarray)(rgb_HW3))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # EXIF that Pillow cannot parse says nothing; the pixels are still good
        return 1


def _short_side_px(
    size: tuple[int, int], orientation: int, at_least_px: int | None, bbox: Bbox
) -> int:
    """Return how long the photo's shorter side must be decoded for the box to be big enough."""
    width, height = size if orientation < 5 else size[::-1]
    if at_least_px is None:
        return min(width, height)
    box_short_px = min(bbox[2] * width, bbox[3] * height)
    short_px = min(width, height)
    return min(short_px, math.ceil(at_least_px * short_px / box_short_px))


def _read_jpeg(image: Image.Image, data: bytes, short_px: int) -> NDArray[np.uint8]:
    """Decode with simplejpeg, or with Pillow what only Pillow can read."""
    rgb_HW3 = _simplejpeg(data, short_px)
    if rgb_HW3 is None:
        image.draft(None, (short_px, short_px))
        return _rgb(image)
    return rgb_HW3


def _simplejpeg(data: bytes, short_px: int) -> NDArray[np.uint8] | None:
    """Decode, raise ValueError for a damaged file, or return None for an unusual one.

    The factor 2 skips sizes between 1/2 and 1/1, which take longer to decode than 1/1.
    """
    try:
        rgb_HW3: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "RGB", min_height=short_px, min_width=short_px, min_factor=2, strict=True
        )
    except ValueError as error:
        text = str(error).lower()
        if "extraneous bytes" not in text and ("corrupt" in text or "premature end" in text):
            raise
        return None
    return rgb_HW3


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Convert any mode of Pillow to red, green and blue."""
    if image.mode.startswith("I"):
        grey_HW = _eight_bits(image)
        return np.stack([grey_HW] * 3, axis=-1)
    if image.mode == "F":
        raise ValueError("pixels are decimal numbers of unknown range; save it with 8 or 16 bits")
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def _eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    """Scale grey of 16 or 32 bits to 8. Mode I holds either, and only TIFF can hold 32."""
    tags: Mapping[int, object] = getattr(image, "tag_v2", {})
    if image.mode == "I" and tags.get(BITS_PER_SAMPLE) == (32,):
        return (np.asarray(image).view(np.uint32) >> 24).astype(np.uint8)
    grey_HW = np.asarray(image).clip(0, 65535).astype(np.uint32)
    return ((grey_HW + 128) // 257).astype(np.uint8)


_pillow_users = 0
_pillow_lock = Lock()
_pillow_restore: list[Callable[[], None]] = []


@contextmanager
def _pillow_for_untrusted_files() -> Iterator[None]:
    """Set Pillow's pixel limit to ours and keep its warnings out of the log.

    Both are settings of the process, and photos are decoded by many threads at once: the first to
    enter changes them and the last to leave puts them back.
    """
    global _pillow_users
    with _pillow_lock:
        _pillow_users += 1
        if _pillow_users == 1:
            _change_pillow()
    try:
        yield
    finally:
        with _pillow_lock:
            _pillow_users -= 1
            if _pillow_users == 0:
                _pillow_restore.pop()()


def _change_pillow() -> None:
    limit = Image.MAX_IMAGE_PIXELS
    quiet = warnings.catch_warnings()
    quiet.__enter__()
    warnings.filterwarnings("ignore", module=r"PIL\b")
    Image.MAX_IMAGE_PIXELS = MAX_MEGAPIXELS * 1_000_000 // 2  # Pillow refuses above twice this
    truncated = ImageFile.LOAD_TRUNCATED_IMAGES  # some packages set it when they are imported
    ImageFile.LOAD_TRUNCATED_IMAGES = False

    def restore() -> None:
        """Set back what was changed."""
        Image.MAX_IMAGE_PIXELS = limit
        ImageFile.LOAD_TRUNCATED_IMAGES = truncated
        quiet.__exit__(None, None, None)

    _pillow_restore.append(restore)
