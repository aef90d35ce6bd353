"""Write the record of a measurement to ``bench/results/NAME.json``.

Every number that we publish has such a file: the question, the command, the commit, the machine,
the versions, and results with their spread. A number without one is not a claim.
"""

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median, quantiles

__all__ = ["spread", "write_record"]

RESULTS = Path(__file__).parent / "results"
PACKAGES = ["homerange", "numpy", "onnxruntime", "pillow", "simplejpeg", "torch", "timm", "onnx"]


def write_record(
    name: str, question: str, results: object, *, folder: Path = RESULTS, **facts: object
) -> Path:
    """Write one record.

    Args:
        name: Name of the file without ``.json``.
        question: What was measured, as a question.
        results: The numbers, as values that JSON can hold.
        folder: Where the file goes.
        **facts: What else the reader must know, for example ``seed=0, rounds=7, threads=1``.

    Returns:
        The path of the file.
    """
    record = {
        "question": question,
        "command": shlex.join(["python", *_relative(sys.argv)]),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _commit(),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {"python": platform.python_version()} | _versions(),
        **facts,
        "results": results,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return path


def spread(values: Sequence[float], *, digits: int = 3) -> Mapping[str, float]:
    """Summarise repeated measurements: median, quartiles, extremes and how many.

    Example:
        >>> spread([1.0, 2.0, 3.0, 4.0, 5.0])["median"]
        3.0
    """
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    found = {
        "median": median(values),
        "quartile_low": low,
        "quartile_high": high,
        "min": min(values),
        "max": max(values),
    }
    return {key: round(value, digits) for key, value in found.items()} | {"n": len(values)}


def _relative(arguments: Sequence[str]) -> list[str]:
    """Write paths inside the repository as seen from its root: a record names no home folder."""
    root = f"{RESULTS.parent.parent}{os.sep}"
    return [argument.removeprefix(root) for argument in arguments]


def _commit() -> str:
    """Return the commit, with ``+changes`` when tracked files differ from it."""
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "-uno", "--", ":!bench/results")
        return f"{commit}+changes" if changed else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(RESULTS.parent.parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown"


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
