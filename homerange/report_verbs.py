"""The verbs ``homerange report ...``: what a world knows about a place, drawn."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from homerange.place_options import takes_place
from homerange.reports import SOME_REFUSED

if TYPE_CHECKING:
    from homerange.geo.place import Place

__all__ = ["report"]

FILE = click.Path(path_type=Path)


@click.group()
def report() -> None:
    """Draw what the experts of a world do at a place."""


@report.command("figures")
@click.option("--world", type=FILE, required=True, help="Folder of a world with experts.")
@click.option("-o", "--output", type=FILE, required=True, help="Folder of the figures.")
@click.option(
    "--experts", metavar="METHOD:AMOUNT", help="Show which experts stay, as for homerange get."
)
@click.option("--checkpoint", type=FILE, help="The one that the world was published from, and")
@click.option("--manifest", type=FILE, help="its photos: measure what dropping experts costs.")
@takes_place
def report_figures(
    world: Path,
    output: Path,
    experts: str | None,
    checkpoint: Path | None,
    manifest: Path | None,
    place: "Place",
    include: Sequence[str],
    exclude: Sequence[str],
) -> None:
    """Draw the routing graph of a place and the tokens of its experts.

    \b
    homerange report figures --world world --at -2.33,34.83 -o figures
    homerange report figures --world world --s2 2/1 -o figures --experts threshold:95
    homerange report figures --world w --s2 2/1 -o f --checkpoint experts --manifest m.parquet

    The figures are routing.png and tokens.png; with a checkpoint and its photos curves.png and
    methods.png too, for which photos are run. The numbers of each are in a CSV of the same name.
    """
    if (checkpoint is None) != (manifest is None):
        raise click.UsageError("--checkpoint and --manifest measure together; give both")
    from homerange.report.figures import draw_figures

    drawn = draw_figures(
        world,
        place,
        output,
        include=include,
        exclude=exclude,
        experts=experts,
        measure_on=(checkpoint, manifest) if checkpoint and manifest else None,
    )
    for path in drawn.paths:
        click.echo(path)
    for note in drawn.notes:
        click.echo(f"note: {note}", err=True)
    if drawn.unreadable:
        sys.exit(SOME_REFUSED)
