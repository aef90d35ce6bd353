"""What a run refuses before any work, so that no hours are lost and no file of yours."""

from collections.abc import Iterator
from pathlib import Path

from homerange.errors import ConfigError, RunError
from homerange.output import obstacle
from homerange.run.contact_sheet import is_contact_sheet
from homerange.run.journal import journal_path
from homerange.run.results.camtrap_dp import is_camtrap_dp
from homerange.run.results.fieldwork import Fieldwork
from homerange.run.results.formats import Format, is_folder
from homerange.run.review import is_review
from homerange.run.sources import SUFFIXES, Photo, find_photos
from homerange.world.parquet import connect

__all__ = [
    "check_above_zero",
    "check_format",
    "check_output",
    "check_photos",
    "check_pictures",
    "check_place",
    "photos_of",
]


def check_above_zero(**numbers: float | None) -> None:
    """Refuse settings that cannot work.

    Raises:
        ConfigError: If one is not above 0.
    """
    for name, number in numbers.items():
        if number is not None and not number > 0:
            expected = "at least 1" if isinstance(number, int) else "a number above 0"
            raise ConfigError(f"{name} is {number}; expected {expected}")


def check_format(format: Format, output: Path, fieldwork: Fieldwork) -> None:
    """Refuse a format that needs what is not there.

    Raises:
        RunError: If it needs the offset of the camera clocks from UTC and nobody said it.
        ExtraNotInstalled: If it needs a package that is absent.
    """
    if format == "parquet":
        connect().close()
    if format == "camtrap-dp" and fieldwork.utc_offset is None:
        raise RunError(
            f"{output}: every time in Camtrap DP has an offset from UTC, and most cameras write "
            "none. Say how far the camera clocks are ahead: --utc-offset +03:00"
        )


def check_output(output: Path, format: Format, source: Path, model: Path, *, fresh: bool) -> None:
    """Refuse a place for the results where something else would be lost.

    Raises:
        RunError: If the results cannot be written there.
    """
    check_place(output, folder=is_folder(format))
    for name, path in (("source", source), ("model", model)):
        if output.resolve() == path.resolve():
            raise RunError(f"{output}: is the {name} itself. Choose another output")
    if not output.exists() or journal_path(output).exists():
        ours = True
    elif is_folder(format):
        ours = is_camtrap_dp(output) or not any(output.iterdir())
    else:
        ours = fresh
    if not ours:
        raise RunError(
            f"{output}: exists, and {journal_path(output).name} is not beside it, so it may be "
            "something else. Choose another output"
            + ("" if is_folder(format) else ", or overwrite it with --fresh")
        )


def check_pictures(sheet: Path | None, review: Path | None) -> None:
    """Refuse to draw a contact sheet or a review page over something else.

    Raises:
        RunError: If one cannot be written, or stands there and is not ours.
    """
    if sheet is not None:
        check_place(sheet)
        if sheet.suffix.lower() != ".png":
            raise RunError(f"{sheet}: a contact sheet is a PNG; expected a name that ends in .png")
        if sheet.exists() and not is_contact_sheet(sheet):
            raise RunError(
                f"{sheet}: exists and is no contact sheet of homerange, so it is left alone. "
                "Choose another name"
            )
    if review is not None:
        check_place(review)
        if review.exists() and not is_review(review):
            raise RunError(
                f"{review}: exists and is no review page of homerange, so it is left alone. "
                "Move it away, or choose another output"
            )


def check_place(path: Path, *, folder: bool = False) -> None:
    """Refuse a name under which nothing can be written.

    Raises:
        RunError: If so.
    """
    above = path.parent
    if not above.is_dir():
        raise RunError(f"{path}: there is no folder {above}. Make it, or choose another output")
    if folder and path.is_dir():
        return
    if folder and path.exists():
        raise RunError(f"{path}: is a file; expected the name of a folder to make")
    if found := obstacle(path):
        raise RunError(f"{path}: {found}")


def photos_of(source: Path, *, sheet: Path | None = None) -> Iterator[Photo]:
    """Find the photos, but not the sheet that an earlier run drew among them.

    Raises:
        RunError: As `find_photos`.
    """
    for photo in find_photos(source):
        if (
            sheet is None
            or photo.path.name != sheet.name
            or photo.path.resolve() != sheet.resolve()
        ):
            yield photo


def check_photos(source: Path, sheet: Path | None) -> None:
    """Refuse a source without any photo.

    Raises:
        RunError: If so.
    """
    if next(photos_of(source, sheet=sheet), None) is None:
        raise RunError(
            f"{source}: holds no photos; expected files that end in {', '.join(sorted(SUFFIXES))}"
        )
