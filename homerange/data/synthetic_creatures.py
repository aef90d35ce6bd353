"""The creatures of the synthetic planet: five bodies, four patterns, many looks.

A creature is drawn in its own coordinates (feet at y = 0, up is positive, it faces +x, a body is
about one unit long) and brought into the photo by a `Pen`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

__all__ = ["BODIES", "PATTERNS", "Coat", "Colour", "Look", "Pose", "draw_creature", "mix"]

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Coat:
    """Colours of an animal in one region."""

    fur: Colour
    marks: Colour
    pattern: str
    density: int
    """How many stripes or rows of spots."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """Shape of a species; lengths relative to its body."""

    body: str
    leg: float
    neck: float
    ear: float
    tail: float
    girth: float
    horn: float
    crest: bool


@dataclass(frozen=True, kw_only=True)
class Pose:
    """How one animal stands in one photo: feet and body length in pixels."""

    x_px: float
    y_px: float
    length_px: float
    faces_left: bool
    stride: float
    """Swing of the legs, -1 to 1."""

    head: float
    """0 = down to the grass, 1 = up and watching."""

    glowing_eyes: bool


class Pen:
    """Draw shapes given in the creature's own coordinates."""

    def __init__(self, layer: Image.Image, pose: Pose) -> None:
        self.layer = layer
        self.draw = ImageDraw.Draw(layer)
        self.pose = pose

    def at(self, points: Points) -> list[tuple[float, float]]:
        """Return where the points lie in the photo."""
        pose, sign = self.pose, -1 if self.pose.faces_left else 1
        return [
            (pose.x_px + sign * x * pose.length_px, pose.y_px - y * pose.length_px)
            for x, y in points
        ]

    def shape(self, points: Points, colour: Colour) -> None:
        """Fill a polygon."""
        self.draw.polygon(self.at(points), fill=colour)

    def limb(self, points: Points, width: float, colour: Colour) -> None:
        """Draw a line with round joints and ends."""
        placed = self.at(points)
        width_px = max(1.0, width * self.pose.length_px)
        self.draw.line(placed, fill=colour, width=round(width_px), joint="curve")
        for x, y in placed:
            self.draw.circle((x, y), width_px / 2, fill=colour)

    def blob(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, tilt: float = 0
    ) -> None:
        """Fill an ellipse, turned by ``tilt`` degrees."""
        self.shape(_ellipse(x, y, rx, ry, tilt), colour)


def draw_creature(photo: Image.Image, look: Look, coat: Coat, pose: Pose) -> None:
    """Draw an animal and its shadow onto a photo.

    Args:
        photo: The scene, mode RGB; it is changed.
        look: Shape of the species.
        coat: Its colours in this region.
        pose: Where it stands and how.
    """
    _shadow(photo, pose)
    BODIES[look.body](Pen(photo, pose), look, coat)


def _shadow(photo: Image.Image, pose: Pose) -> None:
    shade = Image.new("L", photo.size, 0)
    points = _ellipse(pose.x_px, pose.y_px, pose.length_px * 0.6, pose.length_px * 0.07, 0)
    ImageDraw.Draw(shade).polygon(points, fill=95)
    shade = shade.filter(ImageFilter.BoxBlur(pose.length_px * 0.03))
    photo.paste((20, 18, 22), mask=shade)


def _ellipse(x: float, y: float, rx: float, ry: float, tilt: float) -> list[tuple[float, float]]:
    turn = math.radians(tilt)
    cos, sin = math.cos(turn), math.sin(turn)
    around = [2 * math.pi * step / 36 for step in range(36)]
    oval = [(rx * math.cos(angle), ry * math.sin(angle)) for angle in around]
    return [(x + cos * a - sin * b, y + sin * a + cos * b) for a, b in oval]


