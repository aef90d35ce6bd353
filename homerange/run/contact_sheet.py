"""A contact sheet: one picture of many photos with their answers, to look at and to show.

Nothing of a photo but its pixels gets into the sheet: no EXIF, hence no place where a rare animal
lives. The letters are those that Pillow brings along, so a sheet looks the same everywhere; names
in scripts that this font lacks show as boxes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from homerange import __version__
from homerange.data.images import read_rgb
from homerange.errors import ImageError
from homerange.output import atomic_file

__all__ = ["SheetEntry", "is_contact_sheet", "write_contact_sheet"]

PAPER, TRAY, INK, QUIET, TRACK = "#faf9f5", "#e9e7df", "#23271f", "#6d7268", "#dedcd2"
GREEN, RED, BLUE = "#3f8a4d", "#c2453b", "#4d7391"
THUMB_PX = (232, 174)
GAP_PX, MARGIN_PX = 22, 52
MIN_COLUMNS, MAX_COLUMNS = 4, 8
SLANT = 0.2  # of a species name: Pillow's font has no italics

_SOFTWARE = "homerange contact sheet"


@dataclass(frozen=True, kw_only=True, slots=True)
class SheetEntry:
    """One photo of a contact sheet and its answer."""

    path: Path
    label: str
    """Scientific name or outcome."""
    is_species: bool
    common_name: str
    """Empty where none is known."""
    confidence: float
    """Probability of the answer, 0-1."""
    right: bool | None
    """None where the true answer is not known."""
    truth: str
    """What it really is; shown where the answer is wrong."""


def write_contact_sheet(
    path: Path, entries: Sequence[SheetEntry], *, title: str, subtitle: str
) -> None:
    """Draw photos with their answers on one PNG.

    Args:
        path: The PNG.
        entries: The photos in order, at most a few dozen; all are drawn. One that can no longer
            be read is drawn as an empty frame.
        title: The first line, for example the place and the number of photos.
        subtitle: What stands below it, for example the accuracy; may be empty.

    Raises:
        OSError: If the file cannot be written.
    """
    columns = min(MAX_COLUMNS, max(MIN_COLUMNS, math.ceil(math.sqrt(len(entries) * 4 / 3))))
    rows = math.ceil(len(entries) / columns)
    width = 2 * MARGIN_PX + columns * (THUMB_PX[0] + GAP_PX) - GAP_PX
    lines = _wrapped(subtitle, _font(21), width - 2 * MARGIN_PX)
    top = MARGIN_PX + 62 + 30 * len(lines) + 24
    cell_height = _cell_height(entries)
    sheet = Image.new("RGB", (width, top + rows * cell_height + 74), PAPER)
    _draw_header(sheet, title, lines, rule_y=top - 24)
    for i, entry in enumerate(entries):
        row, column = divmod(i, columns)
        left = MARGIN_PX + column * (THUMB_PX[0] + GAP_PX)
        _draw_entry(sheet, left, top + row * cell_height, entry)
    _draw_footer(sheet, has_truth=any(entry.right is not None for entry in entries))
    note = PngImagePlugin.PngInfo()
    note.add_text("Software", _SOFTWARE)
    with atomic_file(path) as file:
        sheet.save(file, "PNG", pnginfo=note)


def is_contact_sheet(path: Path) -> bool:
    """Whether a file is a contact sheet that we drew, and so may be drawn again."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return image.info.get("Software") == _SOFTWARE
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False


def _cell_height(entries: Sequence[SheetEntry]) -> int:
    """Leave room for a third line only where some answer is wrong."""
    text = 62 + 24 * any(entry.right is False for entry in entries)
    return THUMB_PX[1] + 10 + text + GAP_PX


def _draw_header(sheet: Image.Image, title: str, lines: Sequence[str], *, rule_y: int) -> None:
    draw = ImageDraw.Draw(sheet)
    inner = sheet.width - 2 * MARGIN_PX
    draw.text((MARGIN_PX, MARGIN_PX - 12), _fitted(title, _font(42), inner), INK, _font(42))
    for i, line in enumerate(lines):
        draw.text((MARGIN_PX, MARGIN_PX + 48 + 30 * i), line, QUIET, _font(21))
    draw.line((MARGIN_PX, rule_y, sheet.width - MARGIN_PX, rule_y), TRACK, 2)


def _draw_entry(sheet: Image.Image, left: int, top: int, entry: SheetEntry) -> None:
    top += GAP_PX
    sheet.paste(_thumbnail(entry.path), (left, top), _rounded(*THUMB_PX))
    if entry.right is not None:
        mark = _mark(right=entry.right)
        sheet.paste(mark, (left + THUMB_PX[0] - mark.width - 8, top + 8), mark)
    _draw_caption(sheet, left, top + THUMB_PX[1] + 8, entry)


