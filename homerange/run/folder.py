"""Run a place package over a folder, a photo or a list, and write the results.

The order of things: everything that can be wrong with the request is refused first; photos are
answered batch by batch into a journal beside the results (`homerange.run.journal`); at the end the
results are written from the journal in one piece. The same command goes on where a run stopped,
and looks only at what is new when photos were added.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from homerange.errors import ConfigError, RunError
from homerange.output import atomic_file, obstacle
from homerange.progress import progress
from homerange.run.contact_sheet import is_contact_sheet, write_contact_sheet
from homerange.run.first_look import BOX_THRESHOLD, open_first_look
from homerange.run.journal import Identity, Journal, Listing, journal_path
from homerange.run.pipeline import answer_photos
from homerange.run.results.megadetector import write_megadetector
from homerange.run.results.table import write_table
from homerange.run.session import Session
from homerange.run.sheet_entries import choose_entries
from homerange.run.sources import SUFFIXES, Photo, find_photos, source_root
from homerange.run.summary import Accuracy, PredictSummary, count_answers
from homerange.world.place_package import PlacePackage

__all__ = ["Format", "predict"]

Format = Literal["megadetector", "csv"]

_WRITERS = {"megadetector": write_megadetector, "csv": write_table}
_FORMAT_OF_SUFFIX: dict[str, Format] = {".json": "megadetector", ".csv": "csv"}


def predict(
    source: Path,
    *,
    model: Path,
    output: Path,
    format: Format | None = None,
    contact_sheet: Path | None = None,
    batch_size: int = 4,
    workers: int | None = None,
    fresh: bool = False,
    detections: Path | None = None,
    detector: Path | None = None,
    box_threshold: float = BOX_THRESHOLD,
) -> PredictSummary:
    """Answer every photo of a source and write the results.

    Args:
        source: A folder, a photo, or a list of photos (see `homerange.run.sources`).
        model: A place package, ``NAME.homerange``.
        output: The results. Beside it stays a journal, ``OUTPUT.journal``, from which the same
            command goes on.
        format: Of the results; None goes by the suffix of ``output``, ``.json`` or ``.csv``.
        contact_sheet: A ``.png`` to draw some of the photos with their answers on.
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
        ConfigError: If ``batch_size`` or ``workers`` is below 1, ``box_threshold`` is no share, or
            there are both ``detections`` and a ``detector``.
    """
    start = time.monotonic()
    root = source_root(source)
    write = _WRITERS[format or _format_of(output)]
    _check_counts(batch_size=batch_size, workers=workers)
    _check_files(source, model, output, contact_sheet, fresh=fresh)
    first_look = open_first_look(
        detections, detector, box_threshold, _photos(source, contact_sheet)
    )
    looked_first = first_look.name if first_look else ""
    workers = workers or _cores()
    session = Session.open(model, threads=workers)
    package = session.package
    identity = Identity(package.sha256, package.name, str(root), looked_first)
    with Journal.open(journal_path(output), identity, fresh=fresh) as journal:
        listing = journal.set_photos(_photos(source, contact_sheet))
        with progress("predict", listing.photos, unit="photos", done=listing.answered) as step:
            answer_photos(
                journal,
                session,
                batch_size=batch_size,
                workers=workers,
                step=step,
                first_look=first_look,
            )
        with _written(output), atomic_file(output) as file:
            write(file, package, journal.answers(), looked_first)
        failures, labels, accuracy = count_answers(journal.answers(), package)
        if contact_sheet is not None:
            _draw(contact_sheet, journal, package, listing, accuracy)
    return PredictSummary(
        photos=listing.photos,
        failures=failures,
        resumed=listing.answered,
        repeated=listing.repeated,
        seconds=time.monotonic() - start,
        labels=labels,
        accuracy=accuracy,
    )


def _format_of(output: Path) -> Format:
    if output.suffix.lower() not in _FORMAT_OF_SUFFIX:
        raise RunError(
            f"{output}: its name does not tell the format; expected .json (MegaDetector) or .csv, "
            "or choose with --format"
        )
    return _FORMAT_OF_SUFFIX[output.suffix.lower()]


def _check_counts(**counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ConfigError(f"{name} is {count}; expected at least 1")


def _check_files(
    source: Path, model: Path, output: Path, sheet: Path | None, *, fresh: bool
) -> None:
    _check_output(output, source, model, fresh=fresh)
    if sheet is not None:
        _check_sheet(sheet)
    if next(_photos(source, sheet), None) is None:
        raise RunError(
            f"{source}: holds no photos; expected files that end in {', '.join(sorted(SUFFIXES))}"
        )


def _check_output(output: Path, source: Path, model: Path, *, fresh: bool) -> None:
    _check_place(output)
    for name, path in (("source", source), ("model", model)):
        if output.resolve() == path.resolve():
            raise RunError(f"{output}: is the {name} itself. Choose another output")
    if output.exists() and not journal_path(output).exists() and not fresh:
        raise RunError(
            f"{output}: exists, and {journal_path(output).name} is not beside it, so it may be "
            "something else. Choose another output, or overwrite it with --fresh"
        )


def _check_sheet(sheet: Path) -> None:
    _check_place(sheet)
    if sheet.suffix.lower() != ".png":
        raise RunError(f"{sheet}: a contact sheet is a PNG; expected a name that ends in .png")
    if sheet.exists() and not is_contact_sheet(sheet):
        raise RunError(
            f"{sheet}: exists and is no contact sheet of homerange, so it is left alone. "
            "Choose another name"
        )


def _check_place(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise RunError(f"{path}: there is no folder {folder}. Make it, or choose another output")
    if found := obstacle(path):
        raise RunError(f"{path}: {found}")


def _photos(source: Path, sheet: Path | None) -> Iterator[Photo]:
    """Find the photos, but not the sheet that an earlier run drew among them."""
    for photo in find_photos(source):
        if (
            sheet is None
            or photo.path.name != sheet.name
            or photo.path.resolve() != sheet.resolve()
        ):
            yield photo


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


def _cores() -> int:
    """Return the cores that this process may use, which a container or ``taskset`` may limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
