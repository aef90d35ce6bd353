"""The verbs ``homerange export ...``: networks for other runtimes, made with torch."""

from pathlib import Path

import click

__all__ = ["export"]

FILE = click.Path(path_type=Path)


@click.group()
def export() -> None:
    """Write a network for another runtime."""


@export.command("detector")
@click.argument("weights", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="The detector, .onnx.")
@click.option("--px", default=640, show_default=True, help="Side of its square, times of 32.")
def export_detector(weights: Path, output: Path, px: int) -> None:
    """Write the animal detector of zamba (MIT licence) for predict --detector.

    WEIGHTS is the wheel that ``pip download zamba --no-deps`` fetches.

    \b
    homerange export detector zamba-2.7.2-py3-none-any.whl -o detector.onnx
    """
    from homerange.export.detector import export_detector as run

    size_bytes = run(weights, output, input_px=px)
    click.echo(f"{size_bytes / 1e6:.1f} MB: {output}")


@export.command("executorch")
@click.argument("package", type=FILE)
@click.option("--checkpoint", type=FILE, required=True, help="What its world was published from.")
@click.option("-o", "--output", type=FILE, required=True, help="The program, .pte.")
def export_executorch(package: Path, checkpoint: Path, output: Path) -> None:
    """Write the model of a place for ExecuTorch (XNNPACK), and prove that it answers alike.

    \b
    homerange export executorch serengeti.homerange --checkpoint checkpoint -o serengeti.pte
    """
    from homerange.export.executorch import export_executorch as run

    made = run(package, checkpoint, output)
    click.echo(
        f"{made.size_bytes / 1e6:.2f} MB, logits of {made.photos} drawn photos within "
        f"{made.largest_difference:.1e} of the package: {output}"
    )


@export.command("sparrow")
@click.argument("package", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="A folder that is not there yet.")
def export_sparrow(package: Path, output: Path) -> None:
    """Write the model of a place as the folder that Sparrow Engine loads. Needs no torch.

    \b
    homerange export sparrow serengeti.homerange -o serengeti
    """
    from homerange.export.sparrow import export_sparrow as run

    click.echo(f"{', '.join(run(package, output))}: {output}")
