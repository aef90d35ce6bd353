"""SpeciesNet's list of photos: ``{"instances": [{"filepath": ..., "country": ...}, ...]}``.

Source: the README of SpeciesNet 5 (github.com/google/cameratrapai). Its fields ``country``,
``admin1_region``, ``latitude`` and ``longitude`` change no answer here, because a package is cut
for its place already; they are handed on to the results, and coordinates far from that place warn.

The file is read in pieces, so that a list of a million photos needs no memory for all of them.
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from homerange.errors import RunError

__all__ = ["GIVEN_FIELDS", "Given", "read_instances"]

GIVEN_FIELDS = ("country", "admin1_region", "latitude", "longitude")

Given = tuple[tuple[str, str | float], ...]
"""Fields of one photo, in the order of `GIVEN_FIELDS`; those that are absent are left out."""

_PIECE = 1 << 16
_LONGEST = 1 << 20  # no instance has a million letters
_BETWEEN = re.compile(r"[\s,]*")


def read_instances(path: Path) -> Iterator[tuple[str, Given]]:
    """Read the photos of an instances file one by one.

    Args:
        path: The JSON file.

    Yields:
        The name of each photo and what the file says about it.

    Raises:
        RunError: If the file cannot be read or is no such list.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, instance in enumerate(_objects(file), start=1):
                yield _instance(instance, path, number)
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # no JSON, or no UTF-8
        if isinstance(error, RunError):
            raise
        raise RunError(f"{path}: no list of instances ({error}). {_EXPECTED}") from error


_EXPECTED = 'Expected {"instances": [{"filepath": "a.jpg"}, ...]}, as SpeciesNet takes it'


def _objects(file: TextIO) -> Iterator[object]:
    """Give the members of the list ``instances``, holding one piece of the file at a time."""
    decoder = json.JSONDecoder()
    text = file.read(_PIECE)
    start = text.find("[")
    if "".join(text[: max(start, 0)].split()) != '{"instances":':
        raise ValueError("it does not begin with the list of instances")
    at = start + 1
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # matches nothing, too
        if text.startswith("]", at):
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError:
            piece = file.read(_PIECE)
            if not piece or len(text) - at > _LONGEST:
                raise
            text, at = text[at:] + piece, 0
            continue
        yield value


def _instance(instance: object, path: Path, number: int) -> tuple[str, Given]:
    name = instance.get("filepath") if isinstance(instance, dict) else None
    if not isinstance(instance, dict) or not isinstance(name, str) or not name:
        raise RunError(f"{path}: instance {number} has no filepath. {_EXPECTED}")
    given = [(field, instance[field]) for field in GIVEN_FIELDS if field in instance]
    return name, tuple((k, v) for k, v in given if _is_plain(v))


def _is_plain(value: object) -> bool:
    """Python's reader takes NaN and lone surrogates, which no other reader of the results would."""
    if isinstance(value, str):
        return value.isprintable()
    return isinstance(value, int | float) and math.isfinite(value)
