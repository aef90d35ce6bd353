"""Choose the photos of the demonstration world.

    python runs/demonstration_photos.py rows WILDLIFE SPECIES115 OUT
    python runs/demonstration_photos.py evidence both.parquet evidence.parquet

``rows`` writes both tables with full paths, without rows under the GPL, and with short names of
licences. ``evidence`` keeps all training photos, of which only the records are published, and a few
of each class to judge by.
"""

import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from homerange.data.manifest import Manifest

KEPT = {"val": 2, "test": 3}
"""Photos of each class that become evidence."""
LICENCES = {
    "repo MIT; ENA24 is CDLA-permissive": "CDLA-Permissive-1.0",
    "MIT (example data CC0)": "MIT",
}


def rows(wildlife: str, species115: str, out: str) -> None:
    """Write ``wildlife.csv`` and ``species115.csv``."""
    for name, folder in (("wildlife", Path(wildlife)), ("species115", Path(species115))):
        with (folder / "manifest.csv").open(newline="") as file:
            found = list(csv.DictReader(file))
        if name == "species115":
            found = [row | {"licence": "CC0-1.0", "source": name} for row in found]
        kept = [
            row
            | {
                "path": str((folder / row["path"]).resolve()),
                "licence": LICENCES.get(row["licence"], row["licence"]),
            }
            for row in found
            if "GPL" not in row["licence"]
        ]
        with (Path(out) / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(kept[0]))
            writer.writeheader()
            writer.writerows(kept)


def evidence(manifest: str, output: str) -> None:
    """Write a manifest with few photos of each class in val and test."""
    read = Manifest.read(Path(manifest))
    seen: Counter[tuple[str | None, str | None]] = Counter()
    kept_N = np.ones(len(read), bool)
    for row, key in enumerate(zip(read.strings("split"), read.strings("species"), strict=True)):
        seen[key] += 1
        kept_N[row] = seen[key] <= KEPT.get(key[0] or "", len(read))
    read.where(kept_N).write(Path(output))


if __name__ == "__main__":
    {"rows": rows, "evidence": evidence}[sys.argv[1]](*sys.argv[2:])
