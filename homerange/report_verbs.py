"""The verbs ``homerange report ...``: what photos, worlds and networks hold, drawn and counted."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from homerange.place_options import takes_place
from homerange.reports import SOME_REFUSED

if TYPE_CHECKING:
    from homerange.geo.place import Place
    from homerange.report.files import Written

__all__ = ["report"]

FILE = click.Path(path_type=Path)
FIGURES = click.option("-o", "--output", type=FILE, required=True, help="Folder of the figures.")


@click.group()
def report() -> None:
    """Draw the figures of the paper and write its tables, for your own photos and networks."""


@report.command("figures")
@click.option("--world", type=FILE, required=True, help="Folder of a world with experts.")
@FIGURES
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
    _tell(drawn)


PLACES = click.option(
    "--places",
    default="iNat-Geo-10K-6",
    show_default=True,
    help="iNat-Geo-10K-6, iWildcam-6, regions, or names with commas between: 2/1,0/.",
)


@report.command("data")
@click.argument("manifest", type=FILE)
@FIGURES
@PLACES
@click.option(
    "--level",
    type=click.IntRange(0, 6),
    default=5,
    show_default=True,
    help="S2 level of the cells that a record covers, for spread.png.",
)
@click.option("--world", type=FILE, help="Ask its range model instead of records, for spread.png.")
def report_data(manifest: Path, output: Path, places: str, level: int, world: Path | None) -> None:
    """Draw what a manifest holds and where: locations, photos of each class, spread of species.

    \b
    homerange report data manifest.parquet -o figures
    homerange report data wilds.parquet -o figures --places iWildcam-6
    homerange report data manifest.parquet -o figures --places regions --level 4
    homerange report data manifest.parquet -o figures --world world

    The figures are map.png, classes.png and spread.png (figures 2 to 4 of the paper); the numbers
    of each are in a CSV of the same name. The locations are six S2 cells (iNat-Geo-10K-6), six
    clusters of cameras (iWildcam-6), the six regions with the most training photos (regions), or
    those that you name.
    """
    from homerange.report.data import draw_data

    _tell(draw_data(manifest, output, places=places, level=level, world=world))


@report.command("experts")
@click.argument("checkpoint", type=FILE)
@click.argument("manifest", type=FILE)
@FIGURES
@click.option("--layer", type=int, help="A layer with experts; the last one otherwise.")
@PLACES
@click.option(
    "--photos-per-class",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Most photos of a class that are run.",
)
@click.option(
    "--encoder", type=FILE, help="That of the location stage: a range model or a .pth.tar."
)
@click.option("--located", type=FILE, help="Checkpoint of the location stage, if another one.")
def report_experts(
    checkpoint: Path,
    manifest: Path,
    output: Path,
    layer: int | None,
    places: str,
    photos_per_class: int,
    encoder: Path | None,
    located: Path | None,
) -> None:
    """Draw what the experts of one layer look at, on validation photos.

    \b
    homerange report experts experts manifest.parquet -o figures
    homerange report experts experts manifest.parquet -o figures --layer 3 --places regions
    homerange report experts ex m.parquet -o f --encoder ranges --located located

    The figures are patches.png (the patches nearest to the centres of experts), class-affinity.png
    (which experts the classes go to) and place-affinity.png (which locations classes and experts
    are near): figures 6 to 8 of the paper. The numbers of each are in a CSV of the same name.

    With --encoder a location is what the location encoder says of it, as in the paper; without, it
    is the mean patch of its training photos. Photos that show people are left out.
    """
    if located is not None and encoder is None:
        raise click.UsageError("--located has the projections of --encoder; give both")
    from homerange.report.experts import draw_experts

    drawn = draw_experts(
        checkpoint,
        manifest,
        output,
        layer=layer,
        places=places,
        photos_per_class=photos_per_class,
        encoder=encoder,
        located=located,
    )
    _tell(drawn)


@report.command("tables")
@click.argument("manifest", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="Folder of the tables.")
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    metavar="[NAME=]FOLDER",
    help="A checkpoint to measure; repeatable.",
)
@PLACES
def report_tables(manifest: Path, output: Path, checkpoints: Sequence[str], places: str) -> None:
    """Write the tables of the paper for your own photos and checkpoints, beside its numbers.

    \b
    homerange report tables manifest.parquet -o tables
    homerange report tables m.parquet -o tables --checkpoint dense --checkpoint moe=experts
    homerange report tables wilds.parquet -o tables --places iWildcam-6 --checkpoint dense-6=ck

    table1: photos and classes of each location. With checkpoints table2 (all test photos, known and
    new cameras), table3 (each location, all classes and listed ones) and sizes (parameters and
    operations); each as .md and as .csv. The paper's numbers stand in columns that begin with
    paper. A checkpoint named as a row of the paper stands beside it: dense, loc-all, loc-last-two
    (table 2); dense, dense-6, dense-1, moe, moe-6, moe-6-loc, moe-1 (table 3).
    """
    from homerange.report.tables import named_checkpoints, write_tables

    named = named_checkpoints(checkpoints)
    _tell(write_tables(manifest, output, checkpoints=named, places=places))


@report.command("levers")
@click.argument("package", type=FILE)
@FIGURES
def report_levers(package: Path, output: Path) -> None:
    """Draw what the levers of a package save and cost: bits of weights, side of photos.

    \b
    homerange report levers serengeti.homerange -o figures

    The figure is levers.png, its numbers are in levers.csv. The package was made with a lever or a
    limit, for example with homerange get --budget knee.
    """
    from homerange.report.lever_curve import draw_levers

    _tell(draw_levers(package, output))


def _tell(made: "Written") -> None:
    """Name the files that were made, and say what a reader should know."""
    for path in made.paths:
        click.echo(path)
    for note in made.notes:
        click.echo(f"note: {note}", err=True)
    if made.unreadable:
        sys.exit(SOME_REFUSED)
