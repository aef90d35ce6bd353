"""Does peak memory stay the same from ten thousand photos to a million?

The photos are hard links to a few small files, all in one folder, the worst case of a listing. A
stub stands for decoding and for the model, so that what is measured is ours: listing, sorting,
journal, bursts and writing. Every photo has a time, so each belongs to a burst. Each size runs in a
process of its own.

    python bench/million.py --model NAME.homerange
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from record import write_record

from homerange.run import folder, pipeline
from homerange.run.answers import Answer
from homerange.run.sources import fingerprint

SIZES = (10_000, 1_000_000)
LINKS_PER_FILE = 30_000  # file systems allow about twice as many
FORMATS = {"megadetector": "results.json", "csv": "results.csv"}


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a place package")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--format", choices=FORMATS, default="csv")
    parser.add_argument("--folder", type=Path, help="where to make the photos")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(measure(arguments.run, arguments.model, arguments.format)))
        return
    found = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        for size in arguments.sizes:
            place = Path(name) / str(size)
            make(place / "photos", size)
            command = [sys.executable, __file__, "--model", str(arguments.model)]
            command += ["--format", arguments.format, "--run", str(place)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found.append({"photos": size, **json.loads(done.stdout)})
            print(found[-1], flush=True)
    results = {"sizes": found, "peak_ratio": round(found[-1]["peak_mb"] / found[0]["peak_mb"], 3)}
    path = write_record(
        "million",
        "How does the peak memory of predict grow from ten thousand photos to a million?",
        results,
        format=arguments.format,
        photo="hard links in one folder; decoding and the model are stubs",
    )
    print(json.dumps(results, indent=1), path, sep="\n")


def make(photos: Path, count: int) -> None:
    """Link small files under ``count`` names."""
    photos.mkdir(parents=True)
    for i in range(count):
        if i % LINKS_PER_FILE == 0:
            source = photos / f"IMG_{i:07}.jpg"
            source.write_bytes(b"a small photo")
        else:
            os.link(source, photos / f"IMG_{i:07}.jpg")


def measure(place: Path, model: Path, format: str) -> dict[str, float]:
    """Run predict with stubs here; return seconds, photos/s and the peak of this process."""
    begin = time.monotonic()
    pipeline.decode_photo = stub_decode
    folder.Session.probabilities = stub_probabilities
    summary = folder.predict(
        place / "photos", model=model, output=place / FORMATS[format], batch_size=256, workers=1
    )
    (line,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return {
        "answered": summary.photos - summary.failures,
        "peak_mb": round(int(line) * 1024 / 1e6, 1),
        "wall_s": round(time.monotonic() - begin, 1),
        "results_mb": round((place / FORMATS[format]).stat().st_size / 1e6, 1),
        "journal_mb": round((place / f"{FORMATS[format]}.journal").stat().st_size / 1e6, 1),
    }


_PIXELS = np.zeros((8, 8, 3), np.uint8)


def stub_decode(photo, preprocessing, whereabouts=None):
    """Take no time; every photo is 20 s after the one before."""
    second = int(photo.file[4:11]) * 20
    minute, hour, day = second // 60, second // 3600, second // 86400
    moment = f"{2000 + day // 336}-{1 + day % 336 // 28:02}-{1 + day % 28:02}"
    moment += f"T{hour % 24:02}:{minute % 60:02}:{second % 60:02}"
    return replace(Answer(photo.file, fingerprint(photo.path)), datetime=moment), _PIXELS


def stub_probabilities(self, rgb_BHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Take no time."""
    share_BC = np.full((len(rgb_BHW3), len(self.package.labels)), 0.01, np.float32)
    share_BC[:, 0] = 1 - share_BC[:, 1:].sum(axis=1)
    return share_BC


if __name__ == "__main__":
    main()
