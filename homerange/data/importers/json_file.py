"""JSON files that hold one object, and the coordinates of cameras as iWildCam gives them."""

import json
from collections.abc import Mapping
from pathlib import Path

from homerange.errors import ManifestError

__all__ = ["read_gps", "read_object"]


def read_object(path: Path) -> dict[str, object]:
    """Read a JSON file that holds an object.

    Raises:
        ManifestError: If it is absent, no JSON, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: no such file") from error
    except ValueError as error:  # no JSON, or no UTF-8
        raise ManifestError(f"{path}: not a JSON file ({error})") from error
    except OSError as error:  # a folder, or not ours to read
        raise ManifestError(f"{path}: cannot be read ({error.strerror})") from error
    if not isinstance(content, dict):
        raise ManifestError(f"{path}: holds a {type(content).__name__}; expected a JSON object")
    return content


def read_gps(path: Path) -> dict[str, tuple[float, float]]:
    """Read the coordinates of cameras: ``{"12": {"latitude": -2.3, "longitude": 34.8}}``.

    Returns:
        Location -> latitude and longitude in degrees (WGS 84).

    Raises:
        ManifestError: If the file cannot be read, holds none, or a place is not two numbers on the
            Earth.
    """
    found = {
        location: _place(path, location, entry) for location, entry in read_object(path).items()
    }
    if not found:
        raise ManifestError(f"{path}: holds no location; expected latitude and longitude of each")
    return found


def _place(path: Path, location: str, entry: object) -> tuple[float, float]:
    values = entry if isinstance(entry, Mapping) else {}
    lat, lon = values.get("latitude"), values.get("longitude")
    if isinstance(lat, float | int) and isinstance(lon, float | int):
        if abs(lat) <= 90 and abs(lon) <= 180:
            return float(lat), float(lon)
    raise ManifestError(
        f"{path}: location {location!r} is {entry}; expected a latitude in [-90, 90] and a "
        "longitude in [-180, 180], in degrees"
    )