def _shade(colour: Colour, factor: float) -> Colour:
    """Return a darker (below 1) or lighter (above 1) colour."""
    red, green, blue = (min(255, max(0, round(channel * factor))) for channel in colour)
    return red, green, blue


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return the colour that lies ``share`` (0 to 1) of the way from one to the other."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _torso(pen: Pen, outline: Points, coat: Coat) -> None:
    """Fill the body with its coat: pale belly, and the pattern clipped to the outline."""
    inside = Image.new("L", pen.layer.size, 0)
    ImageDraw.Draw(inside).polygon(pen.at(outline), fill=255)
    skin = Image.new("RGB", pen.layer.size, coat.fur)
    brush = Pen(skin, pen.pose)
    left, right = min(x for x, _ in outline), max(x for x, _ in outline)
    low, high = min(y for _, y in outline), max(y for _, y in outline)
    brush.blob((left + right) / 2, low, (right - left) / 2, (high - low) * 0.3, _pale(coat.fur))
    PATTERNS[coat.pattern](brush, coat, (left, low, right, high))
    pen.layer.paste(skin, mask=inside)


def _pale(fur: Colour) -> Colour:
    return mix(fur, (250, 244, 230), 0.45)


Box = tuple[float, float, float, float]


def _plain(brush: Pen, coat: Coat, box: Box) -> None:
    """Leave the coat as it is."""


def _stripes(brush: Pen, coat: Coat, box: Box) -> None:
    left, low, right, high = box
    step = (right - left) / coat.density
    for count in range(coat.density + 1):
        x = left + step * count
        points = [(x, high), (x - step * 0.3, (low + high) / 2), (x + step * 0.2, low)]
        brush.limb(points, step * 0.36, coat.marks)


def _spots(brush: Pen, coat: Coat, box: Box) -> None:
    left, low, right, high = box
    step = (right - left) / coat.density
    rows = max(2, round((high - low) / step))
    for row in range(rows + 1):
        for count in range(coat.density + 1):
            x = left + step * (count + 0.5 * (row % 2))
            y = low + (high - low) * (row + 0.2) / rows
            brush.blob(x, y, step * 0.3, step * 0.27, coat.marks)


def _saddle(brush: Pen, coat: Coat, box: Box) -> None:
    left, low, right, high = box
    middle = left + (right - left) * 0.45
    brush.blob(middle, high, (right - left) * 0.36, (high - low) * 0.62, coat.marks)


PATTERNS: dict[str, Callable[[Pen, Coat, Box], None]] = {
    "plain": _plain,
    "striped": _stripes,
    "spotted": _spots,
    "saddled": _saddle,
}


def _legs(pen: Pen, hips: Sequence[float], top: float, width: float, fur: Colour) -> None:
    """Draw each leg from its hip to the ground, far legs darker, in step."""
    for index, x in enumerate(hips):
        swing = pen.pose.stride * top * 0.4 * (1 if index % 2 else -1)
        colour = _shade(fur, 0.7) if index % 2 else _shade(fur, 0.92)
        pen.limb([(x, top), (x + swing * 0.35, top * 0.5), (x + swing, 0.02)], width, colour)
        pen.limb([(x + swing, 0.02), (x + swing + width * 0.6, 0.02)], width, _shade(fur, 0.45))


def _eye(pen: Pen, x: float, y: float, radius: float) -> None:
    pen.blob(x, y, radius, radius, (255, 255, 250) if pen.pose.glowing_eyes else (24, 18, 16))
    pen.blob(x + radius * 0.3, y + radius * 0.35, radius * 0.35, radius * 0.35, (255, 255, 255))


def _ear(pen: Pen, x: float, y: float, size: float, width: float, fur: Colour) -> None:
    for shift, colour in ((-0.05, _shade(fur, 0.75)), (0.03, fur)):
        pen.shape([(x + shift - width, y), (x + shift, y + size), (x + shift + width, y)], colour)
    pen.shape(
        [(x + 0.03 - width * 0.5, y), (x + 0.03, y + size * 0.7), (x + 0.03 + width * 0.5, y)],
        mix(fur, (236, 160, 150), 0.6),
    )


