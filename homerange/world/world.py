"""A world: the folder that the trainer publishes and that every place is cut from.

Plain files: seven, and some that not every world has. ``world.json`` describes the others and holds
the SHA-256 of each, so a world that was copied in part or mixed with another is refused before
anything is made from it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from homerange import __version__
from homerange.data.images import Preprocessing
from homerange.data.names import OUTCOMES
from homerange.errors import WorldError
from homerange.output import atomic_file
from homerange.world.description import Description, Graph
from homerange.world.expert_tables import Drops, Edges, Routing
from homerange.world.ranges import Ranges
from homerange.world.tables import Evidence, Occurrence, Profile, Taxa

__all__ = [
    "RANGE_FILE",
    "WORLD_FILES",
    "WORLD_VERSION",
    "StoredFile",
    "World",
    "open_world",
    "seal_world",
]

WORLD_FORMAT = "homerange-world"
WORLD_VERSION = 4
GRAPH_FILE = "graph.onnx"
WEIGHTS_FILE = "weights.safetensors"
WORLD_FILES = (
    GRAPH_FILE,
    WEIGHTS_FILE,
    Taxa.file,
    Occurrence.file,
    Profile.file,
    Evidence.file,
)
"""All files of every world but ``world.json``."""

EXPERT_FILES = (Routing.file, Edges.file, Drops.file)
"""Files that a world with experts has beside them; the last only where drops were measured."""

RANGE_FILE = "range.onnx"
"""The range model, where one was published with the world."""

OPTIONAL_FILES = (Ranges.file, *EXPERT_FILES, RANGE_FILE)
"""All files that a world may have beside those; the first is there since version 3."""

HASH_ON_OPENING_UP_TO_BYTES = 200 * 10**6
"""A second or less on one core; a larger file is compared by its size until ``World.verify``."""


@dataclass(frozen=True)
class StoredFile:
    """What ``world.json`` says of another file."""

    sha256: str
    bytes: int


@dataclass(frozen=True, eq=False)
class World:
    """A published world, opened for reading."""

    path: Path
    sha256: str
    """Of ``world.json``, which holds the hashes of all other files: the identity of the world."""
    description: Description
    files: Mapping[str, StoredFile]
    taxa: Taxa

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Scientific names and outcomes, in the order of the rows of the head."""
        return tuple(self.taxa.species.tolist())

    @cached_property
    def outcomes(self) -> tuple[str, ...]:
        """Those labels that are no species: ``blank``, ``person``, ``vehicle``."""
        return tuple(label for label in self.labels if label in OUTCOMES)

    @property
    def preprocessing(self) -> Preprocessing:
        """How a photo becomes the input of the graph."""
        return self.description.preprocessing

    @property
    def graph(self) -> Graph:
        """The names of the graph's input, output and class rows."""
        return self.description.graph

    @property
    def graph_path(self) -> Path:
        """The ONNX graph, whose weights lie in ``weights_path``."""
        return self.path / GRAPH_FILE

    @property
    def weights_path(self) -> Path:
        """The safetensors file."""
        return self.path / WEIGHTS_FILE

    def verify(self) -> None:
        """Check the SHA-256 of every file, however large.

        Raises:
            WorldError: If a file is missing or is not the one that was published.
        """
        _check_files(self.path, self.files, hash_up_to_bytes=None)


def open_world(path: str | Path) -> World:
    """Open the folder of a world and check that its files are those that were published.

    Args:
        path: A folder, as written by ``homerange profile``.

    Returns:
        The world. Files above 200 MB were compared by size only; see :meth:`World.verify`.

    Raises:
        WorldError: If the folder or a file is missing, damaged or of another version.
        ExtraNotInstalled: If DuckDB is absent.
    """
    path = Path(path)
    content, sha256 = _read_json(path)
    files = _files(content.pop("files", None), path)
    try:
        description = Description.from_json(content)
    except WorldError as error:
        raise WorldError(f"{path / 'world.json'}: {error}. {_AGAIN}") from error
    _check_files(path, files, hash_up_to_bytes=HASH_ON_OPENING_UP_TO_BYTES)
    taxa = Taxa.read(path)
    _check_taxa(path / Taxa.file, taxa, description.architecture.classes)
    return World(path, sha256, description, files, taxa)


