"""A synthetic planet: drawn creatures with places, for trying everything without one real photo.

Nothing on it exists. Every species is invented (all genera begin with ``Ficto``), and every row of
its manifest says so in the column ``source``. The places are real coordinates on land, one of them
across the 180th meridian, because a place is where things go wrong.

What makes it a fair exercise: a species lives in one or two regions and looks different in each;
each camera keeps its background; animals come in bursts of one to three photos; nights are grey
infrared photos; grass hides feet; some photos are blank.
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from homerange.data.synthetic_creatures import (
    BODIES,
    PATTERNS,
    Coat,
    Colour,
    Look,
    Pose,
    draw_creature,
    mix,
)
from homerange.data.synthetic_scenes import HORIZON, Scene, draw_scene, expose, is_night
from homerange.errors import ConfigError, HomerangeError

__all__ = ["Region", "draw_planet"]

SUPERSAMPLING = 3  # drawn this much larger and reduced, which smooths the edges
CAMERAS = 6  # in each region
DAYLIGHT = 0.72  # part of the visits that are by day
COLUMNS = (
    "path", "species", "common_name", "latitude", "longitude", "datetime", "region_id",
    "location_id", "licence", "source",
)  # fmt: skip
SOURCE = "synthetic planet (drawn, no real species)"
LICENCE = "CC0-1.0"


@dataclass(frozen=True)
class Region:
    """A country of the planet: where it is and what it looks like."""

    name: str
    biome: str
    latitude_deg: float
    longitude_deg: float
    tint: Colour
    """The colour that its animals lean to."""


REGIONS = (
    Region("serengeti", "savanna", -2.4, 34.9, (206, 160, 84)),
    Region("amazon", "forest", -3.1, -61.5, (58, 50, 34)),
    Region("wrangel", "snow", 71.2, 180.0, (238, 242, 250)),  # its cameras stand on both sides
    Region("uluru", "desert", -25.3, 131.0, (210, 96, 50)),
    Region("lapland", "snow", 68.2, 25.4, (214, 216, 226)),
    Region("pantanal", "savanna", -17.6, -57.3, (150, 120, 60)),
    Region("borneo", "forest", 4.9, 117.6, (74, 44, 30)),
    Region("namib", "desert", -24.7, 15.6, (226, 178, 120)),
)

FURS: dict[str, tuple[str, Colour]] = {
    "rusty": ("rufo", (186, 84, 40)),
    "pale": ("albo", (232, 216, 184)),
    "charcoal": ("nigro", (70, 66, 72)),
    "golden": ("auro", (222, 168, 56)),
    "blue": ("cyano", (88, 124, 168)),
    "chocolate": ("fusco", (104, 66, 42)),
    "mossy": ("viridi", (120, 142, 72)),
    "plum": ("purpureo", (142, 76, 120)),
}
MARKS = {"plain": "simplex", "striped": "striatus", "spotted": "maculatus", "saddled": "dorsatus"}
BODY_NAMES = {
    "grazer": ("Fictoceros", "bramblehorn"),
    "cat": ("Fictofelis", "velvetcat"),
    "bird": ("Fictornis", "stiltpeck"),
    "hopper": ("Fictopus", "moonbounder"),
    "dome": ("Fictotesta", "domeback"),
}


@dataclass(frozen=True)
class _Species:
    name: str
    common_name: str
    look: Look
    fur: Colour
    pattern: str
    density: int
    regions: tuple[int, ...]


@dataclass(frozen=True)
class _Camera:
    name: str
    region: Region
    latitude_deg: float
    longitude_deg: float
    scene: Scene


def draw_planet(
    folder: Path,
    *,
    species: int = 24,
    regions: int = 4,
    photos_per_species: int = 30,
    size_px: int = 160,
    seed: int = 0,
) -> Path:
    """Draw the photos of a planet and write the table that goes with them.

    The same arguments give the same files. Beside the species there are as many blank photos as
    one species has.

    Args:
        folder: Where ``photos/`` and ``manifest.csv`` go; made if it is absent.
        species: How many species, 1 to 160.
        regions: How many regions, 1 to 8.
        photos_per_species: How many photos of each species, over all its regions.
        size_px: Width of a photo, at least 32; the height is three quarters of it.
        seed: Another seed, another planet.

    Returns:
        Path of ``manifest.csv``.

    Raises:
        ConfigError: If a number is out of range.
    """
    _check(species, 1, len(BODIES) * len(FURS) * len(PATTERNS), "species")
    _check(regions, 1, len(REGIONS), "regions")
    _check(photos_per_species, 1, 100_000, "photos_per_species")
    _check(size_px, 32, 4096, "size_px")
    _check(seed, 0, 2**31 - 1, "seed")
    size = (size_px * SUPERSAMPLING, size_px * 3 // 4 * SUPERSAMPLING)
    cameras = [_cameras(index, size, seed) for index in range(regions)]
    fauna: list[_Species | None] = [_species(index, regions, seed) for index in range(species)]
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    rows: list[Sequence[object]] = []
    for index, animal in enumerate([*fauna, None]):
        rng = np.random.default_rng([seed, 2, index if animal else 1_000_000])
        homes = animal.regions if animal else tuple(range(regions))
        sites = [camera for home in homes for camera in cameras[home]]
        for camera, times in _visits(sites, photos_per_species, rng):
            for photo, time in zip(_burst(animal, camera, times, rng), times, strict=True):
                path = f"photos/{camera.name}_{len(rows):05d}.jpg"
                photo.save(folder / path, quality=88)
                rows.append(_row(path, animal, camera, time))
    table = folder / "manifest.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    return table


def _check(value: int, low: int, high: int, name: str) -> None:
    if not low <= value <= high:
        raise ConfigError(f"synthetic planet: {name} is {value}; expected {low} to {high}")


def _species(index: int, regions: int, seed: int) -> _Species:
    """Invent a species. No two share body, fur and pattern."""
    bodies, furs, patterns = list(BODIES), list(FURS), list(PATTERNS)
    body = bodies[index % len(bodies)]
    nth = index // len(bodies)  # of its body; each body begins with another fur
    first = index % len(bodies) + seed
    fur = furs[(3 * first + nth) % len(furs)]
    pattern = patterns[(2 * first + nth + nth // len(furs)) % len(patterns)]
    genus, noun = BODY_NAMES[body]
    latin, colour = FURS[fur]
    home = index % regions
    rng = np.random.default_rng([seed, 1, index])
    return _Species(
        name=f"{genus} {latin}{MARKS[pattern]}",
        common_name=f"{fur} {pattern} {noun}",
        look=_look(body, rng),
        fur=colour,
        pattern=pattern,
        density=int(rng.integers(5, 9)),
        regions=(home,) if index % 3 or regions == 1 else (home, (home + 1) % regions),
    )


def _look(body: str, rng: np.random.Generator) -> Look:
    return Look(
        body=body,
        leg=float(rng.uniform(0.34, 0.56)),
        neck=float(rng.uniform(0.18, 0.5)),
        ear=float(rng.choice([0.12, 0.17, 0.24])),
        tail=float(rng.choice([0.16, 0.34, 0.55])),
        girth=float(rng.uniform(0.24, 0.34)),
        horn=float(rng.choice([0.06, 0.2, 0.36])),
        crest=bool(rng.random() < 0.5),
    )


def _coat(animal: _Species, region: Region) -> Coat:
    """Return the local coat: fur leans to the country's tint, the marks vary in number."""
    fur = mix(animal.fur, region.tint, 0.26)
    light = sum(fur) > 330
    marks = mix(fur, (34, 26, 24) if light else (246, 236, 214), 0.72)
    density = animal.density + REGIONS.index(region) % 3 - 1
    return Coat(fur=fur, marks=marks, pattern=animal.pattern, density=density)


