"""How much time does a scaled JPEG decode save, and does it change the pixels?

Makes camera-trap sized JPEGs (2304 x 1296, drawn scenes with sensor noise) and brings each to the
square of the network in four ways, one thread, round after round so that a busy machine slows all
of them. Writes ``bench/results/decode.json``. Run: ``python bench/decode.py``.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image
from record import spread, write_record

from homerange.data.images import Preprocessing, fit, prepare
from homerange.data.synthetic_scenes import BIOMES, draw_scene, expose

Square = NDArray[np.uint8]

SIZE = (2304, 1296)
HOURS = (9, 22)  # one photo by day and one by infrared flash in each biome
QUALITY = 90
SETTINGS = Preprocessing()
SHORT_PX = SETTINGS.resize_px


def full(data: bytes) -> Square:
    """Decode every pixel with Pillow."""
    return fit(np.asarray(Image.open(BytesIO(data)).convert("RGB")), SETTINGS)


def draft(data: bytes) -> Square:
    """Let Pillow decode at 1/2, 1/4 or 1/8."""
    image = Image.open(BytesIO(data))
    image.draft("RGB", (SHORT_PX, SHORT_PX))
    return fit(np.asarray(image.convert("RGB")), SETTINGS)


def scaled(data: bytes) -> Square:
    """Let simplejpeg decode at the smallest of 1/8 ... 8/8 that is large enough."""
    return fit(
        simplejpeg.decode_jpeg(data, "RGB", min_height=SHORT_PX, min_width=SHORT_PX), SETTINGS
    )


def ours(data: bytes) -> Square:
    """Run the path of training and device, with all its checks."""
    return prepare(data, SETTINGS)


WAYS: dict[str, Callable[[bytes], Square]] = {
    "Pillow, full decode": full,
    "Pillow, draft": draft,
    "simplejpeg, scaled": scaled,
    "homerange prepare": ours,
}


def make_photos(seed: int) -> list[bytes]:
    """Draw the photos."""
    rng = np.random.default_rng(seed)
    photos = []
    for biome in BIOMES:
        scene = draw_scene(biome, SIZE, rng)
        scene.background.paste(scene.foreground, mask=scene.foreground)
        for hour in HOURS:
            buffer = BytesIO()
            pixels = expose(np.asarray(scene.background), rng, hour=hour)
            Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
            photos.append(buffer.getvalue())
    return photos


def measure(photos: list[bytes], rounds: int) -> dict[str, list[float]]:
    """Return for each way the milliseconds per photo of each round; the first round is thrown."""
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    for nth in range(rounds + 1):
        for way, run in WAYS.items():
            start = time.perf_counter()
            for photo in photos:
                run(photo)
            if nth:
                took[way].append((time.perf_counter() - start) / len(photos) * 1e3)
    return took


def differences(photos: list[bytes]) -> dict[str, float]:
    """Return for each way the mean difference from the full decode, in levels of 0-255."""
    found = {}
    for way, run in WAYS.items():
        gaps = [np.abs(run(photo).astype(int) - full(photo)).mean() for photo in photos]
        found[way] = round(float(np.mean(gaps)), 2)
    return found


def summarise(took: Mapping[str, list[float]], gaps: Mapping[str, float]) -> dict[str, object]:
    """Bring times, ratios within each round and pixel differences together."""
    base = took["Pillow, full decode"]
    return {
        way: {
            "ms_per_photo": spread(times),
            "ratio_to_full": spread(
                [ms / full_ms for ms, full_ms in zip(times, base, strict=True)]
            ),
            "mean_difference_levels": gaps[way],
        }
        for way, times in took.items()
    }


def main() -> None:
    """Measure, print a table and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="measured rounds (default 15)")
    parser.add_argument("--seed", type=int, default=0, help="of the drawn photos (default 0)")
    options = parser.parse_args()
    photos = make_photos(options.seed)
    took, gaps = measure(photos, options.rounds), differences(photos)
    results = summarise(took, gaps)
    print(f"{'way':22}{'ms/photo':>10}{'ratio':>8}{'difference':>12}")
    for way, times in took.items():
        ratio = np.median(np.divide(times, took["Pillow, full decode"]))
        print(f"{way:22}{np.median(times):10.1f}{ratio:8.2f}{gaps[way]:12.2f}")
    path = write_record(
        "decode",
        "What does bringing a 2304 x 1296 JPEG to the 224 px square cost, against a full decode?",
        results,
        seed=options.seed,
        rounds=options.rounds,
        threads=1,
        photos={
            "count": len(photos),
            "size_px": SIZE,
            "jpeg_quality": QUALITY,
            "mean_bytes": round(float(np.mean([len(photo) for photo in photos]))),
        },
        preprocessing=SETTINGS.to_json(),
    )
    print(path)


if __name__ == "__main__":
    main()
