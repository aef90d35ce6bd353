"""The country of the synthetic planet: one scene per camera, by day or by infrared flash.

A camera trap sees the same background in all its photos, so a `Scene` is drawn once per camera.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from homerange.data.synthetic_creatures import Colour, mix

__all__ = ["BIOMES", "Scene", "draw_scene", "expose"]

HORIZON = 0.48  # part of the height that is above the ground


@dataclass(frozen=True)
class Scene:
    """What one camera sees when nothing is there."""

    background: Image.Image
    """Mode RGB."""

    foreground: Image.Image
    """Mode RGBA: grass and twigs close to the camera, in front of every animal."""


@dataclass(frozen=True, kw_only=True)
class Biome:
    """How a country looks."""

    sky: tuple[Colour, Colour]
    ground: tuple[Colour, Colour]
    hills: Colour
    plants: Callable[[ImageDraw.ImageDraw, tuple[int, int], np.random.Generator], None]
    grass: tuple[Colour, Colour]
    blades: int


def draw_scene(biome: str, size: tuple[int, int], rng: np.random.Generator) -> Scene:
    """Draw the view of one camera.

    Args:
        biome: One of `BIOMES`.
        size: Width and height in pixels.
        rng: Decides where hills, plants and grass are.
    """
    country = BIOMES[biome]
    stops = (0.0, HORIZON - 0.01, HORIZON, 1.0)
    background = _gradient(size, stops, (*country.sky, *country.ground))
    _hills(background, rng, country.hills)
    _patches(background, rng, country.ground)
    country.plants(ImageDraw.Draw(background), size, rng)
    foreground = Image.new("RGBA", size)
    _grass(foreground, rng, country)
    return Scene(background, foreground)


def expose(photo: NDArray[np.uint8], rng: np.random.Generator, *, hour: int) -> NDArray[np.uint8]:
    """Give a photo the light of the hour and the noise of a small sensor.

    Args:
        photo: Pixels, shape (H, W, 3).
        rng: Decides exposure and noise.
        hour: Local hour, 0-23. From 19 to 5 an infrared flash takes grey photos.

    Returns:
        Pixels, same shape.
    """
    light = photo.astype(np.float32) * rng.uniform(0.85, 1.12)
    if is_night(hour):
        light = _flash(light) * rng.uniform(0.8, 1.1)
        noise = 7.0
    else:
        warm = max(0.0, 1 - min(abs(hour - 6), abs(hour - 18)) / 3)  # dawn and dusk
        light *= np.array([1 + 0.1 * warm, 1 - 0.05 * warm, 1 - 0.22 * warm], np.float32)
        noise = 3.0
    light += rng.normal(0, noise, photo.shape[:2])[..., None]
    return light.clip(0, 255).astype(np.uint8)


def is_night(hour: int) -> bool:
    """Say whether the camera takes its photo with the infrared flash."""
    return hour < 6 or hour >= 19


def _flash(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn to grey, bright in the middle and in front, dark at the edges and far away."""
    height, width = light.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    fall = 1.12 - 0.42 * x**2 - 0.36 * (y - 0.25) ** 2
    fall = np.where(y < 2 * HORIZON - 1, fall * 0.62, fall)
    grey = light @ np.array([0.42, 0.42, 0.16], np.float32)
    return np.repeat((grey * fall)[..., None], 3, axis=2)


def _gradient(
    size: tuple[int, int], stops: Sequence[float], colours: Sequence[Colour]
) -> Image.Image:
    """Return a picture whose colour runs from top (0) to bottom (1) through ``colours``."""
    height = np.linspace(0, 1, size[1])
    channels = [np.interp(height, stops, channel) for channel in zip(*colours, strict=True)]
    column = np.stack(channels, axis=-1).astype(np.uint8)
    return Image.fromarray(np.repeat(column[:, None], size[0], axis=1))