def _cameras(region_index: int, size: tuple[int, int], seed: int) -> list[_Camera]:
    region = REGIONS[region_index]
    cameras = []
    for number in range(CAMERAS):
        rng = np.random.default_rng([seed, 3, region_index, number])
        latitude_deg = region.latitude_deg + rng.uniform(-0.1, 0.1)
        longitude_deg = region.longitude_deg + rng.uniform(-0.4, 0.4)
        wrapped_deg = (longitude_deg + 180) % 360 - 180
        name = f"{region.name}-{number + 1:02d}"
        scene = draw_scene(region.biome, size, rng)
        cameras.append(_Camera(name, region, latitude_deg, wrapped_deg, scene))
    return cameras


def _visits(
    sites: Sequence[_Camera], photos: int, rng: np.random.Generator
) -> Iterator[tuple[_Camera, list[datetime]]]:
    """Yield bursts of one to three photos, seconds apart, until there are enough photos."""
    while photos > 0:
        count = min(int(rng.integers(1, 4)), photos)
        photos -= count
        day, second = int(rng.integers(365)), int(rng.integers(3600))
        hour = int(rng.integers(6, 19) if rng.random() < DAYLIGHT else rng.integers(19, 30) % 24)
        start = datetime(2024, 1, 1, hour) + timedelta(days=day, seconds=second)
        gaps = np.cumsum([0, *rng.integers(1, 6, count - 1)]).tolist()
        yield sites[int(rng.integers(len(sites)))], [start + timedelta(seconds=s) for s in gaps]