def _draw_caption(sheet: Image.Image, left: int, top: int, entry: SheetEntry) -> None:
    draw = ImageDraw.Draw(sheet)
    width = THUMB_PX[0]
    percent = f"{entry.confidence:.0%}"
    percent_width = int(_font(16).getlength(percent)) + 12
    colour = {True: GREEN, False: RED, None: BLUE}[entry.right]
    _draw_name(sheet, left, top, entry)
    common = _fitted(entry.common_name, _font(16), width - percent_width)
    draw.text((left, top + 25), common, QUIET, _font(16))
    draw.text((left + width, top + 25), percent, INK, _font(16), anchor="ra")
    _draw_bar(draw, (left, top + 50, left + width, top + 56), entry.confidence, colour)
    if entry.right is False:
        draw.text((left, top + 62), _fitted(f"is {entry.truth}", _font(15), width), RED, _font(15))


def _draw_name(sheet: Image.Image, left: int, top: int, entry: SheetEntry) -> None:
    """Write a species in slanted letters, as biologists do, and an outcome upright."""
    font, height = _font(18), 24
    slant_px = math.ceil(SLANT * height) if entry.is_species else 0
    text = _fitted(entry.label, font, THUMB_PX[0] - slant_px)
    mask = Image.new("L", (THUMB_PX[0], height))
    ImageDraw.Draw(mask).text((0, 0), text, 255, font)
    if entry.is_species:
        shear = (1, SLANT, -SLANT * 18, 0, 1, 0)  # 18: the line that the letters stand on
        mask = mask.transform(mask.size, Image.Transform.AFFINE, shear, Image.Resampling.BICUBIC)
    sheet.paste(INK, (left, top), mask)


def _draw_bar(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], share: float, colour: str
) -> None:
    left, top, right, bottom = box
    draw.rounded_rectangle(box, 3, TRACK)
    end = left + max(6, round(share * (right - left)))  # 6: still round at both ends
    draw.rounded_rectangle((left, top, end, bottom), 3, colour)


def _draw_footer(sheet: Image.Image, *, has_truth: bool) -> None:
    draw = ImageDraw.Draw(sheet)
    x, y = MARGIN_PX, sheet.height - 50
    legend = [(True, "right"), (False, "wrong, with the true answer below")] if has_truth else []
    for right, text in legend:
        mark = _mark(right=right)
        sheet.paste(mark, (x, y - 4), mark)
        draw.text((x + mark.width + 8, y), text, QUIET, _font(16))
        x += mark.width + 8 + int(_font(16).getlength(text)) + 28
    _draw_bar(draw, (x, y + 7, x + 54, y + 13), 0.7, QUIET)
    draw.text((x + 64, y), "probability of the answer", QUIET, _font(16))
    made_by = (sheet.width - MARGIN_PX, y)
    draw.text(made_by, f"homerange {__version__}", QUIET, _font(16), anchor="ra")


def _thumbnail(path: Path) -> Image.Image:
    """Fit a photo into its frame, whole, on a quiet ground."""
    frame = Image.new("RGB", THUMB_PX, TRAY)
    try:
        photo = Image.fromarray(read_rgb(path, at_least_px=min(THUMB_PX)))
    except ImageError:  # it could be read during the run, so it was taken away since
        draw, middle = ImageDraw.Draw(frame), (THUMB_PX[0] // 2, THUMB_PX[1] // 2)
        draw.text(middle, "photo is gone", QUIET, _font(16), anchor="mm")
        return frame
    scale = min(THUMB_PX[0] / photo.width, THUMB_PX[1] / photo.height)
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    photo = photo.resize(size, Image.Resampling.LANCZOS)
    frame.paste(photo, ((THUMB_PX[0] - size[0]) // 2, (THUMB_PX[1] - size[1]) // 2))
    return frame


@lru_cache
def _mark(*, right: bool) -> Image.Image:
    """A tick or a cross on a disc: told apart by shape as well as by colour."""
    side, fine = 28, 4  # drawn 4 times too large, for smooth edges
    mark = Image.new("RGBA", (side * fine, side * fine))
    draw = ImageDraw.Draw(mark)
    draw.ellipse((0, 0, side * fine - 1, side * fine - 1), GREEN if right else RED, PAPER, 2 * fine)
    strokes = [[(8, 15), (12, 19), (20, 10)]] if right else [[(9, 9), (19, 19)], [(19, 9), (9, 19)]]
    for stroke in strokes:
        points = [(x * fine, y * fine) for x, y in stroke]
        draw.line(points, PAPER, 3 * fine, joint="curve")
    return mark.resize((side, side), Image.Resampling.LANCZOS)


@lru_cache
def _rounded(width: int, height: int) -> Image.Image:
    fine = 4
    mask = Image.new("L", (width * fine, height * fine))
    draw = ImageDraw.Draw(mask)
    draw.rounded_rectangle((0, 0, width * fine - 1, height * fine - 1), 7 * fine, 255)
    return mask.resize((width, height), Image.Resampling.LANCZOS)


def _fitted(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Shorten a text with an ellipsis until it is at most ``width`` pixels wide."""
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1].rstrip()
    return f"{text}…"


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(_fitted(word, font, width))
    return lines


@lru_cache
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size_px)
    assert isinstance(font, ImageFont.FreeTypeFont)  # with a size, Pillow gives no other
    return font
