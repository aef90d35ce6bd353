"""How the verbs print what they found: tables for people, on stdout."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from homerange.data.evaluation import Evaluation, Metrics
    from homerange.map.site import Site
    from homerange.profile.adopt.world import Adopted
    from homerange.run.bench import Measured
    from homerange.run.summary import PredictSummary
    from homerange.specialize.adapt.adapt import Adapted
    from homerange.specialize.figures import Score
    from homerange.specialize.lever_search import LeverFigures
    from homerange.specialize.specialize import Specialized
    from homerange.specialize.species import SpeciesTable

__all__ = [
    "print_adapted",
    "print_address",
    "print_adopted",
    "print_evaluation",
    "print_measured",
    "print_package",
    "print_site",
    "print_species",
    "print_summary",
    "warn",
]


def print_adopted(adopted: "Adopted") -> None:
    """Print what a network from elsewhere became, and which of its labels nobody understands."""
    from homerange.data.names import OUTCOMES
    from homerange.specialize.names import some

    labels = adopted.labels
    outcomes = [label.name for label in labels if label.name in OUTCOMES]
    click.echo(
        f"{len(labels):,} classes of {adopted.features:,} features, {len(outcomes)} of them "
        f"outcomes ({', '.join(outcomes) or 'none'}): {adopted.folder}"
    )
    click.echo(f"same answers as the model to {adopted.difference:.1g} of the largest")
    click.echo(f"{adopted.photos:,} photos judged, {adopted.with_records:,} classes with records")
    if unmatched := [label.name for label in labels if not label.matched]:
        warn(
            [
                f"{len(unmatched):,} of {len(labels):,} labels are no scientific names and known "
                f"from no photo or record; they are kept as they are: {some(unmatched)}"
            ]
        )
    if not adopted.with_records:
        warn(["no class has a record, so no place has a list: name species with --species FILE"])


def print_adapted(adapted: "Adapted") -> None:
    """Print how right a package was before and after its user's corrections."""
    table = Table(title=f"{adapted.name}: the newest {adapted.judged:,} photos")
    for heading in ("package", "right", "share", "95 % interval"):
        table.add_column(heading, justify="left" if heading == "package" else "right")
    for name, score in (
        ("as it was", adapted.before),
        ("taught by the older photos", adapted.after),
    ):
        table.add_row(
            name,
            f"{score.correct} of {score.photos}",
            "too few" if score.top1 is None or not score.measured else f"{score.top1:.3f}",
            f"{score.top1_low:.3f} to {score.top1_high:.3f}",
        )
    _print(table)
    warn(adapted.notes)
    click.echo(
        f"{len(adapted.labels):,} labels, taught by {adapted.photos:,} photos: {adapted.path}"
    )


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
    dated = any(any(one.months) for one in found.species)
    table = Table(show_edge=False)
    for heading in ("species", "common name", "strength", *(["months"] if dated else []), "reason"):
        table.add_column(heading)
    for one in found.species:
        months = ["".join(str(band or ".") for band in one.months)] if dated else []
        cells = (one.species, one.common_name, str(one.strength or ""), *months, one.reason)
        table.add_row(*map(escape, cells))
    _print(table)
    click.echo(
        "strength, and months from January: 1 = one record, 2 = 2-5, 3 = 6-20, 4 = 21-100, "
        "5 = 101 or more"
    )
    if found.outcomes:
        click.echo(f"and the outcomes: {', '.join(found.outcomes)}")
    if found.missing:
        names = some([f"{one.species} ({one.records_band})" for one in found.missing])
        click.echo(
            f"recorded here but not in this world, {len(found.missing):,} species with their "
            f"records: {names}"
        )
    warn(found.warnings)


def print_package(made: "Specialized") -> None:
    """Print the table of the card, and where the package is."""
    table = Table(title=escape(f"{made.name}: {made.table.place.describe()}"), title_justify="left")
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
    warn(made.table.warnings)
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
    if summary.review:
        click.echo(f"photos to check: {summary.review}")
    warn(summary.warnings)


def print_address(address: str) -> None:
    """Print where the map is, also into a pipe at once."""
    click.echo(f"map: {address}")
    click.echo("stop it with Ctrl-C", err=True)


def print_measured(measured: "Measured") -> None:
    """Print what a package costs on this device."""
    click.echo(f"{measured.package} on {measured.device}, {measured.backend}")
    table = Table(show_header=False, show_edge=False)
    rss = "not known here" if measured.rss_mb is None else f"{measured.rss_mb:.0f} MB"
    for name, value in {
        "package": f"{measured.package_bytes / 1e6:.2f} MB",
        "load": f"{measured.load_ms:.0f} ms",
        "one photo through the model": f"{measured.latency_ms:.1f} ms (median of "
        f"{measured.runs}, {measured.threads} thread{'s' * (measured.threads != 1)})",
        "90th and 99th percentile": f"{measured.latency_p90_ms:.1f}, {measured.latency_p99_ms:.1f}"
        " ms",
        "from files to results": f"{measured.photos_per_s:.1f} photos/s ({measured.photos} photos, "
        f"{measured.photos_are})",
        "largest memory of that": rss,
    }.items():
        table.add_row(name, value)
    _print(table)


def print_site(site: "Site") -> None:
    """Print where a page is, and what it cannot do."""
    click.echo(
        f"{site.path}: {site.bytes / 1e6:.1f} MB in its folder; open it, or put it on a host"
    )
    if not site.runs_photos:
        click.echo(
            "photos cannot be tried on it: the runtime is missing; make map gets it", err=True
        )


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


def warn(warnings: Sequence[str]) -> None:
    """Say on stderr, loudly, what the user should know."""
    for warning in warnings:
        click.secho(f"warning: {warning}", fg="yellow", bold=True, err=True)
