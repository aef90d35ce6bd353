"""The page of a world, as a folder of files: open it from disk, or put it on any web host.

Everything that the page asks of a world is in it, so that places are computed in the browser; a
server adds nothing but finished packages. The browser is told to reach nothing else.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homerange import __version__
from homerange.errors import ConfigError
from homerange.map.chunks import chunk_script
from homerange.map.link import link_modules
from homerange.map.shapes import shapes_chunk
from homerange.map.tables import Chunk, evidence_chunk, records_chunk, routing_chunk
from homerange.output import writing
from homerange.specialize.cut import cut_world
from homerange.specialize.names import classes_of
from homerange.world.world import World, open_world

__all__ = ["CONTENT_POLICY", "Site", "write_site"]

STATIC = Path(__file__).with_name("static")
MARK = Path("vendor", "maplibre-gl.js")
"""Copied first: a folder that holds it is a page of ours, finished or not."""

RUNTIME_FILES = ("ort.js", "ort-wasm.js")
"""The runtime for photos in the browser; ``make map`` fetches it, the page works without."""

CONTENT_POLICY: Mapping[str, str] = {
    "default-src": "'none'",
    "script-src": "'self' 'wasm-unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",  # MapLibre and SVG that is saved set styles
    "img-src": "'self' data: blob:",
    "worker-src": "blob:",  # MapLibre starts its workers from a blob
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
}
"""What the page may load: nothing from elsewhere. A server sends it as a header as well."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """A page that was written."""

    path: Path
    """Its ``index.html``."""
    bytes: int
    """Of all files together."""
    runs_photos: bool
    """Whether photos can be tried on the page: the runtime was there."""


def write_site(
    world: str | Path | World,
    output: str | Path,
    *,
    api: str | None = None,
    withhold: Iterable[str] = (),
) -> Site:
    """Write the page of a world.

    Args:
        world: The folder of a world, or one that is open.
        output: The folder to write; a page that is there is replaced, nothing else is.
        api: Where the server answers, relative to the page, for example ``"api"``; without it the
            page shows the command that makes a package, and builds nothing.
        withhold: Scientific names whose range the page does not draw.

    Raises:
        ConfigError: If ``output`` holds something else, or cannot be written.
        SpeciesError: If a name is none of the world's.
        WorldError: If the world is missing or damaged.
        ExtraNotInstalled: If DuckDB or ONNX is absent.
    """
    folder = Path(output)
    _check_folder(folder)
    opened = world if isinstance(world, World) else open_world(world)
    withheld = classes_of(opened, withhold, "--withhold")
    chunks = _chunks(opened)
    chunks["world"] = _world_chunk(opened, api, withheld, chunks)
    with writing(folder, ConfigError):
        _copy_static(folder, online=api is not None)
        for name, (facts, arrays) in chunks.items():
            script = chunk_script(name, facts, arrays)
            (folder / "data" / f"{name}.js").write_text(script, encoding="utf-8")
    files = [path for path in folder.rglob("*") if path.is_file()]
    return Site(
        path=folder / "index.html",
        bytes=sum(path.stat().st_size for path in files),
        runs_photos=_has_runtime(),
    )


def _chunks(world: World) -> dict[str, Chunk]:
    chunks = {
        "shapes": shapes_chunk(),
        "records": records_chunk(world),
        "evidence": evidence_chunk(world),
        "model": _model_chunk(world),
    }
    if any(layer.experts for layer in world.graph.experts):
        chunks["routing"] = routing_chunk(world)
    return chunks


def _world_chunk(
    world: World, api: str | None, withheld: list[int], chunks: Mapping[str, Chunk]
) -> Chunk:
    """What the page needs before anything else; all of it is facts."""
    description = world.description
    facts: dict[str, object] = {
        "name": description.name,
        "sha256": world.sha256,
        "created": description.created,
        "homerange": __version__,
        "licence": description.licence.weights,
        "labels": list(world.labels),
        "common_names": [name or "" for name in world.taxa.common_name.tolist()],
        "outcomes": list(world.outcomes),
        "preprocessing": world.preprocessing.to_json(),
        "graph": {"input": world.graph.input, "output": world.graph.output},
        "drop_rule": world.graph.drop_rule,
        "sizes": _sizes(world),
        "withheld": withheld,
        "api": api,
        "chunks": [*sorted(chunks)],
        "runs_photos": _has_runtime(),
    }
    return facts, {}


def _sizes(world: World) -> dict[str, object]:
    """What models weigh, so that the page can say it for any list: a package is linear in both.

    A cut with one class less, and with one expert less of each layer, gives the slopes.
    """
    every = np.arange(len(world.labels))
    whole = len(cut_world(world, every))
    per_class = whole - len(cut_world(world, every[:-1])) if len(every) > 1 else 0
    per_expert = {
        str(layer.layer): whole
        - len(cut_world(world, every, {layer.layer: np.arange(layer.experts - 1)}))
        for layer in world.graph.experts
        if layer.experts > 1
    }
    published = world.graph_path.stat().st_size + world.weights_path.stat().st_size
    return {
        "world_bytes": published,
        "whole_cut_bytes": whole,
        "class_bytes": per_class,
        "expert_bytes": per_expert,
    }


def _model_chunk(world: World) -> Chunk:
    """The world's graph and weights, for photos that are tried on the page."""
    arrays: dict[str, NDArray[np.generic]] = {
        "graph": np.frombuffer(world.graph_path.read_bytes(), np.uint8),
        "weights": np.frombuffer(world.weights_path.read_bytes(), np.uint8),
    }
    return {"weights_file": world.weights_path.name}, arrays


def _has_runtime() -> bool:
    return all((STATIC / "vendor" / name).is_file() for name in RUNTIME_FILES)


def _check_folder(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise ConfigError(f"{folder}: holds files that are no page of a world; name a new folder")


def _copy_static(folder: Path, *, online: bool) -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    shutil.copytree(STATIC / "vendor", folder / "vendor", dirs_exist_ok=True)
    shutil.copy(STATIC / "style.css", folder / "style.css")
    (folder / "page.js").write_text(link_modules(STATIC / "js", "main.js"), encoding="utf-8")
    policy = dict(CONTENT_POLICY) | ({} if online else {"connect-src": "'none'"})
    text = "; ".join(f"{name} {value}" for name, value in policy.items())
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    (folder / "index.html").write_text(page.replace("{content-policy}", text), encoding="utf-8")
