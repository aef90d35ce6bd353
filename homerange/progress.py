"""One progress line for every long verb: done, total, speed and time left.

On a terminal it is a live bar; elsewhere (a log file, CI) a plain line every few seconds, so that
logs stay readable. It goes to stderr: stdout belongs to results.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["Step", "progress"]

PLAIN_LINE_EVERY_S = 10.0


class Step(Protocol):
    """Move the progress on by ``count`` things; ``note`` replaces the text at its end."""

    def __call__(self, count: int = 1, note: str = "") -> None: ...  # noqa: D102


@contextmanager
def progress(title: str, total: int, *, unit: str, done: int = 0) -> Iterator[Step]:
    """Show progress while the block runs.

    Args:
        title: What is being done, for example ``"train"``.
        total: How many things there are in all.
        unit: What is counted, for example ``"photos"``; shown as photos/s.
        done: How many were done before, for example by an interrupted run; not counted as speed.

    Yields:
        A function to call after each piece of work: ``step(count, note)``.
    """
    if sys.stderr.isatty():
        yield from _live(title, total, unit, done)
    else:
        yield from _plain(title, total, unit, done)


def _live(title: str, total: int, unit: str, done: int) -> Iterator[Step]:
    start = time.monotonic()
    moved = 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done, speed="", note="")

        def step(count: int = 1, note: str = "") -> None:
            """Move on, and print when it is time."""
            nonlocal moved
            moved += count
            speed = moved / max(time.monotonic() - start, 1e-9)
            bar.update(task, advance=count, speed=f"{speed:,.1f} {unit}/s", note=note)

        yield step


def _plain(title: str, total: int, unit: str, done: int) -> Iterator[Step]:
    start = last = time.monotonic()
    moved = 0

    def line(note: str) -> None:
        """Print one line."""
        speed = moved / max(time.monotonic() - start, 1e-9)
        left = (total - done - moved) / speed if speed else 0.0
        text = (
            f"{title}: {done + moved:,}/{total:,} {unit}, {speed:,.1f} {unit}/s, {left:,.0f} s left"
        )
        print(f"{text} {note}".rstrip(), file=sys.stderr, flush=True)

    def step(count: int = 1, note: str = "") -> None:
        """Move the bar on."""
        nonlocal last, moved
        moved += count
        now = time.monotonic()
        if now - last >= PLAIN_LINE_EVERY_S or done + moved >= total:
            last = now
            line(note)

    yield step