def _grazer(pen: Pen, look: Look, coat: Coat) -> None:
    """Draw a long-legged animal with horns."""
    fur, top = coat.fur, look.leg
    back = top + look.girth
    _legs(pen, (-0.36, -0.3, 0.3, 0.36), top + 0.08, 0.07, fur)
    pen.limb([(-0.48, back), (-0.58, back - look.tail * 0.5)], 0.035, fur)
    pen.blob(-0.58, back - look.tail * 0.5, 0.04, 0.07, coat.marks)
    reach = look.neck * (0.45 + 0.55 * pen.pose.head)
    x, y = 0.42 + look.neck * 0.62, back + reach * (2 * pen.pose.head - 0.9)
    y = max(y, 0.12)
    pen.limb(
        [(0.38, back - 0.08), ((0.4 + x) / 2, (back + y) / 2), (x, y)], 0.17, _shade(fur, 0.96)
    )
    _torso(pen, _ellipse(0, top + look.girth * 0.6, 0.52, look.girth * 0.72, 3), coat)
    for lean in (-0.09, 0.02):
        tip = (x + lean - 0.16, y + 0.08 + look.horn)
        bend = (x + lean + 0.05, y + 0.1 + look.horn * 0.5)
        pen.limb([(x + lean, y + 0.06), bend, tip], 0.035, (232, 222, 200))
    _ear(pen, x - 0.1, y + 0.03, look.ear, 0.04, fur)
    pen.blob(x + 0.07, y - 0.02, 0.15, 0.09, fur, tilt=-28)
    pen.blob(x + 0.18, y - 0.08, 0.055, 0.045, _shade(fur, 0.5), tilt=-28)
    _eye(pen, x + 0.03, y + 0.03, 0.026)


def _cat(pen: Pen, look: Look, coat: Coat) -> None:
    """Draw a low, long animal with a round head and a tail in the air."""
    fur, top = coat.fur, look.leg * 0.62
    back = top + look.girth
    curl = [(-0.48, back - 0.06), (-0.68, back), (-0.76, back + look.tail * 0.5)]
    pen.limb([*curl, (-0.68, back + look.tail * 0.85)], 0.075, fur)
    pen.blob(-0.68, back + look.tail * 0.85, 0.055, 0.07, coat.marks)
    _legs(pen, (-0.38, -0.3, 0.28, 0.36), top + 0.08, 0.1, fur)
    _torso(pen, _ellipse(0, top + look.girth * 0.5, 0.54, look.girth * 0.56, 2), coat)
    x, y = 0.56, back - 0.12 + 0.24 * pen.pose.head
    for side in (-0.1, 0.1):
        _ear(pen, x + side, y + 0.1, look.ear * 0.8, 0.065, fur)
    if look.crest:
        pen.blob(x - 0.1, y - 0.05, 0.22, 0.22, coat.marks)
    pen.blob(x, y, 0.19, 0.165, fur)
    pen.blob(x + 0.07, y - 0.07, 0.1, 0.065, _pale(fur))
    pen.blob(x + 0.12, y - 0.035, 0.03, 0.022, (70, 40, 40))
    _eye(pen, x - 0.01, y + 0.035, 0.03)
    _eye(pen, x + 0.125, y + 0.035, 0.03)


def _bird(pen: Pen, look: Look, coat: Coat) -> None:
    """Draw a bird on two thin legs."""
    fur, top = coat.fur, look.leg * 0.8
    middle = top + look.girth * 0.8
    beak = (238, 172, 52)
    for x, way in ((-0.04, -1), (0.08, 1)):
        foot = x + way * pen.pose.stride * 0.12
        pen.limb([(x, top + 0.08), (foot, 0.02), (foot + 0.12, 0.02)], 0.032, _shade(beak, 0.85))
    for fan in (-0.1, 0.02, 0.14):
        tip = (-0.4 - look.tail * 0.7, middle + fan * 1.6 + look.tail * 0.2)
        pen.limb([(-0.26, middle), tip], 0.075, _shade(coat.marks if fan == 0.02 else fur, 0.85))
    x = 0.32 + 0.1 * look.neck
    y = middle + 0.14 + look.neck * (0.15 + 0.75 * pen.pose.head)
    pen.limb([(0.22, middle + 0.06), (x - 0.06, (middle + y) / 2), (x, y)], 0.13, fur)
    _torso(pen, _ellipse(0, middle, 0.38, look.girth * 0.86, 14), coat)
    pen.blob(-0.12, middle - 0.03, 0.2, look.girth * 0.26, _shade(fur, 0.72), tilt=-14)
    length = 0.12 + look.horn * 0.6
    pen.shape([(x + 0.06, y + 0.06), (x + 0.1 + length, y - 0.03), (x + 0.06, y - 0.05)], beak)
    for fan in (-0.12, -0.03, 0.06) if look.crest else ():
        pen.limb([(x - 0.02, y + 0.06), (x + fan - 0.04, y + 0.14 + look.ear)], 0.03, coat.marks)
    pen.blob(x, y, 0.115, 0.105, fur)
    _eye(pen, x + 0.04, y + 0.03, 0.028)


