"""The ``homerange`` command. A verb parses, calls one public function and prints; nothing more.

Verbs import their package when called, so ``homerange --help`` starts without torch. Exit codes:
0 done, 1 nothing could be done, 2 wrong use, 3 done with some inputs refused.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from homerange import __version__
from homerange.errors import HomerangeError
from homerange.extras import explain
from homerange.import_verbs import import_
from homerange.place_options import takes_area, takes_place
from homerange.report_verbs import report
from homerange.reports import report_unreadable

if TYPE_CHECKING:
    from homerange.geo.place import Cell, Circle, Place
    from homerange.train.stage import Trained
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
main.add_command(report)


@main.command()
@click.argument("manifest", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="The list to write, .csv.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), help="Only this split.")
@takes_area
def photos(manifest: Path, output: Path, split: str | None, area: "Circle | Cell | None") -> None:
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


@main.group(cls=_Group)
def train() -> None:
    """Train a network on the photos of a manifest."""


@train.command("dense")
@click.argument("manifest", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="Folder of the checkpoint.")
@click.option(
    "--recipe",
    default="small-data",
    show_default=True,
    help="paper, small-data, teacher or a file.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one setting.")
@click.option("--teacher", metavar="NAME", help="lite0, timm:MODEL or an ONNX file to learn from.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted training stopped.")
def train_dense(
    manifest: Path,
    output: Path,
    recipe: str,
    settings: Sequence[str],
    teacher: str | None,
    resume: bool,
) -> None:
    """Train the dense world network: with labels, with a teacher, or with both.

    \b
    homerange train dense manifest.parquet -o checkpoint
    homerange train dense manifest.parquet -o checkpoint --set epochs=80 --set input_px=224
    homerange train dense manifest.parquet -o encoder --recipe teacher --teacher lite0
    torchrun --nproc_per_node 8 -m homerange.cli train dense m.parquet -o ck --recipe paper
    """
    from homerange.train.config import TrainConfig
    from homerange.train.dense import train_dense as run

    config = TrainConfig.read(recipe, settings).with_teacher(teacher)
    with _says_how_to_go_on(output):
        trained = run(manifest, output, config, resume=resume)
    _tell(trained)


@train.command("experts")
@click.argument("manifest", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="Folder of the checkpoint.")
@click.option(
    "--from", "from_checkpoint", type=FILE, required=True, help="The dense checkpoint to convert."
)
@click.option(
    "--recipe",
    default="small-experts",
    show_default=True,
    help="paper-experts, small-experts or a file.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one setting.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted training stopped.")
def train_experts(
    manifest: Path,
    output: Path,
    from_checkpoint: Path,
    recipe: str,
    settings: Sequence[str],
    resume: bool,
) -> None:
    """Turn a dense checkpoint into a mixture of experts and fine-tune it.

    What the experts began with is written to experts.json beside the weights.

    \b
    homerange train experts manifest.parquet --from checkpoint -o experts
    homerange train experts m.parquet --from ck -o ex --set experts=16 --set hidden=4
    homerange train experts m.parquet --from ck -o control --set experts=0 --set shared=2
    """
    from homerange.train.expert_config import ExpertConfig
    from homerange.train.experts import train_experts as run

    config = ExpertConfig.read(recipe, settings)
    with _says_how_to_go_on(output):
        trained = run(manifest, output, config, from_checkpoint=from_checkpoint, resume=resume)
    _tell(trained)


def _tell(trained: "Trained") -> None:
    """Say what a training left behind; of several processes the first speaks for all."""
    if not trained.first_process:
        return
    click.echo(f"{trained.photos:,} photos, {len(trained.classes):,} classes: {trained.folder}")
    report_unreadable(trained.unreadable, trained.folder / "refused-train.csv")


@contextmanager
def _says_how_to_go_on(checkpoint: Path) -> Iterator[None]:
    """Explain, where the user stops a training, what the same command needs to go on."""
    from homerange.train.loop import STATE

    try:
        yield
    except KeyboardInterrupt:
        saved = (checkpoint / STATE).is_file()
        way = "go on with the same command and --resume" if saved else "nothing is saved yet"
        raise click.ClickException(f"stopped; {way}") from None


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
    from homerange.show import print_evaluation
    from homerange.train.evaluate import evaluate as run

    evaluation = run(checkpoint, manifest, split=split)
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
@click.option("--occurrences", type=FILE, help="Records of species, as import gbif writes them.")
def profile(
    checkpoint: Path,
    manifest: Path,
    output: Path,
    name: str | None,
    licence: str | None,
    exact: int,
    drop_rule: "DropRule",
    occurrences: Path | None,
) -> None:
    """Run a checkpoint over validation and test photos and publish it as a world.

    \b
    homerange profile checkpoint manifest.parquet -o world
    homerange profile experts manifest.parquet -o world --exact 5
    homerange profile experts manifest.parquet -o world --drop-rule zero
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
        occurrences=occurrences,
    )
    click.echo(f"{published.classes:,} classes, {published.photos:,} photos judged: {output}")
    report_unreadable(published.unreadable, output / "refused-profile.csv")


