"""The verbs ``predict``, ``watch`` and ``bench``: run a package over photos, and measure it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

__all__ = ["bench", "predict", "watch"]

FILE = click.Path(path_type=Path)
FORMATS = ("megadetector", "csv", "parquet", "speciesnet", "camtrap-dp", "wildlife-insights")
_Verb = TypeVar("_Verb", bound=Callable[..., None])

STOPPED = "stopped; the same command goes on from here"


def _takes_results(verb: _Verb) -> _Verb:
    """Add the options that say which model answers and what the results are like."""
    options = (
        click.option("--model", type=FILE, required=True, help="A package, NAME.homerange."),
        click.option(
            "-o", "--output", type=FILE, required=True, help="Results: .json, .csv, .parquet ..."
        ),
        click.option(
            "--format", "format_", type=click.Choice(FORMATS), help="If not by the suffix."
        ),
        click.option(
            "--bursts-s",
            type=float,
            default=60.0,
            show_default=True,
            metavar="SECONDS",
            help="Photos of a folder so close get one answer too; 0: none.",
        ),
        click.option("--fps", type=float, default=1.0, show_default=True, help="Of videos."),
        click.option(
            "--utc-offset", metavar="+HH:MM", help="Of camera clocks; camtrap-dp needs it."
        ),
        click.option("--deployments", type=FILE, metavar="CSV", help="Where each camera stood."),
        click.option("--workers", type=int, help="Threads; all cores otherwise."),
    )
    for option in reversed(options):
        verb = option(verb)
    return verb


@click.command()
@click.argument("source", type=FILE)
@_takes_results
@click.option("--contact-sheet", type=FILE, metavar="PNG", help="Draw photos with their answers.")
@click.option("--review", type=int, metavar="N", help="A page of the N least sure photos.")
@click.option("--fresh", is_flag=True, help="Start again; forget answers of earlier runs.")
@click.option(
    "--detections", type=FILE, metavar="JSON", help="Boxes of MegaDetector: look at these animals."
)
@click.option("--detector", type=FILE, metavar="ONNX", help="A detector to find animals first.")
@click.option(
    "--box-threshold",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    help="Confidence from which a box is believed.",
)
def predict(
    source: Path,
    model: Path,
    output: Path,
    format_: str | None,
    bursts_s: float,
    fps: float,
    utc_offset: str | None,
    deployments: Path | None,
    workers: int | None,
    contact_sheet: Path | None,
    review: int | None,
    fresh: bool,
    detections: Path | None,
    detector: Path | None,
    box_threshold: float,
) -> None:
    """Name the species in a folder of photos and videos, in one of them, or in a list.

    A list is a .txt, a .csv with a column file, or the .json of instances that SpeciesNet takes.
    Videos need the extra video. The same command goes on where an interrupted one stopped.

    \b
    homerange predict photos/ --model serengeti.homerange -o results.json
    homerange predict list.csv --model serengeti.homerange -o results.csv --contact-sheet sheet.png
    homerange predict photos/ --model serengeti.homerange -o results.json --review 50
    homerange predict photos/ --model serengeti.homerange -o results.json --detections md.json
    homerange predict photos/ --model here.homerange -o dp --format camtrap-dp --utc-offset +03:00
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
            review=review,
            fps=fps,
            bursts_s=bursts_s,
            utc_offset=utc_offset,
            deployments=deployments,
            workers=workers,
            fresh=fresh,
            detections=detections,
            detector=detector,
            box_threshold=box_threshold,
        )
    except KeyboardInterrupt:
        raise click.ClickException(STOPPED) from None
    print_summary(summary, output)
    sys.exit(summary.exit_code)


@click.command()
@click.argument("folder", type=FILE)
@_takes_results
@click.option("--every-s", type=float, default=5.0, show_default=True, help="Between two looks.")
@click.option("--webhook", metavar="URL", help="Post the species of each new photo there.")
@click.option("--sensitive", type=FILE, metavar="TXT", help="Species never to post, besides ours.")
@click.option("--print-systemd-unit", is_flag=True, help="Print a service; then end.")
def watch(
    folder: Path,
    model: Path,
    output: Path,
    format_: str | None,
    bursts_s: float,
    fps: float,
    utc_offset: str | None,
    deployments: Path | None,
    workers: int | None,
    every_s: float,
    webhook: str | None,
    sensitive: Path | None,
    print_systemd_unit: bool,
) -> None:
    """Answer photos as they come into a folder, until you stop it.

    The results are written anew at most once a minute, and at the end. predict and watch go on from
    each other's journal. A webhook gets species and file name, never a place, and nothing of
    sensitive species.

    \b
    homerange watch /mnt/cards --model serengeti.homerange -o results.json
    homerange watch /mnt/cards --model serengeti.homerange -o results.json --print-systemd-unit
    """
    from homerange.run.service import stop_on_signals, systemd_unit
    from homerange.run.watch import watch as run

    if print_systemd_unit:
        click.echo(systemd_unit(sys.argv[1:]), nl=False)
        return
    run(
        folder,
        model=model,
        output=output,
        format=format_,  # type: ignore[arg-type]  # click.Choice gives a plain str
        fps=fps,
        bursts_s=bursts_s,
        utc_offset=utc_offset,
        deployments=deployments,
        workers=workers,
        every_s=every_s,
        webhook=webhook,
        sensitive=sensitive,
        stop=stop_on_signals(),
        say=lambda line: click.echo(line),
        warn=lambda line: click.echo(f"note: {line}", err=True),
    )


@click.command()
@click.argument("package", type=FILE)
@click.option("--photos", "source", type=FILE, help="Photos to run on; drawn ones otherwise.")
@click.option("--threads", default=1, show_default=True, help="Of the model, for its latency.")
@click.option("--runs", default=100, show_default=True, help="Of the model, for its latency.")
@click.option("--device", help="What to call this device; its processor otherwise.")
@click.option("-o", "--output", type=FILE, help="The result as JSON.")
def bench(
    package: Path,
    source: Path | None,
    threads: int,
    runs: int,
    device: str | None,
    output: Path | None,
) -> None:
    """Measure a package on this device: bytes, time and memory.

    \b
    homerange bench serengeti.homerange --device raspberry-pi-5 -o bench.json
    """
    from homerange.run.bench import bench as run
    from homerange.show import print_measured

    measured = run(package, source=source, threads=threads, runs=runs, device=device, output=output)
    print_measured(measured)