def _hopper(pen: Pen, look: Look, coat: Coat) -> None:
    """Draw an upright animal with long feet, long ears and a heavy tail."""
    fur, rise = coat.fur, 0.1 * pen.pose.stride
    pen.limb(
        [(-0.16, 0.24), (-0.44, 0.1), (-0.56 - look.tail * 0.7, 0.04)], 0.12, _shade(fur, 0.86)
    )
    pen.limb([(-0.02, 0.22), (-0.1, 0.05), (0.26, 0.03)], 0.1, _shade(fur, 0.7))
    outline = _ellipse(0.0, 0.44 + rise * 0.3, 0.42, look.girth * 0.95, 58)
    x, y = 0.26, 0.86 + 0.14 * pen.pose.head + look.neck * 0.15
    pen.limb([(0.14, 0.7), (x, y)], 0.15, fur)
    _torso(pen, outline, coat)
    pen.blob(-0.06, 0.26, 0.21, 0.17, _shade(fur, 0.9), tilt=-30)
    pen.limb([(-0.02, 0.16), (-0.06, 0.06), (0.3, 0.035)], 0.1, _shade(fur, 0.82))
    reach = 0.14 + 0.1 * pen.pose.stride
    pen.limb(
        [(0.18, 0.6), (0.24 + reach * 0.5, 0.5), (0.24 + reach, 0.52)], 0.06, _shade(fur, 0.75)
    )
    for lean in (-0.09, -0.01):
        pen.blob(x + lean, y + 0.1 + look.ear * 0.8, 0.05, look.ear, _shade(fur, 0.9), tilt=14)
        pen.blob(
            x + lean, y + 0.1 + look.ear * 0.8, 0.024, look.ear * 0.75, (222, 160, 150), tilt=14
        )
    pen.blob(x + 0.05, y, 0.16, 0.11, fur, tilt=-14)
    pen.blob(x + 0.19, y - 0.04, 0.03, 0.028, (50, 34, 34))
    _eye(pen, x + 0.06, y + 0.035, 0.028)


def _dome(pen: Pen, look: Look, coat: Coat) -> None:
    """Draw a slow animal under a shell."""
    skin = mix(coat.fur, (96, 104, 70), 0.55)
    floor = 0.1 + look.leg * 0.12
    _legs(pen, (-0.34, -0.24, 0.26, 0.36), floor + 0.06, 0.13, skin)
    pen.shape([(-0.44, floor + 0.14), (-0.58 - look.tail * 0.3, floor), (-0.4, floor)], skin)
    x, y = 0.62 + 0.06 * look.neck, floor + 0.08 + 0.3 * pen.pose.head
    pen.limb([(0.38, floor + 0.1), (0.54, (floor + y) / 2 + 0.05), (x, y)], 0.12, skin)
    pen.blob(x + 0.04, y + 0.01, 0.12, 0.095, skin)
    pen.limb([(x + 0.08, y - 0.04), (x + 0.14, y - 0.03)], 0.012, _shade(skin, 0.5))
    _eye(pen, x + 0.07, y + 0.04, 0.026)
    arch = [math.pi * step / 24 for step in range(25)]
    height = 0.2 + look.girth * 1.1
    outline = [(0.5 * math.cos(angle), floor + height * math.sin(angle)) for angle in arch]
    _torso(pen, outline, coat)
    pen.limb([(-0.5, floor + 0.03), (0.5, floor + 0.03)], 0.06, _shade(coat.fur, 0.65))
    for spike in (-0.28, -0.1, 0.08, 0.26) if look.crest else ():
        y = floor + height * math.sqrt(1 - (spike / 0.5) ** 2)
        pen.shape(
            [(spike - 0.06, y - 0.03), (spike - 0.02, y + 0.12), (spike + 0.06, y - 0.03)], skin
        )


BODIES: dict[str, Callable[[Pen, Look, Coat], None]] = {
    "grazer": _grazer,
    "cat": _cat,
    "bird": _bird,
    "hopper": _hopper,
    "dome": _dome,
}
