"""Time and place that a camera wrote into its photo.

Source: EXIF 2.32 (CIPA DC-008): DateTimeOriginal, OffsetTimeOriginal and the GPS directory.

Where we are stricter than the standard: a latitude without its N/S (or a longitude without its
E/W) is no latitude, and 0, 0 is a receiver without a fix. DateTime is ignored: it is the time of
the last edit. Needs the base install only.
"""

import math
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from homerange.data.times import read_time

__all__ = ["ExifFacts", "read_exif"]

# What Pillow raises on damaged files and directories.
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    KeyError,
    struct.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True)
class ExifFacts:
    """What the camera knew; None where it did not, or where it cannot be read."""

    datetime: str | None = None
    """ISO 8601, with the offset where the camera wrote one."""

    latitude_deg: float | None = None
    longitude_deg: float | None = None


def read_exif(path: Path) -> ExifFacts:
    """Read the time and the place of a photo; a broken photo or directory gives none.

    Example:
        >>> read_exif(Path("no-such-photo.jpg"))
        ExifFacts(datetime=None, latitude_deg=None, longitude_deg=None)
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "corrupt EXIF": None already says so
            with Image.open(path) as photo:
                exif = photo.getexif()
                details = exif.get_ifd(ExifTags.IFD.Exif)
                gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    except _BROKEN:
        return ExifFacts()
    latitude, longitude = _place(gps)
    return ExifFacts(_time(details), latitude, longitude)


def _time(details: Mapping[int, object]) -> str | None:
    moment = _text(details.get(ExifTags.Base.DateTimeOriginal))
    offset = _text(details.get(ExifTags.Base.OffsetTimeOriginal))
    # Cameras write spaces or nonsense for an unknown offset; the time is good without it.
    return read_time(moment + offset) or read_time(moment)


def _place(gps: Mapping[int, object]) -> tuple[float | None, float | None]:
    tag = ExifTags.GPS
    latitude = _degrees(gps.get(tag.GPSLatitude), gps.get(tag.GPSLatitudeRef), "NS", 90)
    longitude = _degrees(gps.get(tag.GPSLongitude), gps.get(tag.GPSLongitudeRef), "EW", 180)
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):
        return None, None
    return latitude, longitude


def _degrees(parts: object, reference: object, signs: str, limit: int) -> float | None:
    side = _text(reference).upper()
    if not isinstance(parts, tuple) or len(parts) != 3 or len(side) != 1 or side not in signs:
        return None
    try:
        degrees, minutes, seconds = (float(part) for part in parts)
    except _BROKEN:
        return None
    value = degrees + minutes / 60 + seconds / 3600
    if not math.isfinite(value) or not 0 <= value <= limit:
        return None
    return value if side == signs[0] else -value


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="ignore")
    return value.strip("\0 ") if isinstance(value, str) else ""
