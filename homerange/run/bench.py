"""The verb bench: what a package costs on this device: bytes, time, memory.

The latency is that of one photo at a time through the loaded model, after it warmed up. Photos a
second and memory are those of a whole ``predict`` in a process of its own, from files to results.
A busy machine measures slow: compare devices that did nothing else.

Axes used in this file:
    H, W  pixels      3  red, green, blue
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime as ort
from PIL import Image

from homerange import __version__
from homerange.errors import ConfigError, RunError
from homerange.output import atomic_file, obstacle
from homerange.run.folder import predict
from homerange.run.session import Session
from homerange.run.sources import source_root

__all__ = ["Measured", "bench"]

BENCH_FORMAT = "homerange-bench"
BENCH_VERSION = 1
LOADS = 5
WARM_UP = 5
DRAWN_PHOTOS = 32
DRAWN_PX = (2304, 1296)  # what a camera trap takes


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What a package costs on a device; the names are those of ``bench.json``."""

    package: str
    package_sha256: str
    device: str
    system: str
    cores: int
    """That this process may use."""
    backend: str
    threads: int
    """Of the model, for the latency; the run over photos takes every core."""
    runs: int
    package_bytes: int
    model_bytes: int
    load_ms: float
    """Reading, verifying and loading the package: median of five."""
    latency_ms: float
    """Of one photo through the model: median."""
    latency_p90_ms: float
    latency_p99_ms: float
    photos: int
    photos_are: str
    """``given``, or ``drawn`` with their size."""
    photos_per_s: float
    """Of ``predict``, from files to results."""
    rss_mb: float | None
    """Largest memory of that process, 10^6 bytes; None where the system does not tell."""
    date: str
    homerange: str

    def to_json(self) -> dict[str, object]:
        """Return the content of ``bench.json``."""
        return {"format": BENCH_FORMAT, "version": BENCH_VERSION, **asdict(self)}


def bench(
    package: Path,
    *,
    source: Path | None = None,
    threads: int = 1,
    runs: int = 100,
    device: str | None = None,
    output: Path | None = None,
) -> Measured:
    """Measure a package on this device.

    Args:
        package: A place package, ``NAME.homerange``.
        source: Photos to run on, as for ``predict``; without them some are drawn.
        threads: Of the model while the latency is measured.
        runs: Calls of the model; the 99th percentile needs a hundred or more.
        device: What to call this device; its processor otherwise.
        output: Where to write the result as JSON.

    Raises:
        ConfigError: If ``threads`` or ``runs`` is below 1.
        PackageError: If the package is missing or broken.
        RunError: If there are no photos, or the result cannot be written.
    """
    for name, count in (("threads", threads), ("runs", runs)):
        if count < 1:
            raise ConfigError(f"{name} is {count}; expected at least 1")
    if output is not None and (found := obstacle(output)):
        raise RunError(f"{output}: {found}")
    if source is not None:
        source_root(source)
    load_ms = median([_ms(lambda: Session.open(package, threads=threads)) for _ in range(LOADS)])
    session = Session.open(package, threads=threads)
    latency_ms = _latencies_ms(session, runs)
    with tempfile.TemporaryDirectory() as folder:
        photos = source or _draw_photos(Path(folder) / "photos")
        run = _predict_alone(photos, package, Path(folder) / "results.json")
    measured = Measured(
        package=session.package.name,
        package_sha256=session.package.sha256,
        device=device or _processor(),
        system=f"{platform.system()} {platform.machine()}",
        cores=_cores(),
        backend=f"onnxruntime {ort.__version__} CPU",
        threads=threads,
        runs=runs,
        package_bytes=package.stat().st_size,
        model_bytes=len(session.package.model),
        load_ms=round(load_ms, 1),
        latency_ms=round(float(np.percentile(latency_ms, 50)), 2),
        latency_p90_ms=round(float(np.percentile(latency_ms, 90)), 2),
        latency_p99_ms=round(float(np.percentile(latency_ms, 99)), 2),
        photos=int(run["photos"]),
        photos_are="given" if source else f"drawn, JPEG of {DRAWN_PX[0]} x {DRAWN_PX[1]} px",
        photos_per_s=round(run["photos"] / run["seconds"], 1),
        rss_mb=run["rss_mb"],
        date=datetime.now(UTC).date().isoformat(),
        homerange=__version__,
    )
    if output is not None:
        with atomic_file(output) as file:
            file.write(f"{json.dumps(measured.to_json(), indent=1)}\n".encode())
    return measured


def _latencies_ms(session: Session, runs: int) -> list[float]:
    side = session.package.preprocessing.input_px
    generator = np.random.default_rng(0)
    rgb_1HW3 = generator.integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    for _ in range(WARM_UP):
        session.probabilities(rgb_1HW3)
    return [_ms(lambda: session.probabilities(rgb_1HW3)) for _ in range(runs)]


def _ms(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


def _draw_photos(folder: Path) -> Path:
    """Draw coarse shapes with fine grain, so that decoding costs what it does on real photos."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    width, height = DRAWN_PX
    for i in range(DRAWN_PHOTOS):
        coarse_HW3 = generator.integers(0, 256, (9, 16, 3), dtype=np.uint8)
        scene = Image.fromarray(coarse_HW3).resize(DRAWN_PX, Image.Resampling.BICUBIC)
        grain_HW1 = generator.integers(0, 24, (height, width, 1), dtype=np.uint8)
        Image.fromarray(np.asarray(scene) // 8 * 7 + grain_HW1).save(folder / f"{i}.jpg")
    return folder


_ALONE = """
import json, sys
from pathlib import Path
from homerange.run.bench import run_alone
print(json.dumps(run_alone(*map(Path, sys.argv[1:]))))
"""


def _predict_alone(photos: Path, package: Path, results: Path) -> dict[str, float]:
    """Run ``predict`` in a process of its own, whose memory nothing else has touched."""
    command = [sys.executable, "-c", _ALONE, str(photos), str(package), str(results)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise RunError(f"{photos}: the run over photos stopped: {lines[-1] if lines else '?'}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_alone(photos: Path, package: Path, results: Path) -> dict[str, float | None]:
    """Run ``predict`` in this process and say what it cost: photos, seconds, memory."""
    summary = predict(photos, model=package, output=results)
    return {"photos": summary.photos, "seconds": summary.seconds, "rss_mb": _peak_mb()}


def _peak_mb() -> float | None:
    """Return the largest resident memory of this process.

    On Linux from VmHWM, because ``ru_maxrss`` also counts what the parent had before the start.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (peak_kb,) = re.findall(r"VmHWM:\s*(\d+) kB", status.read_text())
        return round(int(peak_kb) * 1024 / 1e6, 1)
    if sys.platform == "darwin":
        import resource

        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1)
    return None


def _processor() -> str:
    """Name the board where it has a name (a Raspberry Pi does), else the processor."""
    board = Path("/proc/device-tree/model")
    if board.exists():
        return board.read_text().strip("\0\n ")
    cpus = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*:\s*(.+)$", cpus.read_text(), re.M) if cpus.exists() else None
    return named[1] if named else platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