def _hills(scene: Image.Image, rng: np.random.Generator, colour: Colour) -> None:
    width, height = scene.size
    xs = np.linspace(0, 1, 48)
    for depth in (0.0, 0.5):
        wave = np.zeros_like(xs)
        for i in range(3):
            wave += np.sin(xs * (5 + 6 * i) + rng.uniform(0, 6.3)) / (i + 1.5)
        ridge = HORIZON - 0.03 * (1 - depth) - 0.045 * (1 - depth) * wave
        points = [(x * width, y * height) for x, y in zip(xs, ridge, strict=True)]
        floor = HORIZON * height + 1
        shade = mix(colour, (255, 255, 255), 0.25 * (1 - depth))
        ImageDraw.Draw(scene).polygon([*points, (width, floor), (0, floor)], fill=shade)


def _patches(scene: Image.Image, rng: np.random.Generator, ground: tuple[Colour, Colour]) -> None:
    """Lay flat patches of light and dark earth on the ground, larger when closer."""
    width, height = scene.size
    pen = ImageDraw.Draw(scene)
    for depth in np.sort(rng.uniform(0, 1, 26)):
        x, y = rng.uniform(0, width), height * (HORIZON + 0.02 + (1 - HORIZON) * depth)
        rx = width * (0.03 + 0.13 * depth) * rng.uniform(0.5, 1)
        base = mix(*ground, float(depth))
        colour = mix(base, (0, 0, 0) if rng.random() < 0.5 else (255, 250, 235), 0.09)
        pen.ellipse((x - rx, y - rx * 0.14, x + rx, y + rx * 0.14), fill=colour)


def _grass(layer: Image.Image, rng: np.random.Generator, country: Biome) -> None:
    width, height = layer.size
    pen = ImageDraw.Draw(layer)
    tufts = rng.uniform(0, width, 7)
    for _ in range(country.blades):
        x = rng.choice(tufts) + rng.normal(0, width * 0.05)
        tall, lean = height * rng.uniform(0.08, 0.26), rng.normal(0, width * 0.03)
        colour = mix(*country.grass, float(rng.random()))
        tip = (x + lean, height - tall)
        wide = width * 0.006
        pen.polygon([(x - wide, height + 2), (x + wide, height + 2), tip], fill=(*colour, 255))


def _acacias(pen: ImageDraw.ImageDraw, size: tuple[int, int], rng: np.random.Generator) -> None:
    for depth in np.sort(rng.uniform(0, 1, 4)):
        x, foot = rng.uniform(0, size[0]), size[1] * (HORIZON + 0.01 + 0.07 * depth)
        tall = size[1] * (0.1 + 0.26 * depth)
        for lean in (-0.18, 0.22):
            pen.line((x, foot, x + lean * tall, foot - tall), (88, 66, 44), round(tall / 15) + 1)
        leaf = mix((142, 150, 92), (84, 104, 46), float(depth))
        for shift, lift, wide in ((-0.4, 0.92, 0.46), (0.45, 0.95, 0.5), (0.02, 1.08, 0.55)):
            cx, cy = x + shift * tall, foot - lift * tall
            pen.ellipse(
                (cx - wide * tall, cy - tall * 0.13, cx + wide * tall, cy + tall * 0.08), leaf
            )


def _trunks(pen: ImageDraw.ImageDraw, size: tuple[int, int], rng: np.random.Generator) -> None:
    width, height = size
    for depth in np.sort(rng.uniform(0, 1, 17)):
        x, wide = rng.uniform(0, width), width * (0.006 + 0.026 * depth * rng.uniform(0.5, 1))
        bark = mix((128, 152, 112), (64, 48, 36), float(depth))
        foot = height * (HORIZON + 0.14 * depth)
        pen.polygon(
            [(x - wide, 0), (x + wide, 0), (x + wide * 1.5, foot), (x - wide * 1.5, foot)], bark
        )
    for _ in range(46):
        x, y, r = (
            rng.uniform(0, width),
            rng.uniform(-0.05, 0.2) * height,
            width * rng.uniform(0.03, 0.07),
        )
        pen.ellipse(
            (x - r, y - r * 0.6, x + r, y + r * 0.6),
            mix((40, 84, 46), (128, 166, 74), rng.random()),
        )
    for _ in range(7):
        x, y, r = (
            rng.uniform(0, width),
            height * rng.uniform(0.5, 0.62),
            width * rng.uniform(0.03, 0.06),
        )
        for angle in np.linspace(0.3, 2.84, 7):
            tip = (x + r * 1.6 * math.cos(angle), y - r * 1.3 * math.sin(angle))
            pen.line((x, y, *tip), mix((38, 92, 46), (96, 150, 70), rng.random()), round(r / 5) + 1)


