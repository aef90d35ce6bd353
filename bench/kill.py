"""Is a run that was killed at a random moment, and goes on, the same as one that was not?

Runs predict over a folder in a process of its own, kills it with SIGKILL after a random time, runs
it again to its end, and compares every byte of the results with those of a run that nobody killed.
The record says what each kill hit.

    python bench/kill.py --model NAME.homerange --photos FOLDER
"""

import argparse
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from record import write_record


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a place package")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photos")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        begin = time.monotonic()
        whole = run(arguments.photos, arguments.model, Path(name) / "whole.csv")
        whole_s = time.monotonic() - begin
        kills = [
            one_kill(arguments, Path(name) / f"{i}.csv", rng.uniform(0, whole_s), whole)
            for i in range(arguments.kills)
        ]
    results = {
        "kills": len(kills),
        "same_results": sum(kill["same"] for kill in kills),
        "hit": dict(Counter(kill["hit"] for kill in kills)),
        "photos": whole.count(b"\n") - 1,
        "whole_run_s": round(whole_s, 1),
        "each": kills,
    }
    path = write_record(
        "kill",
        "How many of the runs that were killed at a random moment end in the same results?",
        results,
        seed=arguments.seed,
    )
    print(json.dumps(results, indent=1), path, sep="\n")


def command(photos: Path, model: Path, output: Path) -> list[str]:
    """Return the command line of one run."""
    verb = [sys.executable, "-m", "homerange.cli", "predict", str(photos)]
    return [*verb, "--model", str(model), "-o", str(output), "--workers", "1"]


def run(photos: Path, model: Path, output: Path) -> bytes:
    """Run to the end and return the results."""
    done = subprocess.run(command(photos, model, output), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the run that goes on failed: {done.stderr}")
    return output.read_bytes()


def one_kill(
    arguments: argparse.Namespace, output: Path, after_s: float, whole: bytes
) -> dict[str, object]:
    """Kill a run after some seconds, let it go on, and compare."""
    process = subprocess.Popen(
        command(arguments.photos, arguments.model, output),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.wait()
    hit = where(output, process.returncode)
    same = run(arguments.photos, arguments.model, output) == whole
    return {"after_s": round(after_s, 2), "hit": hit, "same": same}


def where(output: Path, returncode: int) -> str:
    """Say what the run was doing when it was killed."""
    journal = output.with_name(f"{output.name}.journal")
    if returncode != -signal.SIGKILL:
        return "after the end"
    if output.exists():
        return "after the results"
    if not journal.exists():
        return "before the journal"
    if any(output.parent.glob(f".{output.name}.*.part")):
        return "the writing"
    with tempfile.TemporaryDirectory() as name:  # a look into it would change the journal itself
        for path in journal.parent.glob(f"{journal.name}*"):
            shutil.copy(path, name)
        db = sqlite3.connect(Path(name) / journal.name)
        try:
            ((photos,),) = db.execute("SELECT count(*) FROM photo")
            ((answers,),) = db.execute("SELECT count(*) FROM answer")
        except sqlite3.Error:
            return "the beginning of the journal"
        finally:
            db.close()
    if not photos:
        return "the listing"
    return "the answers" if answers < photos else "the bursts"


if __name__ == "__main__":
    main()
