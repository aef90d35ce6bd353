"""The option ``--world``, the same for every verb that reads a world."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["takes_world"]

Verb = Callable[..., Any]


def takes_world(command: Verb) -> Verb:
    """Give a verb the option ``--world``; without it the demonstration world is taken, loudly."""
    return click.option(
        "--world",
        type=click.Path(path_type=Path),
        callback=_or_demonstration,
        help="Folder of the world; the demonstration world of the package otherwise.",
    )(command)


def _or_demonstration(context: click.Context, option: click.Parameter, path: Path | None) -> Path:
    if path is not None:
        return path
    from homerange.world.demonstration import DEMONSTRATION

    click.echo(
        "note: no --world, so the demonstration world of the package is taken. It shows how things "
        "work and is no model for the field: see its card",
        err=True,
    )
    return DEMONSTRATION