def _firs(pen: ImageDraw.ImageDraw, size: tuple[int, int], rng: np.random.Generator) -> None:
    for depth in np.sort(rng.uniform(0, 1, 9)):
        x, foot = rng.uniform(0, size[0]), size[1] * (HORIZON + 0.01 + 0.06 * depth)
        tall = size[1] * (0.09 + 0.28 * depth)
        green = mix((140, 162, 170), (52, 84, 82), float(depth))
        for tier in range(3):
            low, wide = foot - tall * 0.27 * tier, tall * (0.27 - 0.06 * tier)
            peak = (x, low - tall * 0.45)
            pen.polygon([(x - wide, low), (x + wide, low), peak], green)
            pen.polygon(
                [(x - wide * 0.36, low - tall * 0.27), (x + wide * 0.3, low - tall * 0.29), peak],
                (244, 248, 252),
            )
    for x, y in zip(rng.uniform(0, size[0], 70), rng.uniform(0, size[1], 70), strict=True):
        r = size[0] * rng.uniform(0.001, 0.0035)
        pen.ellipse((x - r, y - r, x + r, y + r), (250, 252, 255))


def _cacti(pen: ImageDraw.ImageDraw, size: tuple[int, int], rng: np.random.Generator) -> None:
    for depth in np.sort(rng.uniform(0, 1, 5)):
        x, foot = rng.uniform(0, size[0]), size[1] * (HORIZON + 0.01 + 0.09 * depth)
        tall, colour = (
            size[1] * (0.06 + 0.2 * depth),
            mix((176, 168, 118), (86, 122, 74), float(depth)),
        )
        wide = round(tall * 0.16) + 2
        if rng.random() < 0.5:
            pen.line((x, foot, x, foot - tall), colour, wide)
            for side, lift in ((-0.32, 0.35), (0.32, 0.5)):
                elbow = (x + side * tall, foot - lift * tall)
                points = [(x, foot - lift * tall), elbow, (elbow[0], elbow[1] - tall * 0.3)]
                pen.line(points, colour, round(wide * 0.7), joint="curve")
        else:
            rock = mix((206, 156, 112), (150, 92, 62), float(depth))
            points = [(-0.8, 0), (-0.6, -0.5), (-0.1, -0.72), (0.5, -0.45), (0.9, 0)]
            pen.polygon([(x + a * tall, foot + b * tall) for a, b in points], rock)


BIOMES = {
    "savanna": Biome(
        sky=((124, 178, 216), (246, 228, 190)),
        ground=((212, 184, 108), (172, 132, 66)),
        hills=(178, 164, 116),
        plants=_acacias,
        grass=((206, 170, 84), (146, 112, 52)),
        blades=70,
    ),
    "forest": Biome(
        sky=((150, 184, 132), (206, 220, 160)),
        ground=((104, 112, 62), (72, 58, 36)),
        hills=(120, 150, 98),
        plants=_trunks,
        grass=((92, 140, 60), (36, 74, 38)),
        blades=60,
    ),
    "snow": Biome(
        sky=((150, 182, 212), (226, 234, 240)),
        ground=((232, 238, 244), (206, 218, 232)),
        hills=(178, 196, 214),
        plants=_firs,
        grass=((190, 176, 140), (138, 124, 96)),
        blades=22,
    ),
    "desert": Biome(
        sky=((96, 164, 220), (240, 222, 196)),
        ground=((232, 176, 112), (204, 134, 78)),
        hills=(206, 136, 92),
        plants=_cacti,
        grass=((188, 164, 100), (128, 108, 66)),
        blades=26,
    ),
}
