"""The verb ``report figures``: what the experts of a world do at a place, drawn.

Four figures, after figures 5, 9 and 10 of the paper, each a PNG with its numbers in a CSV of the
same name: ``routing`` and ``tokens`` from the tables of the world, ``curves`` and ``methods`` from
test photos that are run.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homerange.geo.place import Place
from homerange.report.canvas import Figures, photos_text, write_figures
from homerange.report.curves import curves_table, draw_curves
from homerange.report.files import Written, make_folder, unreadable_note
from homerange.report.methods import draw_methods, methods_table
from homerange.report.routing import draw_routing, graph_of, routing_table
from homerange.report.sweep import sweep
from homerange.report.tokens import draw_tokens, tokens_table
from homerange.specialize.choose import Choice, choose, use_of
from homerange.specialize.species import SpeciesTable, species_at
from homerange.world.tables import Profile
from homerange.world.world import World, open_world

__all__ = ["draw_figures"]


def draw_figures(
    world: str | Path,
    place: Place,
    output: str | Path,
    *,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    experts: str | None = None,
    measure_on: tuple[Path, Path] | None = None,
) -> Written:
    """Draw the figures of a place; those of an earlier time in the same folder are replaced.

    Args:
        world: The folder of a world with experts.
        place: A circle, an S2 cell, or a list of species.
        output: Folder of the figures; made if absent.
        include: Scientific names to add to the species of the place.
        exclude: Scientific names to leave out.
        experts: Which experts are dropped, to show in the first two figures, as ``METHOD:AMOUNT``;
            see :mod:`homerange.specialize.choose`.
        measure_on: The checkpoint that the world was published from, and its manifest: test photos
            are run and two more figures drawn. This needs the extra ``train``.

    Raises:
        ConfigError: If ``experts`` is no such text.
        WorldError: If the world is missing, damaged or has no experts.
        PlaceError: If the world has no records there.
        SpeciesError: If a species is not one that the world knows.
        CheckpointError: If the checkpoint is not that of the world.
        ManifestError: If no test photo of the place's species can be read.
        RunError: If the folder or a figure cannot be written.
        ExtraNotInstalled: If DuckDB is absent.
    """
    choice = Choice.parse(experts) if experts else None
    opened = open_world(world)
    table = species_at(opened, place, include=include, exclude=exclude)
    figures = _of_tables(opened, table, choice)
    make_folder(Path(output))
    unreadable, notes = 0, list(table.warnings)
    if measure_on:
        of_photos, unreadable = _of_photos(opened, table, *measure_on)
        figures = {**figures, **of_photos}
    if unreadable:
        notes.append(unreadable_note(unreadable, "test"))
    paths = write_figures(figures, Path(output))
    return Written(paths=paths, notes=tuple(notes), unreadable=unreadable)


def _of_tables(world: World, table: SpeciesTable, choice: Choice | None) -> Figures:
    """Draw what the tables of the world say."""
    here, everywhere = use_of(world, table.class_index_K), use_of(world)
    kept = choose(world, table.class_index_K, choice, use=here) if choice else None
    of_place = _validation_photos(world, table.class_index_K)
    of_world = _validation_photos(world, np.arange(len(world.labels)))
    panels = (f"the place\n{of_place}", f"the whole world\n{of_world}")
    subtitle = table.place.describe()
    return {
        "routing": (
            draw_routing(here, everywhere, kept, subtitle=subtitle, panels=panels),
            routing_table(graph_of(here), graph_of(everywhere), kept),
        ),
        "tokens": (
            draw_tokens(here, everywhere, kept, subtitle=f"{subtitle}; {of_place}"),
            tokens_table(here, everywhere, kept),
        ),
    }


def _validation_photos(world: World, class_index: NDArray[np.integer]) -> str:
    """Say on how many photos the sums over some classes stand."""
    profile = Profile.read(world.path, "split = 'val'")
    photos = int(profile.photos[np.isin(profile.class_index, class_index)].sum())
    return f"{len(class_index):,} classes, {photos_text(photos, 'validation')}"


def _of_photos(
    world: World, table: SpeciesTable, checkpoint: Path, manifest: Path
) -> tuple[Figures, int]:
    """Run the test photos of the place's species and draw what dropping experts costs."""
    from homerange.report.place_photos import place_photos  # torch, which the others do not need

    photos = place_photos(world, table, checkpoint, manifest)
    found = sweep(world, table.class_index_K, photos.judge)
    number = photos_text(found.whole.every_class.photos, "test")
    subtitle = f"{table.place.describe()}; {number}"
    figures: Figures = {
        "curves": (
            draw_curves(found, subtitle=subtitle, commonest=photos.commonest),
            curves_table(found),
        ),
        "methods": (draw_methods(found, subtitle=subtitle), methods_table(found)),
    }
    return figures, photos.unreadable
