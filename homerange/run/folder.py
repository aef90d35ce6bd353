"""Run a place package over a folder, a photo, a video or a list, and write the results.

The order of things: everything that can be wrong with the request is refused first; photos are
answered batch by batch into a journal beside the results (`homerange.run.journal`); at the end the
results are written from the journal in one piece. The same command goes on where a run stopped,
and looks only at what is new when photos were added.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from homerange.errors import RunError
from homerange.progress import progress
from homerange.run.bursts import find_bursts
from homerange.run.contact_sheet import write_contact_sheet
from homerange.run.first_look import BOX_THRESHOLD, open_first_look
from homerange.run.journal import Identity, Journal, Listing, journal_path
from homerange.run.pipeline import Looking, answer_photos
from homerange.run.refusals import (
    check_above_zero,
    check_format,
    check_output,
    check_photos,
    check_pictures,
    photos_of,
)
from homerange.run.results.fieldwork import Fieldwork, parse_utc_offset, read_deployments
from homerange.run.results.formats import Format, format_of, write_results
from homerange.run.review import review_path, write_review
from homerange.run.session import Session
from homerange.run.sheet_entries import choose_entries
from homerange.run.sources import source_root
from homerange.run.summary import Accuracy, PredictSummary, count_answers
from homerange.run.whereabouts import warnings_of
from homerange.world.place_package import PlacePackage

__all__ = ["cores", "predict", "read_fieldwork", "write_answers"]


def predict(
    source: Path,
    *,
    model: Path,
    output: Path,
    format: Format | None = None,
    contact_sheet: Path | None = None,
    review: int | None = None,
    fps: float = 1.0,
    bursts_s: float = 60.0,
    utc_offset: str | None = None,
    deployments: Path | None = None,
    batch_size: int = 4,
    workers: int | None = None,
    fresh: bool = False,
    detections: Path | None = None,
    detector: Path | None = None,
    box_threshold: float = BOX_THRESHOLD,
) -> PredictSummary:
    """Answer every photo and video of a source and write the results.

    Args:
        source: A folder, a photo or video, or a list of them (see `homerange.run.sources`).
        model: A place package, ``NAME.homerange``.
        output: The results. Beside it stays a journal, ``OUTPUT.journal``, from which the same
            command goes on.
        format: Of the results; None goes by the suffix of ``output``.
        contact_sheet: A ``.png`` to draw some of the photos with their answers on.
        review: Write a page of so many least sure photos beside the results, for people to check.
        fps: Frames a second of a video that are looked at.
        bursts_s: Photos of one folder within so many seconds get one answer together, besides
            their own; 0 for none.
        utc_offset: How far camera clocks that do not say it are ahead of UTC, ``+03:00``.
        deployments: A table of the cameras (see `homerange.run.results.fieldwork`).
        batch_size: Photos per call of the model. Larger batches take more memory and, where they
            outgrow the processor's cache, more time.
        workers: Threads that decode photos, and threads of the model; None takes every core.
        fresh: Forget the answers of earlier runs, and overwrite results that are not ours.
        detections: Results of a detector in MegaDetector's format: animals in its boxes are looked
            at, all else passes through as the detector has it.
        detector: The same with a detector that runs now, an ``.onnx`` file.
        box_threshold: Confidence from which boxes are believed, 0-1.

    Returns:
        What was done. Photos that could not be read are counted there and named in the results.

    Raises:
        RunError: If the run cannot start or the results cannot be written.
        PackageError: If the package is missing, broken or of another version.
        ConfigError: If a number is too small, ``utc_offset`` is none, ``box_threshold`` is no
            share, or there are both ``detections`` and a ``detector``.
        ExtraNotInstalled: If the format needs a package that is absent.
    """
    start = time.monotonic()
    root = source_root(source)
    format = format or format_of(output)
    page = review_path(output) if review is not None else None
    check_above_zero(batch_size=batch_size, workers=workers, fps=fps, review=review)
    fieldwork = read_fieldwork(utc_offset, deployments)
    check_format(format, output, fieldwork)
    check_output(output, format, source, model, fresh=fresh)
    check_pictures(contact_sheet, page)
    check_photos(source, contact_sheet)
    photos = partial(photos_of, source, sheet=contact_sheet)
    first_look = open_first_look(detections, detector, box_threshold, photos())
    looked_first = first_look.name if first_look else ""
    looking = Looking(
        batch_size=batch_size, workers=workers or cores(), fps=fps, first_look=first_look
    )
    session = Session.open(model, threads=looking.workers)
    package = session.package
    identity = Identity(package.sha256, package.name, str(root), fps, looked_first)
    with Journal.open(journal_path(output), identity, fresh=fresh) as journal:
        listing = journal.set_photos(photos(), by_name=source.is_dir())
        with progress("predict", listing.photos, unit="photos", done=listing.answered) as step:
            answer_photos(journal, session, looking, step)
        write_answers(
            journal, package, output, format, fieldwork, bursts_s=bursts_s, first_look=looked_first
        )
        failures, labels, accuracy = count_answers(journal.answers(), package)
        if contact_sheet is not None:
            _draw(contact_sheet, journal, package, listing, accuracy)
        if page is not None:
            with _written(page):
                write_review(page, journal.answers(), package, count=review or 0)
        warnings = warnings_of(journal.far(), package.name)
    return PredictSummary(
        photos=listing.photos,
        failures=failures,
        resumed=listing.answered,
        repeated=listing.repeated,
        seconds=time.monotonic() - start,
        labels=labels,
        accuracy=accuracy,
        warnings=warnings,
        review=page,
    )


def read_fieldwork(utc_offset: str | None, deployments: Path | None) -> Fieldwork:
    """Read what the user says about clocks and cameras.

    Raises:
        ConfigError: If ``utc_offset`` is none.
        RunError: If the table of deployments cannot be used.
    """
    return Fieldwork(
        utc_offset=None if utc_offset is None else parse_utc_offset(utc_offset),
        deployments=None if deployments is None else read_deployments(deployments),
    )


def write_answers(
    journal: Journal,
    package: PlacePackage,
    output: Path,
    format: Format,
    fieldwork: Fieldwork,
    *,
    bursts_s: float,
    first_look: str = "",
) -> None:
    """Find the bursts and write the results, both without holding all photos.

    Raises:
        RunError: If the results cannot be written.
    """
    bursts = find_bursts(journal, package.labels, within_s=bursts_s) if bursts_s > 0 else ()
    journal.set_bursts(bursts)
    with _written(output):
        write_results(format, output, package, journal.answers(), fieldwork, first_look=first_look)


def _draw(
    sheet: Path,
    journal: Journal,
    package: PlacePackage,
    listing: Listing,
    accuracy: Accuracy | None,
) -> None:
    entries = choose_entries(journal.answers, package)
    title = f"{package.name}: {len(entries):,} of {listing.photos:,} photos"
    with _written(sheet):
        write_contact_sheet(sheet, entries, title=title, subtitle=str(accuracy or ""))


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written ({error.strerror}). Every answer is kept: make room, then "
            "run the same command again"
        ) from error


def cores() -> int:
    """Return the cores that this process may use, which a container or ``taskset`` may limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
