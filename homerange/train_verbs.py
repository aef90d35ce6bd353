"""The verbs ``homerange train ...``: from a table of photos or records to a checkpoint."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from homerange.reports import report_rows, report_unreadable

if TYPE_CHECKING:
    from homerange.train.stage import Trained

__all__ = ["train"]

Verb = Callable[..., Any]
FILE = click.Path(path_type=Path)
MANIFEST = click.argument("manifest", type=FILE)
OUTPUT = click.option("-o", "--output", type=FILE, required=True, help="Folder of the checkpoint.")
SETTINGS = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one setting."
)
RESUME = click.option("--resume", is_flag=True, help="Go on where an interrupted training stopped.")


def _recipe(default: str, shipped: str) -> Callable[[Verb], Verb]:
    """Give a verb the option ``--recipe``; ``shipped`` names the recipes there are."""
    words = f"{shipped} or a file."
    return click.option("--recipe", default=default, show_default=True, help=words)


@click.group()
def train() -> None:
    """Train a network on the photos of a manifest."""


@train.command("dense")
@MANIFEST
@OUTPUT
@_recipe("small-data", "paper, small-data, teacher")
@SETTINGS
@click.option("--teacher", metavar="NAME", help="lite0, timm:MODEL or an ONNX file to learn from.")
@RESUME
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


@train.command("location")
@MANIFEST
@OUTPUT
@click.option(
    "--from", "from_checkpoint", type=FILE, required=True, help="The checkpoint to go on from."
)
@click.option(
    "--encoder", type=FILE, required=True, help="A range model, or a .pth.tar of TorchSpatial."
)
@_recipe("small-location", "paper-location, small-location")
@SETTINGS
@RESUME
def train_location(
    manifest: Path,
    output: Path,
    from_checkpoint: Path,
    encoder: Path,
    recipe: str,
    settings: Sequence[str],
    resume: bool,
) -> None:
    """Fine-tune a checkpoint, dense or with experts, supervised by where photos were taken.

    Photos and places of one species are drawn together inside the network. Nothing of the location
    encoder stays: the checkpoint needs no place to run.

    \b
    homerange train location manifest.parquet --from checkpoint --encoder ranges -o located
    homerange train location m.parquet --from experts --encoder grid.pth.tar -o located
    homerange train location m.parquet --from ck --encoder e -o lo --set location_layers=last-two
    """
    from homerange.train.location import train_location as run
    from homerange.train.location_config import LocationConfig

    config = LocationConfig.read(recipe, settings)
    with _says_how_to_go_on(output):
        trained = run(
            manifest,
            output,
            config,
            from_checkpoint=from_checkpoint,
            encoder=encoder,
            resume=resume,
        )
    _tell(trained)


@train.command("experts")
@MANIFEST
@OUTPUT
@click.option(
    "--from", "from_checkpoint", type=FILE, required=True, help="The dense checkpoint to convert."
)
@_recipe("small-experts", "paper-experts, small-experts")
@SETTINGS
@RESUME
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


@train.command("range")
@click.argument("table", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="Folder of the range model.")
@_recipe("small-range", "torchspatial, small-range")
@SETTINGS
@RESUME
def train_range(
    table: Path, output: Path, recipe: str, settings: Sequence[str], resume: bool
) -> None:
    """Train a range model: which species to expect where, from records without photos.

    TABLE is CSV, CSV.gz or Parquet with species, latitude and longitude, or a manifest. The range
    model can be published with a world, and its encoder can supervise the location stage.

    \b
    homerange train range occurrences.csv.gz -o ranges
    homerange train range manifest.parquet -o ranges --set epochs=20
    homerange train range occurrences.parquet -o ranges --recipe torchspatial
    """
    from homerange.train.range import train_range as run
    from homerange.train.range_config import RangeConfig

    config = RangeConfig.read(recipe, settings)
    with _says_how_to_go_on(output):
        trained = run(table, output, config, resume=resume)
    click.echo(f"{trained.records:,} records, {len(trained.species):,} species: {trained.folder}")
    report_rows(trained.refused, output / "refused-range.csv")


@train.command("baseline")
@MANIFEST
@OUTPUT
@click.option("--recipe", required=True, help="mobilenet, gnfg, ptfl, flyp, few-shot or a file.")
@click.option(
    "--from", "from_checkpoint", type=FILE, help="The dense checkpoint of gnfg and few-shot."
)
@SETTINGS
@RESUME
def train_baseline(
    manifest: Path,
    output: Path,
    recipe: str,
    from_checkpoint: Path | None,
    settings: Sequence[str],
    resume: bool,
) -> None:
    """Train one of the paper's other systems on the same photos.

    mobilenet: MobileNetV2. gnfg: the place of a photo is used at inference. ptfl: federated
    averaging over S2 cells. flyp: a CLIP fine-tuned with captions (extra baselines). few-shot: a
    dense network cut for a place and fine-tuned there.

    \b
    homerange train baseline manifest.parquet -o mobilenet --recipe mobilenet
    homerange train baseline m.parquet -o g --recipe gnfg --from checkpoint --set geo_mode=prior
    homerange train baseline m.parquet -o s --recipe few-shot --from ck --set place=-2.33,34.83
    """
    from homerange.baselines.systems import read_recipe
    from homerange.baselines.systems import train_baseline as run

    config = read_recipe(recipe, settings)
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
    from homerange.train.state import STATE

    try:
        yield
    except KeyboardInterrupt:
        saved = (checkpoint / STATE).is_file()
        way = "go on with the same command and --resume" if saved else "nothing is saved yet"
        raise click.ClickException(f"stopped; {way}") from None
