"""What becomes of hostile and odd files among good ones?

Draws a card of hostile and odd files (``tests/hostile_files.py``: truncated, empty, bombs, links
that go round, pipes, names of two lines ...) and as many good photos, runs predict over it, and
compares what it says of every file with what must become of it.

    python bench/hostile.py --model NAME.homerange
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from record import write_record

from homerange.run.folder import predict

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from hostile_files import GOOD, KINDS, encoded, make_hostile, picture


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a place package")
    parser.add_argument("--files", type=int, default=200, help="hostile and odd files")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        card = Path(name) / "card"
        card.mkdir()
        expected = make_hostile(card, arguments.files, arguments.seed)
        rng = np.random.default_rng(arguments.seed)
        for i in range(arguments.files):
            (card / f"{i:03}-good.jpg").write_bytes(encoded(picture(rng)))
            expected[f"{i:03}-good.jpg"] = GOOD
        output = Path(name) / "results.json"
        predict(card, model=arguments.model, output=output)
        images = json.loads(output.read_text())["images"]
    results = judge({image["file"]: image for image in images}, expected)
    path = write_record(
        "hostile",
        "Does every good file among hostile ones get its answer, and every bad one its reason?",
        results,
        seed=arguments.seed,
        hostile_or_odd_files=arguments.files,
        kinds=len(KINDS),
    )
    print(json.dumps(results, indent=1), path, sep="\n")


def judge(found: dict[str, dict], expected: dict[str, str]) -> dict[str, object]:
    """Count what was answered and refused as it must be, and name what was not."""
    counts: Counter[str] = Counter()
    wrong = sorted(set(found) ^ set(expected))
    for name in set(found) & set(expected):
        failure, outcome = found[name].get("failure"), expected[name]
        kind = "good" if outcome == GOOD else "bad"
        counts[kind] += 1
        if failure is None if outcome == GOOD else outcome in (failure or ""):
            counts[f"{kind}_as_it_must_be"] += 1
        else:
            wrong.append(name)
    return dict(counts) | {"wrong": wrong}


if __name__ == "__main__":
    main()
