"""How the verbs print what they found: tables for people, on stdout."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from homerange.run.summary import PredictSummary
    from homerange.specialize.figures import Score
    from homerange.specialize.lever_search import LeverFigures
    from homerange.specialize.specialize import Specialized
    from homerange.specialize.species import SpeciesTable
    from homerange.train.evaluate import Evaluation, Metrics

__all__ = ["print_evaluation", "print_package", "print_species", "print_summary"]


def print_evaluation(evaluation: "Evaluation") -> None:
    """Print metrics overall, by camera and per region, with n, chance and majority in each row.

    Known and new cameras have rows where there are both; else one of them is the row above.
    """
    table = Table(title=f"accuracy on split {evaluation.split}", title_justify="left")
    table.add_column("photos of")
    headings = ("n", "species", "top-1", "95 % interval", "top-5", "macro-F1", "chance", "majority")
    for heading in headings:
        table.add_column(heading, justify="right")
    table.add_row("all", *_metrics(evaluation.overall))
    both = evaluation.cameras if len(evaluation.cameras) > 1 else {}
    for region, metrics in (both | evaluation.regions).items():
        table.add_row(region, *_metrics(metrics))
    _print(table)
    if evaluation.unknown_species:
        click.echo(
            f"{evaluation.unknown_species:,} photos are of species that the network does not know; "
            "they count as wrong"
        )


def print_species(found: "SpeciesTable") -> None:
    """Print the species of a place with their reasons, then what the user should know."""
    from homerange.specialize.names import some

    click.echo(f"{len(found.species):,} species: {found.place.describe()}")
    table = Table(show_edge=False)
    for heading in ("species", "common name", "reason"):
        table.add_column(heading)
    for one in found.species:
        table.add_row(one.species, one.common_name, one.reason)
    _print(table)
    if found.outcomes:
        click.echo(f"and the outcomes: {', '.join(found.outcomes)}")
    if found.not_in_world:
        click.echo(f"recorded here but not in this world: {some(found.not_in_world)}")
    _warn(found.warnings)


def print_package(made: "Specialized") -> None:
    """Print the table of the card, and where the package is."""
    table = Table(title=f"{made.name}: {made.table.place.describe()}", title_justify="left")
    table.add_column("model")
    for heading in (
        "MB",
        "parameters",
        "MACs",
        "accuracy on this place's species",
        "at this place",
    ):
        table.add_column(heading, justify="right")
    names = [row.name for row in made.figures.rows]
    if made.levers:
        names[-1] = "class rows cut, no other lever"
    for name, row in zip(names, made.figures.rows, strict=True):
        table.add_row(
            name,
            f"{row.size.bytes / 1e6:.2f}",
            f"{row.size.parameters:,}",
            f"{row.size.macs / 1e6:.1f} M",
            _score(row.on_species),
            _score(row.at_place) if row.at_place else "-",
        )
    if made.experts:
        rise = made.experts.estimated_loss_rise
        cost = "not estimated" if rise is None else f"estimated: loss {rise:+.3f} a photo"
        size = made.experts.head_and_experts
        table.add_row(
            f"with {made.experts.dropped:,} experts dropped",
            f"{size.bytes / 1e6:.2f}",
            f"{size.parameters:,}",
            f"{size.macs / 1e6:.1f} M",
            cost,
            "-",
        )
    _print(table)
    if made.levers:
        _print_levers(made.levers)
    _warn(made.table.warnings)
    click.echo(f"{len(made.table.labels):,} labels, {made.seconds:.2f} s: {made.path}")


def _print_levers(levers: "LeverFigures") -> None:
    """Print each lever beside the control, and how the package was chosen."""
    from homerange.specialize.lever_card import lever_rows, lever_words

    headings, *rows = lever_rows(levers)
    table = Table(title="levers", title_justify="left")
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    _print(table)
    click.echo(lever_words(levers))


def print_summary(summary: "PredictSummary", output: Path) -> None:
    """Print what a run came to and where its results are."""
    table = Table(show_edge=False)
    table.add_column("answer")
    table.add_column("photos", justify="right")
    for label, count in summary.labels.items():
        table.add_row(label, f"{count:,}")
    _print(table)
    earlier = f", {summary.resumed:,} of them answered earlier" if summary.resumed else ""
    click.echo(
        f"{summary.photos:,} photos{earlier}, {summary.failures:,} could not be read, "
        f"{summary.photos_per_s:.1f} photos/s: {output}"
    )
    if summary.repeated:
        click.echo(f"{summary.repeated:,} photos stood in the list twice and were run once")
    if summary.accuracy:
        click.echo(str(summary.accuracy))


def _metrics(metrics: "Metrics") -> list[str]:
    return [
        f"{metrics.photos:,}",
        f"{metrics.species:,}",
        f"{metrics.top1:.3f}",
        f"{metrics.top1_low:.3f} to {metrics.top1_high:.3f}",
        f"{metrics.top5:.3f}",
        f"{metrics.macro_f1:.3f}",
        f"{metrics.chance:.3f}",
        f"{metrics.majority:.3f}",
    ]


def _score(score: "Score") -> str:
    if score.top1 is None:
        return "no photos"
    if not score.measured:
        return f"{score.correct} of {score.photos} photos: too few"
    interval = f"{score.top1_low:.3f} to {score.top1_high:.3f}"
    return f"{score.top1:.3f} ({interval}, n {score.photos:,})"


def _print(table: Table) -> None:
    # A pipe has no width: then lines are as long as they need to be, so that none is cut.
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        click.echo(f"note: {warning}", err=True)
