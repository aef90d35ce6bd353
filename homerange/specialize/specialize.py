"""Name a place, get the model: from a world and a place to one file ``NAME.homerange``.

Nothing is trained. The species of the place decide which class rows are kept; the world's evidence
says how good that model is; the package holds both. Photos are read only where the user gives some
to measure smaller models on.
"""

import os
import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import onnx

from homerange import __version__
from homerange.data.images import Preprocessing
from homerange.errors import ConfigError, PackageError
from homerange.geo.place import Place
from homerange.output import obstacle, writing
from homerange.specialize.card import model_card
from homerange.specialize.choose import Choice, choose, use_of
from homerange.specialize.cut import cut_world
from homerange.specialize.expert_figures import ExpertFigures, expert_figures
from homerange.specialize.figures import Figures, measure
from homerange.specialize.lever_search import LeverFigures, search_levers
from homerange.specialize.levers import Models, finished
from homerange.specialize.smaller import Smaller
from homerange.specialize.sparrow import sparrow_manifest
from homerange.specialize.species import SpeciesTable, species_at
from homerange.world.place_package import PACKAGE_VERSION, write_package
from homerange.world.world import World, open_world

__all__ = ["Specialized", "specialize"]


@dataclass(frozen=True, kw_only=True)
class Specialized:
    """A package that was made."""

    path: Path
    sha256: str
    """Of the package."""
    name: str
    table: SpeciesTable
    figures: Figures
    experts: ExpertFigures | None
    """What dropping experts saved; none where all were kept."""
    levers: LeverFigures | None
    """What fewer bits and smaller photos save; none where nobody asked."""
    card: str
    """The model card, in Markdown."""
    seconds: float
    """From opening the world to the finished file."""


def specialize(
    world: str | Path | World,
    place: Place,
    output: str | Path,
    *,
    name: str | None = None,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    experts: str | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
    smaller: Smaller | None = None,
) -> Specialized:
    """Make the model of a place.

    Packages are equal to the last byte but for the time of writing, if world, place, name and
    choices are. Where that must be equal too, the environment variable ``SOURCE_DATE_EPOCH`` gives
    it, in seconds since 1970 (https://reproducible-builds.org/specs/source-date-epoch/).

    Args:
        world: The folder of a world, or one that is open: who makes many packages checks its
            files once.
        place: A circle, an S2 cell, or a list of species.
        output: The package to write, for example ``serengeti.homerange``; a package of
            that name is replaced, another file is not.
        name: Name of the package; without it the name of the file.
        include: Scientific names to add to the species of the place.
        exclude: Scientific names to leave out.
        experts: In a world with experts, which to drop, as ``METHOD:AMOUNT``, for example
            ``first-order:40``; see :mod:`homerange.specialize.choose`. All are kept otherwise.
        on_progress: Is told now and then which share of the work is done, from 0 to 1.
        smaller: Bits of weights, side of photos, and limits to choose them by; without it 32 bits
            and the world's side.

    Raises:
        ConfigError: If ``experts`` is no such text, ``SOURCE_DATE_EPOCH`` no time, or no model
            keeps the limits of ``smaller``.
        ManifestError: If the photos of ``smaller`` cannot be used.
        PackageError: If ``output`` cannot be written, or is there and is no package.
        WorldError: If the world is missing, damaged or cannot be cut.
        PlaceError: If the world has no records there.
        SpeciesError: If a species is not one that the world knows.
        ExtraNotInstalled: If DuckDB is absent.
    """
    start = time.perf_counter()
    path = Path(output)
    name = name or path.name.removesuffix(".homerange")
    _check_output(path)
    choice = Choice.parse(experts) if experts else None
    opened = world if isinstance(world, World) else open_world(world)
    table = species_at(opened, place, include=include, exclude=exclude)
    on_progress(0.2)
    whole = cut_world(opened, table.class_index_K)
    model = finished(onnx.load_from_string(whole), opened.graph)
    on_progress(0.4)
    figures = measure(opened, table, model)
    on_progress(0.7)
    cuts, dropped = {"": whole}, None
    if choice and experts:
        use = use_of(opened, table.class_index_K)
        kept = choose(opened, table.class_index_K, choice, use=use)
        cuts[experts] = cut_world(opened, table.class_index_K, kept)
        model = finished(onnx.load_from_string(cuts[experts]), opened.graph)
        dropped = expert_figures(opened, table, experts, kept, use, model)
    on_progress(0.9)
    preprocessing, levers = opened.preprocessing, None
    if smaller:
        models = Models(cuts, opened.graph)
        levers = search_levers(
            models,
            smaller,
            experts=experts or "",
            labels=table.labels,
            preprocessing=preprocessing,
            on_evidence=figures.rows[2].on_species,
        )
        model = models.model(levers.chosen.levers)
        preprocessing = replace(preprocessing, input_px=levers.chosen.levers.input_px)
    card = model_card(name, opened, table, figures, dropped, levers)
    members = {
        "model.onnx": model,
        "MODEL_CARD.md": card.encode(),
        "labels.txt": "".join(f"{label}\n" for label in table.labels).encode(),
        "manifest.toml": sparrow_manifest(name, preprocessing).encode(),
    }
    with writing(path, PackageError):
        place_json = _place_json(name, opened, table, figures, dropped, levers, preprocessing)
        sha256 = write_package(path, place=place_json, members=members)
    return Specialized(
        path=path,
        sha256=sha256,
        name=name,
        table=table,
        figures=figures,
        experts=dropped,
        levers=levers,
        card=card,
        seconds=time.perf_counter() - start,
    )


def _check_output(path: Path) -> None:
    """Refuse, before any work, what cannot be written or would replace a file that is not ours."""
    if not path.parent.is_dir():
        raise PackageError(f"{path}: there is no folder {path.parent}; make it first")
    if found := obstacle(path):
        raise PackageError(f"{path}: {found}")
    if path.exists() and not _is_package(path):
        raise PackageError(f"{path}: exists and is no place package. Choose another output")


def _is_package(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return "place.json" in file.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _now() -> datetime:
    """Return the time of writing, or that which the environment gives."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError(
            f"SOURCE_DATE_EPOCH is {given!r}; expected seconds since 1970, a whole number. Correct "
            "the environment variable, or unset it"
        ) from error


def _place_json(
    name: str,
    world: World,
    table: SpeciesTable,
    figures: Figures,
    experts: ExpertFigures | None,
    levers: LeverFigures | None,
    preprocessing: Preprocessing,
) -> dict[str, object]:
    """Gather the content of ``place.json``; the hashes of the members are added on writing."""
    return {
        "format": "homerange-place",
        "version": PACKAGE_VERSION,
        "name": name,
        "created": _now().isoformat(timespec="seconds"),
        "homerange": __version__,
        "place": table.place.to_json(),
        "species": [row.to_json() for row in table.species],
        "outcomes": list(table.outcomes),
        "labels": list(table.labels),
        "experts": experts.to_json() if experts else {},
        "levers": levers.to_json() if levers else {},
        "thresholds": {},
        "preprocessing": preprocessing.to_json(),
        "graph": {"input": world.graph.input, "output": world.graph.output},
        "parent": {"name": world.description.name, "sha256": world.sha256},
        "figures": figures.to_json(),
    }
