"""The place package: one file ``NAME.homerange`` that a device needs to know a place's species.

A zip with exactly five members: ``model.onnx`` (self-contained), ``place.json`` (the contract),
``MODEL_CARD.md``, ``labels.txt`` (one label per line, in class order) and ``manifest.toml`` (the
layout that Sparrow Engine loads). ``docs/place-package.md`` describes the fields.

A package may come from a stranger, so nothing is unpacked to disk, sizes are bounded before
anything is read, and every member must have the SHA-256 that ``place.json`` gives for it. That
detects damage; it does not prove who made the package, because ``place.json`` travels with it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from homerange import __version__
from homerange.data.images import Preprocessing
from homerange.data.names import OUTCOMES
from homerange.errors import HomerangeError, PackageError
from homerange.output import atomic_file
from homerange.world.sealed_zip import MAX_TOTAL_BYTES, pack, unpack

__all__ = [
    "MEMBERS",
    "PACKAGE_VERSION",
    "PlacePackage",
    "read_package",
    "write_package",
]

PACKAGE_FORMAT = "homerange-place"
PACKAGE_VERSION = 2
READ_VERSIONS = (1, 2)
MEMBERS = ("MODEL_CARD.md", "labels.txt", "manifest.toml", "model.onnx", "place.json")

MAX_PLACE_JSON_BYTES = 32 * 10**6
"""Bound before parsing; 5,089 species with their reasons need about 2 MB."""

PLACE_KEYS = frozenset(
    "format version name created homerange place species outcomes labels experts thresholds "
    "preprocessing graph parent figures files".split()
)
NEW_KEYS = {"adapted": 2, "levers": 2}
"""Keys that not every package has, and the version since which there are such."""

GRAPH_KEYS = frozenset(("input", "output"))

_REMAKE = "Copy or download it again, or make it again with: homerange get"


@dataclass(frozen=True)
class PlacePackage:
    """A verified place package, ready to load."""

    path: Path
    sha256: str
    """Of the whole file: the identity of the package in journals and results."""
    name: str
    labels: tuple[str, ...]
    """Scientific names and outcomes, in the order of the model's logits."""
    outcomes: tuple[str, ...]
    """Those labels that are no species: ``blank``, ``person``, ``vehicle``."""
    common_names: Mapping[str, str]
    """Scientific name -> common name; an empty string where none is known."""
    preprocessing: Preprocessing
    input_name: str
    output_name: str
    model: bytes
    """A self-contained ONNX model: uint8 (batch, input_px, input_px, 3) -> logits."""
    place: Mapping[str, object]
    """The whole of ``place.json``."""


def write_package(
    path: str | Path, *, place: Mapping[str, object], members: Mapping[str, bytes]
) -> str:
    """Write a place package: the same content gives the same bytes.

    Args:
        path: Where to write; replaced whole, or left as it was if anything is wrong.
        place: The content of ``place.json`` without ``files``, which is filled in here.
        members: The content of every other member of ``MEMBERS``, by name.

    Returns:
        The SHA-256 of the file, in hex.

    Raises:
        PackageError: If a member is missing or unknown, or ``place`` breaks the contract.
    """
    expected = set(MEMBERS) - {"place.json"}
    if set(members) != expected:
        raise PackageError(
            f"a place package is written from the members {sorted(expected)}; "
            f"got {sorted(members)}. place.json is made from the argument place."
        )
    files = {name: _fingerprint(data) for name, data in sorted(members.items())}
    data = pack({**members, "place.json": _dump_place({**place, "files": files}, Path(path))})
    _parse(data, Path(path))  # what cannot be read back is never written
    with atomic_file(path) as file:
        file.write(data)
    return hashlib.sha256(data).hexdigest()


def read_package(path: str | Path) -> PlacePackage:
    """Read a place package and verify all of it.

    Args:
        path: A ``.homerange`` file.

    Returns:
        The verified package.

    Raises:
        PackageError: If the file is missing, is no place package, has another version, is
            damaged, or does not agree with itself. The message says which, and what to do.
    """
    path = Path(path)
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_TOTAL_BYTES:
            raise PackageError(
                f"{path}: {size_bytes:,} bytes; a place package has at most {MAX_TOTAL_BYTES:,}"
            )
        data = path.read_bytes()
    except OSError as error:
        raise PackageError(
            f"{path}: cannot be opened ({error.strerror}). Expected a .homerange file, "
            "as written by: homerange get"
        ) from error
    return _parse(data, path)


def _parse(data: bytes, path: Path) -> PlacePackage:
    try:
        members = unpack(data, MEMBERS)
    except PackageError as error:
        raise PackageError(f"{path}: {error}. {_REMAKE}") from error
    place = _load_place(members["place.json"], path)
    _check_keys(place, path)
    _check_files(place, members, path)
    labels = _strings(place, "labels", path)
    outcomes = _strings(place, "outcomes", path)
    common_names = _common_names(place, path)
    _check_labels(labels, outcomes, common_names, path)
    if members["labels.txt"] != ("\n".join(labels) + "\n").encode():
        raise PackageError(f"{path}: labels.txt and place.json list different labels. {_REMAKE}")
    graph = _object(place, "graph", path)
    return PlacePackage(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        name=_string(place, "name", path),
        labels=labels,
        outcomes=outcomes,
        common_names=MappingProxyType(common_names),
        preprocessing=_preprocessing(place, path),
        input_name=_string(graph, "input", path),
        output_name=_string(graph, "output", path),
        model=members["model.onnx"],
        place=MappingProxyType(place),
    )


