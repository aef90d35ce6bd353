"""The ``homerange`` command. A verb parses, calls one public function and prints; nothing more.

Verbs import their package when called, so ``homerange --help`` starts without torch. Exit codes:
0 done, 1 nothing could be done, 2 wrong use, 3 done with some inputs refused.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from homerange import __version__
from homerange.adopt_verbs import adapt, adopt
from homerange.demo_verb import demo
from homerange.errors import HomerangeError
from homerange.export_verbs import export
from homerange.extras import explain
from homerange.import_verbs import import_
from homerange.map_verb import map_
from homerange.place_options import takes_area, takes_place
from homerange.report_verbs import report
from homerange.reports import report_unreadable
from homerange.run_verbs import bench, predict, watch
from homerange.size_options import takes_size
from homerange.train_verbs import train
from homerange.world_option import takes_world

if TYPE_CHECKING:
    from homerange.geo.place import Place
    from homerange.specialize.smaller import Smaller
    from homerange.world.description import DropRule

__all__ = ["main"]

FILE = click.Path(path_type=Path)


class _Group(click.Group):
    """Turn our own errors into one line on stderr and exit code 1; let bugs show a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a verb; explain what it could not do in one line."""
        try:
            return super().invoke(ctx)
        except HomerangeError as error:
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            explained = explain(error)
            if explained is None:
                raise
            raise click.ClickException(str(explained)) from error

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a verb; ``specialize`` is another name of ``get``."""
        return super().get_command(ctx, "get" if cmd_name == "specialize" else cmd_name)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="homerange")
def main() -> None:
    """Name a place and get a small species-recognition model for it.

    \b
    photos -> import -> train -> profile -> a world
    a world + a place -> get -> a package of a few megabytes -> predict -> results
    """


main.add_command(import_)
main.add_command(train)
main.add_command(report)
main.add_command(predict)
main.add_command(watch)
main.add_command(bench)
main.add_command(adopt)
main.add_command(adapt)
main.add_command(export)
main.add_command(map_)
main.add_command(demo)