@main.command()
@click.option("--world", type=FILE, required=True, help="Folder of the world.")
@takes_place
def species(world: Path, place: "Place", include: Sequence[str], exclude: Sequence[str]) -> None:
    """List the species to expect at a place, each with the reason.

    \b
    homerange species --world world --at -2.33,34.83
    homerange species --world world --s2 2/1 --exclude "Bos taurus"
    """
    from homerange.show import print_species
    from homerange.specialize.species import species_at
    from homerange.world.world import open_world

    print_species(species_at(open_world(world), place, include=include, exclude=exclude))


@main.command()
@click.option("--world", type=FILE, required=True, help="Folder of the world.")
@click.option("-o", "--output", type=FILE, required=True, help="The package, NAME.homerange.")
@click.option(
    "--experts", metavar="METHOD:AMOUNT", help="Drop experts: first-order:40, threshold:95 ..."
)
@takes_place
def get(
    world: Path,
    output: Path,
    experts: str | None,
    place: "Place",
    include: Sequence[str],
    exclude: Sequence[str],
) -> None:
    """Get the model of a place: one file that runs without a network connection or torch.

    \b
    homerange get --world world --at -2.33,34.83 -o serengeti.homerange
    homerange get --world world --species my-species.txt -o mine.homerange
    homerange get --world world --at -2.33,34.83 -o small.homerange --experts first-order:40

    METHOD is threshold (AMOUNT: a percentile of the routing graph's edges), exact, first-order,
    reap, frequency, global or random (AMOUNT: experts to drop, or bytes to save, such as 20kB).
    """
    from homerange.show import print_package
    from homerange.specialize.specialize import specialize

    print_package(
        specialize(world, place, output, include=include, exclude=exclude, experts=experts)
    )


@main.command()
@click.argument("source", type=FILE)
@click.option("--model", type=FILE, required=True, help="A package, NAME.homerange.")
@click.option("-o", "--output", type=FILE, required=True, help="Results, .json or .csv.")
@click.option(
    "--format", "format_", type=click.Choice(["megadetector", "csv"]), help="If not by the suffix."
)
@click.option("--contact-sheet", type=FILE, metavar="PNG", help="Draw photos with their answers.")
@click.option("--workers", type=int, help="Threads; all cores otherwise.")
@click.option("--fresh", is_flag=True, help="Start again; forget answers of earlier runs.")
def predict(
    source: Path,
    model: Path,
    output: Path,
    format_: str | None,
    contact_sheet: Path | None,
    workers: int | None,
    fresh: bool,
) -> None:
    """Name the species in a folder of photos, one photo, or a .txt or .csv list.

    The same command goes on where an interrupted one stopped.

    \b
    homerange predict photos/ --model serengeti.homerange -o results.json
    homerange predict list.csv --model serengeti.homerange -o results.csv --contact-sheet sheet.png
    """
    from homerange.run.folder import predict as run
    from homerange.show import print_summary

    try:
        summary = run(
            source,
            model=model,
            output=output,
            format=format_,  # type: ignore[arg-type]  # click.Choice gives a plain str
            contact_sheet=contact_sheet,
            workers=workers,
            fresh=fresh,
        )
    except KeyboardInterrupt:
        raise click.ClickException("stopped; the same command goes on from here") from None
    print_summary(summary, output)
    sys.exit(summary.exit_code)


if __name__ == "__main__":
    main()