def seal_world(path: str | Path, description: Description) -> str:
    """Write ``world.json`` over the finished files of a world: its last file.

    Args:
        path: A folder with all of ``WORLD_FILES``.
        description: The facts about the world.

    Returns:
        The SHA-256 of ``world.json``, in hex.

    Raises:
        WorldError: If a file is missing.
    """
    path = Path(path)
    missing = [name for name in WORLD_FILES if not (path / name).is_file()]
    if missing:
        raise WorldError(
            f"{path}: lacks {', '.join(missing)}; a world is sealed when all are there"
        )
    names = [*WORLD_FILES, *(name for name in OPTIONAL_FILES if (path / name).is_file())]
    files = {n: asdict(StoredFile(_sha256(path / n), (path / n).stat().st_size)) for n in names}
    head = {"format": WORLD_FORMAT, "version": WORLD_VERSION}
    content = {**head, **description.to_json(), "files": files}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False).encode()
    with atomic_file(path / "world.json") as file:
        file.write(text)
    return hashlib.sha256(text).hexdigest()


_NEW_IN_GRAPH: dict[object, dict[str, object]] = {
    1: {"experts": [], "drop_rule": "reroute"},  # knew dense worlds only
    2: {"drop_rule": "reroute"},  # knew no other rule
}
"""What an older version left out of ``graph``, and what held then."""

_AGAIN = "Copy or download the world again, or publish it again with: homerange profile"


def _read_json(path: Path) -> tuple[dict[str, object], str]:
    """Return what ``world.json`` holds, without format and version, and its hash."""
    file = path / "world.json"
    try:
        data = file.read_bytes()
    except OSError as error:
        raise WorldError(
            f"{path}: is no world ({file.name}: {error.strerror}). Expected a folder as written "
            "by: homerange profile"
        ) from error
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WorldError(f"{file}: is not JSON ({error}). {_AGAIN}") from error
    if not isinstance(content, dict) or content.pop("format", None) != WORLD_FORMAT:
        raise WorldError(f'{file}: does not say "format": "{WORLD_FORMAT}". {_AGAIN}')
    version = content.pop("version", None)
    if version not in range(1, WORLD_VERSION + 1):
        raise WorldError(
            f"{file}: is a world of version {version!r}; homerange {__version__} reads versions 1 "
            f"to {WORLD_VERSION}. Install the homerange that made it "
            f"({content.get('homerange', 'unknown')}), or publish the world again"
        )
    if isinstance(content.get("graph"), dict):
        content["graph"] = _NEW_IN_GRAPH.get(version, {}) | content["graph"]
    return content, hashlib.sha256(data).hexdigest()


def _files(values: object, path: Path) -> dict[str, StoredFile]:
    if not isinstance(values, dict) or not set(WORLD_FILES) <= set(values):
        raise WorldError(
            f"{path / 'world.json'}: 'files' must give SHA-256 and bytes of each of "
            f"{', '.join(WORLD_FILES)}. {_AGAIN}"
        )
    climbing = [name for name in values if Path(name).name != name]
    if climbing:
        raise WorldError(
            f"{path / 'world.json'}: names the file {climbing[0]!r}; the files of a world lie in "
            f"its own folder. {_AGAIN}"
        )
    try:
        return {name: StoredFile(**entry) for name, entry in values.items()}
    except TypeError as error:
        raise WorldError(
            f"{path / 'world.json'}: an entry of 'files' is not {{sha256, bytes}}. {_AGAIN}"
        ) from error


def _check_files(
    path: Path, files: Mapping[str, StoredFile], *, hash_up_to_bytes: int | None
) -> None:
    missing = [name for name in files if not (path / name).is_file()]
    if missing:
        raise WorldError(
            f"{path}: lacks {', '.join(missing)}; world.json lists {len(files)} files. {_AGAIN}"
        )
    for name, expected in files.items():
        size = (path / name).stat().st_size
        if size != expected.bytes:
            raise WorldError(
                f"{path / name}: has {size:,} bytes; world.json says {expected.bytes:,}. {_AGAIN}"
            )
        if hash_up_to_bytes is not None and size > hash_up_to_bytes:
            continue
        found = _sha256(path / name)
        if found != expected.sha256:
            raise WorldError(
                f"{path / name}: is not the file that was published: expected SHA-256 "
                f"{expected.sha256}, found {found}. {_AGAIN}"
            )


def _check_taxa(path: Path, taxa: Taxa, classes: int) -> None:
    labels = taxa.species.tolist()
    if len(taxa) != classes or len(taxa) == 0:
        raise WorldError(
            f"{path}: has {len(taxa)} rows; world.json says {classes} classes. {_AGAIN}"
        )
    if taxa.class_index.tolist() != list(range(classes)):
        raise WorldError(f"{path}: class_index must count the rows: 0, 1, 2 ... {_AGAIN}")
    if len(set(labels)) != classes:
        twice = next(label for label in labels if labels.count(label) > 1)
        raise WorldError(f"{path}: the class {twice!r} occurs twice; a class has one row. {_AGAIN}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
