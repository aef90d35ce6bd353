"""Reports of what a verb had to leave out: a CSV beside the result, one line, and exit code 3.

A verb that left nothing out removes the report of its last run: a report is about the result
beside it.
"""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from homerange.errors import RunError
from homerange.output import writing

if TYPE_CHECKING:
    from homerange.data.answers import Unreadable
    from homerange.data.importers import Imported
    from homerange.data.manifest import Refused
    from homerange.world.gbif import ImportedRecords

__all__ = [
    "SOME_REFUSED",
    "check_import",
    "finish_import",
    "finish_records",
    "report_rows",
    "report_unreadable",
]

SOME_REFUSED = 3
"""Exit code: done, with some inputs refused."""


def check_import(output: Path, *inputs: Path) -> None:
    """Refuse, before any work, a manifest or a report that would replace an input.

    Raises:
        ManifestError: If so, or if one cannot be written.
    """
    from homerange.data.manifest import check_output

    check_output(output, *inputs)
    check_output(_refused_rows(output), *inputs)


def finish_import(imported: "Imported", output: Path) -> None:
    """Write a manifest, say what is in it, and list the rows that were refused."""
    from homerange.data.manifest import summary_lines

    imported.manifest.write(output)
    for line in (*summary_lines(imported.manifest), *imported.notes):
        click.echo(line)
    click.echo(f"manifest: {output}")
    report_rows(imported.refused, _refused_rows(output))


def report_rows(refused: "Sequence[Refused]", report: Path) -> None:
    """List the rows that could not be used, say so, and leave with the code for that.

    Raises:
        ManifestError: If the report cannot be written.
    """
    from homerange.data.manifest import write_refused

    write_refused(refused, report)
    if refused:
        click.echo(f"{len(refused):,} rows refused; reasons in {report}", err=True)
        sys.exit(SOME_REFUSED)


def finish_records(imported: "ImportedRecords") -> None:
    """Say what an import of records came to, and list why records were refused."""
    file = imported.file
    click.echo(
        f"{file.records:,} records of {imported.species:,} species in {imported.rows:,} rows"
    )
    if imported.vague:
        click.echo(f"{imported.vague:,} do not say how uncertain they are, and count as exact")
    licences = ", ".join(f"{n:,} {words or 'without one'}" for words, n in file.licences.items())
    click.echo(f"licences: {licences}")
    click.echo(f"cite the download, {file.source}: its page at gbif.org has a DOI")
    click.echo(f"records: {file.path}")
    report = _refused_rows(file.path)
    with writing(report, RunError):
        report.unlink(missing_ok=True)
        if not imported.refused:
            return
        with report.open("w", newline="", encoding="utf-8") as table:
            rows = [(number, reason) for reason, number in imported.refused.items()]
            csv.writer(table).writerows([("records", "reason"), *rows])
    refused = sum(imported.refused.values())
    click.echo(f"{refused:,} records refused; reasons in {report}", err=True)
    sys.exit(SOME_REFUSED)


def report_unreadable(unreadable: "Sequence[Unreadable]", report: Path) -> None:
    """List the photos that could not be read, say so once, and leave with the code for that.

    Args:
        unreadable: The photos; one that stands in several rows is listed once.
        report: A CSV with the columns image and reason; removed where all photos could be read.

    Raises:
        RunError: If the report cannot be written.
    """
    reasons = {bad.image: bad.reason for bad in unreadable}
    with writing(report, RunError):
        if not reasons:
            report.unlink(missing_ok=True)
            return
        with report.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("image", "reason"), *reasons.items()])
    click.echo(f"{len(reasons):,} photos could not be read; reasons in {report}", err=True)
    sys.exit(SOME_REFUSED)


def _refused_rows(output: Path) -> Path:
    return output.with_suffix(".refused.csv")
