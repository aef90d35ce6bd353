"""What does the base install bring? Bytes on disk, import time and the licence of every part.

    python bench/install.py

Makes an empty environment, installs this repository into it without extras, and looks. Bytes are
those of all files that the installed packages brought, without pip. Import times are what
``python -X importtime`` sums up for what ``predict`` imports: the median of five new processes.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from record import write_record

ROOT = Path(__file__).parent.parent
IMPORTS = {"homerange.cli": "what --help needs", "homerange.run.folder": "what predict needs"}
GOALS = {"installed_mb": 210, "predict_import_s": 0.5}
_LIST = """
import json, os
from importlib.metadata import distributions
found = []
for one in distributions():
    if one.name.lower() in ("pip", "setuptools", "wheel"):
        continue
    size = sum(p.stat().st_size for f in one.files or () if (p := f.locate()).is_file())
    meta = one.metadata
    classifiers = [c.split(" :: ")[-1] for c in meta.get_all("Classifier") or ()
                   if c.startswith("License ::")]
    licence = meta["License-Expression"] or "; ".join(classifiers) or (meta["License"] or "")
    found.append({"package": one.name, "version": one.version, "bytes": size,
                  "licence": licence.splitlines()[0][:60] if licence else "not stated"})
print(json.dumps(sorted(found, key=lambda row: -row["bytes"])))
"""


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        python = make_environment(Path(folder))
        packages = json.loads(output(python, "-c", _LIST))
        imports = {
            module: round(median([import_s(python, module) for _ in range(rounds)]), 3)
            for module in IMPORTS
        }
    results = {
        "installed_mb": round(sum(row["bytes"] for row in packages) / 1e6, 1),
        "help_import_s": imports["homerange.cli"],
        "predict_import_s": imports["homerange.run.folder"],
        "packages": packages,
    }
    path = write_record(
        "install",
        "What does the base install bring: bytes, import time, licences?",
        results,
        rounds=rounds,
        goals=GOALS,
    )
    print(json.dumps(results, indent=1), path, sep="\n")


def make_environment(folder: Path) -> Path:
    """Make an empty environment, install the base into it, and return its Python."""
    subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", ROOT], check=True)
    return python


def output(python: Path, *arguments: str) -> str:
    """Run the Python of the environment outside of the repository."""
    command = [python, "-I", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def import_s(python: Path, module: str) -> float:
    """Return the seconds that the import of a module takes in a new process, interpreter aside."""
    command = [python, "-I", "-X", "importtime", "-c", f"import {module}"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    # The cumulative microseconds of what is imported at the top: names without indentation.
    top = re.findall(r"^import time:\s+\d+ \|\s+(\d+) \| (\w[\w.]*)$", told, re.MULTILINE)
    return max(int(us) for us, name in top if name == module) / 1e6


if __name__ == "__main__":
    main()
