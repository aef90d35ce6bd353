"""The verbs ``adopt`` and ``adapt``: networks from elsewhere, and corrections by the user."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from homerange.reports import report_unreadable

__all__ = ["adapt", "adopt"]

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("model", type=FILE)
@click.option("--labels", type=FILE, required=True, help="One label for each class row.")
@click.option("-o", "--output", type=FILE, required=True, help="Folder of the world.")
@click.option("--licence", required=True, help="Of the model, and of records that state none.")
@click.option("--occurrence", type=FILE, help="Records of species: a table, or of import gbif.")
@click.option("--photos", type=FILE, help="A manifest, to measure the model on.")
@click.option(
    "--pixels",
    default="imagenet",
    show_default=True,
    help="imagenet, unit, inception, bytes, caffe, speciesnet or a .toml file.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one of them.")
def adopt(
    model: Path,
    labels: Path,
    output: Path,
    licence: str,
    occurrence: Path | None,
    photos: Path | None,
    pixels: str,
    settings: Sequence[str],
) -> None:
    """Make a world of an image classifier in ONNX, to cut places from.

    \b
    homerange adopt model.onnx --labels labels.csv --licence MIT -o world
    homerange adopt model.onnx --labels labels.csv --licence MIT -o world --occurrence records.csv
    homerange adopt model.onnx --labels labels.txt --licence MIT -o world --photos manifest.parquet
    homerange adopt model.onnx --labels labels.csv --licence MIT -o world --pixels inception
    homerange adopt m.onnx --labels l.csv --licence MIT -o w --set fit=squash --set input_px=300

    How the model wants its pixels cannot be read from it: wrong --pixels give wrong answers.
    """
    from homerange.profile.adopt.pixels import Pixels
    from homerange.profile.adopt.world import adopt as run
    from homerange.show import print_adopted

    adopted = run(
        model,
        labels,
        output,
        pixels=Pixels.read(pixels, settings),
        licence=licence,
        occurrences=occurrence,
        photos=photos,
    )
    print_adopted(adopted)
    report_unreadable(adopted.unreadable, output / "refused-adopt.csv")


@click.command()
@click.argument("package", type=FILE)
@click.argument("corrections", type=FILE)
@click.option("--photos", type=FILE, required=True, help="Folder that the files start from.")
@click.option("-o", "--output", type=FILE, required=True, help="The package, NAME.homerange.")
@click.option("--add", multiple=True, metavar="NAME", help="A species that the package lacks.")
def adapt(package: Path, corrections: Path, photos: Path, output: Path, add: Sequence[str]) -> None:
    """Teach a package your corrections: a CSV with the columns file and species.

    \b
    homerange adapt serengeti.homerange corrections.csv --photos photos -o mine.homerange
    homerange adapt here.homerange c.csv --photos photos -o mine.homerange --add "Lynx lynx"

    Only its class rows change. What the older two thirds of the photos teach is judged on the
    newest third; where that is worse, no package is written, and else all of them teach.
    """
    from homerange.show import print_adapted
    from homerange.specialize.adapt.adapt import adapt as run

    adapted = run(package, corrections, photos, output, add=add)
    print_adapted(adapted)
    if adapted.left_out:
        sys.exit(3)