@main.command()
@click.argument("manifest", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="The list to write, .csv.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), help="Only this split.")
@takes_area
def photos(manifest: Path, output: Path, split: str | None, area: "Place | None") -> None:
    """List photos of a manifest with their known species, for predict or another tool.

    \b
    homerange photos manifest.parquet --split test --at -2.33,34.83 -o serengeti.csv
    """
    from homerange.data.manifest import Manifest, check_output
    from homerange.data.photo_list import near, write_photo_list

    check_output(output, manifest)
    chosen = Manifest.read(manifest)
    chosen = chosen.split(split) if split else chosen
    count = write_photo_list(near(chosen, area) if area else chosen, output)
    click.echo(f"{count:,} photos: {output}")


@main.command()
@click.argument("checkpoint", type=FILE)
@click.argument("manifest", type=FILE)
@click.option(
    "--split", type=click.Choice(["train", "val", "test"]), default="test", show_default=True
)
def evaluate(checkpoint: Path, manifest: Path, split: str) -> None:
    """Measure a checkpoint: overall and per region, beside chance and majority.

    \b
    homerange evaluate checkpoint manifest.parquet
    """
    from homerange.baselines.systems import network_of
    from homerange.show import print_evaluation
    from homerange.train.evaluate import evaluate as run

    evaluation = run(checkpoint, manifest, split=split, build=network_of)
    print_evaluation(evaluation)
    report_unreadable(evaluation.unreadable, checkpoint / f"refused-evaluate-{split}.csv")


@main.command()
@click.argument("checkpoint", type=FILE)
@click.argument("manifest", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="Folder of the world.")
@click.option("--name", help="Name of the world; that of the folder otherwise.")
@click.option("--licence", help="Licence of photos that state none.")
@click.option(
    "--exact",
    default=0,
    metavar="PHOTOS",
    help="Of each class, for which every expert is dropped in turn; none otherwise.",
)
@click.option(
    "--drop-rule",
    type=click.Choice(["reroute", "zero", "literal", "skip", "mean"]),
    default="reroute",
    show_default=True,
    help="What becomes of the patches of a dropped expert.",
)
@click.option("--range", "range_model", type=FILE, help="A range model, to publish with the world.")
@click.option("--occurrences", type=FILE, help="Records of species, as import gbif writes them.")
def profile(
    checkpoint: Path,
    manifest: Path,
    output: Path,
    name: str | None,
    licence: str | None,
    exact: int,
    drop_rule: "DropRule",
    range_model: Path | None,
    occurrences: Path | None,
) -> None:
    """Run a checkpoint over validation and test photos and publish it as a world.

    \b
    homerange profile checkpoint manifest.parquet -o world
    homerange profile experts manifest.parquet -o world --exact 5
    homerange profile experts manifest.parquet -o world --drop-rule zero
    homerange profile checkpoint manifest.parquet -o world --range ranges
    homerange profile checkpoint manifest.parquet -o world --occurrences mammals.parquet

    A dropped expert leaves patches behind. reroute: the best expert that is left takes them. zero:
    what leaves the layer is zero (the paper's aim). literal: the experts' answer is minus their
    input (the paper's formula). skip: they answer nothing. mean: they answer the mean answer of the
    dropped expert. The world remembers the rule, and its places follow it.
    """
    from homerange.profile.publish import publish

    published = publish(
        checkpoint,
        manifest,
        output,
        name=name,
        licence=licence,
        exact=exact,
        drop_rule=drop_rule,
        range_model=range_model,
        occurrences=occurrences,
    )
    click.echo(f"{published.classes:,} classes, {published.photos:,} photos judged: {output}")
    report_unreadable(published.unreadable, output / "refused-profile.csv")


@main.command()
@takes_world
@click.option("-o", "--output", type=FILE, help="A list to write, .csv or .json.")
@click.option(
    "--format", "format_", type=click.Choice(["table", "csv", "json"]), help="If not by the suffix."
)
@takes_place
def species(
    world: Path,
    output: Path | None,
    format_: str | None,
    place: "Place",
    include: Sequence[str],
    exclude: Sequence[str],
) -> None:
    """List the species to expect at a place, each with the reason.

    \b
    homerange species --world world --at -2.33,34.83
    homerange species --world world --country Kenya --at -2.33,34.83 --exclude "Bos taurus"
    homerange species --world world --geojson reserve.geojson -o reserve.csv
    """
    from homerange.show import print_species, warn
    from homerange.specialize.species import species_at
    from homerange.specialize.species_file import format_of, species_text, write_species
    from homerange.world.world import open_world

    chosen = format_of(format_, output)
    opened = open_world(world)
    found = species_at(opened, place, include=include, exclude=exclude)
    if output and chosen:
        write_species(opened, found, output, chosen)
        click.echo(f"{len(found.species):,} species: {output}")
        warn(found.warnings)
    elif chosen:
        click.echo(species_text(opened, found, chosen), nl=False)
        warn(found.warnings)
    else:
        print_species(found)


@main.command()
@takes_world
@click.option("-o", "--output", type=FILE, required=True, help="The package, NAME.homerange.")
@click.option(
    "--experts", metavar="METHOD:AMOUNT", help="Drop experts: first-order:40, threshold:95 ..."
)
@takes_size
@takes_place
def get(
    world: Path,
    output: Path,
    experts: str | None,
    smaller: "Smaller | None",
    place: "Place",
    include: Sequence[str],
    exclude: Sequence[str],
) -> None:
    """Get the model of a place: one file that runs without a network connection or torch.

    \b
    homerange get --world world --at -2.33,34.83 -o serengeti.homerange
    homerange get --world world --country KEN --species my-species.txt -o kenya.homerange
    homerange get --world world --at -2.33,34.83 -o small.homerange --experts first-order:40
    homerange get --world world --at -2.33,34.83 -o small.homerange --bits 8
    homerange get --world world --at -2.33,34.83 -o small.homerange --max-kb 900 --photos known.csv

    METHOD is threshold (AMOUNT: a percentile of the routing graph's edges), exact, first-order,
    reap, frequency, global or random (AMOUNT: experts to drop, or bytes to save, such as 20kB).

    With a limit (--max-kb, --max-ms, --min-accuracy) or --budget knee, bits and side of the photos
    are chosen, unless you set them. What they cost is measured on --photos, else estimated; the
    card shows each of them alone.
    """
    from homerange.show import print_package
    from homerange.specialize.specialize import specialize

    print_package(
        specialize(
            world,
            place,
            output,
            include=include,
            exclude=exclude,
            experts=experts,
            smaller=smaller,
        )
    )


if __name__ == "__main__":
    main()