def _burst(
    animal: _Species | None, camera: _Camera, times: Sequence[datetime], rng: np.random.Generator
) -> Iterator[Image.Image]:
    """Draw one visit: the animal walks on a little from photo to photo."""
    width, height = camera.scene.background.size
    depth = rng.uniform(0.25, 1)
    edge = 0.05 if rng.random() < 0.1 else 0.3  # now and then half of it is out of the photo
    x_px = rng.uniform(edge, 1 - edge) * width
    left = bool(rng.random() < 0.5)
    for time in times:
        photo = camera.scene.background.copy()
        if animal is not None:
            pose = Pose(
                x_px=x_px,
                y_px=height * (HORIZON + 0.1 + 0.38 * depth),
                length_px=width * (0.2 + 0.24 * depth),
                faces_left=left,
                stride=float(rng.uniform(-1, 1)),
                head=float(rng.choice([0.1, 0.6, 1.0])),
                glowing_eyes=is_night(time.hour),
            )
            draw_creature(photo, animal.look, _coat(animal, camera.region), pose)
            x_px += (-1 if left else 1) * rng.uniform(0.02, 0.08) * width
        photo.paste(camera.scene.foreground, mask=camera.scene.foreground)
        yield Image.fromarray(expose(np.asarray(photo.reduce(SUPERSAMPLING)), rng, hour=time.hour))


def _row(path: str, animal: _Species | None, camera: _Camera, time: datetime) -> Sequence[object]:
    return (
        path,
        animal.name if animal else "blank",
        animal.common_name if animal else "",
        round(camera.latitude_deg, 5),
        round(camera.longitude_deg, 5),
        time.isoformat(),
        camera.region.name,
        camera.name,
        LICENCE,
        SOURCE,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line: ``python -m homerange.data.synthetic OUT``."""
    parser = argparse.ArgumentParser(
        prog="python -m homerange.data.synthetic",
        description="Draw a synthetic planet: photos of invented animals, with places.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="folder for photos/ and manifest.csv")
    parser.add_argument("--species", type=int, default=24, help="number of species, 1 to 160")
    parser.add_argument("--regions", type=int, default=4, help="number of regions, 1 to 8")
    parser.add_argument("--photos-per-species", type=int, default=30, help="photos of each species")
    parser.add_argument("--size-px", type=int, default=160, help="width of a photo in pixels")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another planet")
    options = vars(parser.parse_args(arguments))
    try:
        print(draw_planet(options.pop("out"), **options))
    except (HomerangeError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