def _dump_place(place: Mapping[str, object], path: Path) -> bytes:
    try:
        return json.dumps(place, indent=1, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise PackageError(f"{path}: place.json cannot be written as JSON: {error}") from error


def _load_place(data: bytes, path: Path) -> dict[str, object]:
    if len(data) > MAX_PLACE_JSON_BYTES:
        raise PackageError(
            f"{path}: place.json has {len(data):,} bytes; expected <= {MAX_PLACE_JSON_BYTES:,}"
        )
    try:
        place = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise PackageError(f"{path}: place.json is not JSON ({error}). {_REMAKE}") from error
    if not isinstance(place, dict) or place.get("format") != PACKAGE_FORMAT:
        raise PackageError(
            f'{path}: place.json does not say "format": "{PACKAGE_FORMAT}". {_REMAKE}'
        )
    if place.get("version") not in READ_VERSIONS:
        raise PackageError(
            f"{path}: is a place package of version {place.get('version')!r}; homerange "
            f"{__version__} reads versions {' and '.join(map(str, READ_VERSIONS))}. "
            f"{_use_its_maker(place)}"
        )
    return place


def _use_its_maker(place: Mapping[str, object]) -> str:
    return (
        f"Install the homerange that made it ({place.get('homerange', 'unknown')}), or make it "
        "again with: homerange get"
    )


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")  # Python reads it, no other reader does


def _check_keys(place: Mapping[str, object], path: Path) -> None:
    """Refuse what this version does not know: run without it, the model would answer otherwise."""
    graph = _object(place, "graph", path)
    # The version is one that this reader knows: a whole number.
    version = int(str(place["version"]))
    known = PLACE_KEYS | {key for key, since in NEW_KEYS.items() if since <= version}
    unknown = [*(set(place) - known), *(f"graph.{key}" for key in set(graph) - GRAPH_KEYS)]
    if unknown:
        raise PackageError(
            f"{path}: place.json has the key {min(unknown)!r}, which homerange {__version__} does "
            f"not know and cannot obey. {_use_its_maker(place)}"
        )
    for key in ("experts", "levers"):
        if key in place:
            _object(place, key, path)
    if "thresholds" in place and _object(place, "thresholds", path):
        raise PackageError(
            f"{path}: place.json has thresholds, which homerange {__version__} does not apply; "
            f"expected none. {_use_its_maker(place)}"
        )


def _check_files(place: dict[str, object], members: dict[str, bytes], path: Path) -> None:
    listed = _object(place, "files", path)
    if set(listed) != set(MEMBERS) - {"place.json"}:
        raise PackageError(
            f"{path}: place.json gives hashes of {sorted(listed)}; expected every member but "
            f"itself. {_REMAKE}"
        )
    for name in sorted(listed):
        expected, found = listed[name], _fingerprint(members[name])
        if expected != found:
            raise PackageError(
                f"{path}: {name} is not the file that was packed: expected {expected}, "
                f"found {found}. {_REMAKE}"
            )


def _check_labels(
    labels: tuple[str, ...], outcomes: tuple[str, ...], species: Mapping[str, str], path: Path
) -> None:
    if not labels or len(set(labels)) != len(labels):
        raise PackageError(
            f"{path}: place.json has {len(labels)} labels, {len(set(labels))} of them different; "
            f"expected at least one, each once. {_REMAKE}"
        )
    broken = [label for label in labels if "\n" in label or not label]
    if broken:
        raise PackageError(f"{path}: label {broken[0]!r} is empty or has two lines. {_REMAKE}")
    strange = sorted(set(outcomes) - set(OUTCOMES))
    if strange:
        raise PackageError(
            f"{path}: outcome {strange[0]!r} is unknown; expected {', '.join(OUTCOMES)}. {_REMAKE}"
        )
    odd = sorted(set(labels) ^ {*outcomes, *species})
    if odd:
        raise PackageError(
            f"{path}: {odd[0]!r} is not in both place.json's labels and its species or outcomes. "
            f"{_REMAKE}"
        )


def _common_names(place: dict[str, object], path: Path) -> dict[str, str]:
    rows = place.get("species")
    if not isinstance(rows, list):
        raise PackageError(f"{path}: place.json lacks the list 'species'. {_REMAKE}")
    names: dict[str, str] = {}
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("species"), str):
            raise PackageError(f"{path}: place.json has a species without a name. {_REMAKE}")
        names[row["species"]] = str(row.get("common_name") or "")
    return names


def _preprocessing(place: dict[str, object], path: Path) -> Preprocessing:
    try:
        return Preprocessing.from_json(_object(place, "preprocessing", path))
    except PackageError:
        raise
    except (HomerangeError, TypeError, ValueError) as error:
        raise PackageError(
            f"{path}: this homerange ({__version__}) cannot prepare photos as the package asks: "
            f"{error}"
        ) from error


def _object(parent: Mapping[str, object], key: str, path: Path) -> dict[str, object]:
    value = parent.get(key)
    if not isinstance(value, dict):
        raise PackageError(f"{path}: place.json lacks the object {key!r}. {_REMAKE}")
    return value


def _string(parent: Mapping[str, object], key: str, path: Path) -> str:
    value = parent.get(key)
    if not isinstance(value, str) or not value:
        raise PackageError(f"{path}: place.json lacks the text {key!r}. {_REMAKE}")
    return value


def _strings(parent: Mapping[str, object], key: str, path: Path) -> tuple[str, ...]:
    value = parent.get(key)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise PackageError(f"{path}: place.json lacks the list of texts {key!r}. {_REMAKE}")
    return tuple(value)


def _fingerprint(data: bytes) -> dict[str, object]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
