"""How close does predict come to the speed of its parts, and does its memory stay flat?

Decoding and inference share the same cores, so at best a photo takes the time of both:
1/(1/d + 1/i) photos/s, with d photos/s of decoding alone and i of inference alone. The three are
measured in turn, round by round in one process, so that a busy machine slows all of them; only
the ratio is a claim. Beside it stands the ratio of processor time, which other programs on the
machine disturb least: it shows work that predict adds, not waiting. Photos are drawn from a seed,
of the size that camera traps make.

    python bench/predict.py --model NAME.homerange
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from record import spread, write_record

from homerange.run.folder import predict
from homerange.run.pipeline import decode_photo
from homerange.run.session import Session
from homerange.run.sources import find_photos
from homerange.world.place_package import read_package

SIZE_PX = (2304, 1296)
PICTURES = 20
BATCH = 4  # as predict has it
MEMORY_PHOTOS = (100, 600)
QUESTION = (
    "What part of 1/(1/d + 1/i) does predict reach, and how does its peak memory grow "
    "from 100 to 600 photos?"
)


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a place package")
    parser.add_argument("--photos", type=int, default=64, help="photos per round")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print(peak_mb(arguments.peak, arguments.model))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_photos(Path(folder) / "speed", arguments.photos, arguments.seed)
        speeds = [one_round(Path(folder), arguments.model) for _ in range(arguments.rounds)]
        memory = {}
        for count in MEMORY_PHOTOS:
            make_photos(Path(folder) / f"memory{count}", count, arguments.seed)
            memory[count] = peak_in_own_process(Path(folder) / f"memory{count}", arguments.model)
    package = read_package(arguments.model)
    results = {key: spread([speed[key] for speed in speeds]) for key in speeds[0]} | {
        "peak_mb": memory,
        "peak_ratio": round(memory[600] / memory[100], 3),
    }
    path = write_record(
        "predict",
        QUESTION,
        results,
        seed=arguments.seed,
        rounds=arguments.rounds,
        photos_per_round=arguments.photos,
        photo=f"{SIZE_PX[0]} x {SIZE_PX[1]} JPEG, quality 85, {PICTURES} different pictures",
        cores=len(os.sched_getaffinity(0)),
        batch=BATCH,
        model={
            "name": package.name,
            "bytes": len(package.model),
            "labels": len(package.labels),
            "input_px": package.preprocessing.input_px,
        },
    )
    print(json.dumps(results, indent=1), path, sep="\n")


def make_photos(folder: Path, count: int, seed: int) -> None:
    """Draw pictures with coarse shapes and fine grain, and repeat them under ``count`` names."""
    folder.mkdir()
    generator = np.random.default_rng(seed)
    width, height = SIZE_PX
    for i in range(min(count, PICTURES)):
        coarse = generator.integers(0, 256, (9, 16, 3), dtype=np.uint8)
        scene = np.asarray(Image.fromarray(coarse).resize(SIZE_PX, Image.Resampling.BICUBIC))
        grain = generator.normal(0, 8, (height, width, 1))
        photo = Image.fromarray(np.clip(scene + grain, 0, 255).astype(np.uint8))
        photo.save(folder / f"{i:04}.jpg", quality=85)
    for i in range(PICTURES, count):
        os.link(folder / f"{i % PICTURES:04}.jpg", folder / f"{i:04}.jpg")


def one_round(folder: Path, model: Path) -> dict[str, float]:
    """Return photos/s of decoding alone, of inference alone and of predict, and ratios."""
    photos = list(find_photos(folder / "speed"))
    cores = len(os.sched_getaffinity(0))
    session = Session.open(model, threads=cores)
    preprocessing = session.package.preprocessing
    rgb_BHW3 = np.stack([decode_photo(p, preprocessing)[1] for p in photos[:BATCH]])
    session.probabilities(rgb_BHW3)

    def decode_only() -> None:
        with ThreadPoolExecutor(cores) as pool:
            for _ in pool.map(lambda photo: decode_photo(photo, preprocessing)[0], photos):
                pass

    def inference_only() -> None:
        for _ in range(0, len(photos), BATCH):
            session.probabilities(rgb_BHW3)

    def whole() -> None:
        predict(
            folder / "speed", model=model, output=folder / "r.json", batch_size=BATCH, fresh=True
        )

    times = [seconds(action) for action in (decode_only, inference_only, whole)]
    decode, inference, both = (len(photos) / wall_s for wall_s, _ in times)
    decode_cpu_s, inference_cpu_s, both_cpu_s = (cpu_s for _, cpu_s in times)
    bound = 1 / (1 / decode + 1 / inference)
    return {
        "decode_photos_per_s": decode,
        "inference_photos_per_s": inference,
        "predict_photos_per_s": both,
        "part_of_bound": both / bound,
        "part_of_bound_processor_time": (decode_cpu_s + inference_cpu_s) / both_cpu_s,
    }


def seconds(action: Callable[[], None]) -> tuple[float, float]:
    """Time one call: seconds that passed, and seconds of processor time of all threads."""
    start, start_cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - start, time.process_time() - start_cpu


def peak_in_own_process(photos: Path, model: Path) -> float:
    """Run predict in a new process and return its peak memory in MB."""
    command = [sys.executable, __file__, "--model", str(model), "--peak", str(photos)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def peak_mb(photos: Path, model: Path) -> float:
    """Run predict here and return the peak resident memory of this process in MB (10^6 bytes).

    From Linux's VmHWM: ``ru_maxrss`` also counts what the parent had before this process began.
    """
    predict(photos, model=model, output=photos.with_suffix(".json"), batch_size=BATCH)
    (line,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return round(int(line) * 1024 / 1e6, 1)


if __name__ == "__main__":
    main()
