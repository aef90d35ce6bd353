"""How long does it take to cut a place from a world of 5,089 classes, and what is saved?

The world is MobileViTV2-0.5 at 224 pixels with random weights, 5,089 classes of 256 features and 10
test photos a class. From it the packages of 300 species are cut, each in a process of its own on
one core, where no torch is loaded. Writes ``bench/results/cut.json``. Run: ``python bench/cut.py``.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import spread, write_record

CLASSES = 5089
FEATURES = 256
INPUT_PX = 224
KEPT = 300
TIMES = {
    "import_s": "importing what get needs",
    "cut_s": "graph and class rows to a serialised, checked model",
    "get_s": "opening and hashing the world, species, cut, figures, card, package",
    "get_cpu_s": "the same in time of the processor: what it takes on a core of its own",
}


def make_world(folder: Path) -> None:
    """Publish a world of the paper's size; only this needs torch."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    import fakes
    import torch

    from homerange.model.network import build_network
    from homerange.profile.export import export_graph
    from homerange.profile.fold import fold_batch_norm

    fakes.build_world(folder, classes=CLASSES, features=FEATURES, input_px=INPUT_PX, test_photos=10)
    torch.manual_seed(0)
    network = fold_batch_norm(build_network(classes=CLASSES).eval())
    export_graph(network, folder, input_px=INPUT_PX)
    fakes.reseal(folder)


def measure(folder: Path) -> dict[str, float]:
    """Cut one package and take the time of each part, in seconds, and its size."""
    start = time.perf_counter()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    from homerange.geo.place import SpeciesList
    from homerange.specialize.cut import cut_world
    from homerange.specialize.specialize import specialize
    from homerange.specialize.species import species_at
    from homerange.world.world import open_world

    imported = time.perf_counter()
    world = open_world(folder)
    species = [label for label in world.labels if label not in world.outcomes]
    place = SpeciesList(tuple(species[:: len(species) // KEPT][:KEPT]))
    table = species_at(world, place)
    before = time.perf_counter()
    cut_world(world, table.class_index_K)
    cut_s = time.perf_counter() - before
    before = time.process_time()
    made = specialize(folder, place, folder.parent / "place.homerange")
    get_cpu_s = time.process_time() - before
    assert not {"torch", "pyarrow", "pandas"} & set(sys.modules)
    dense, _, package = (row.size for row in made.figures.rows)
    return {
        "import_s": imported - start,
        "cut_s": cut_s,
        "get_s": made.seconds,
        "get_cpu_s": get_cpu_s,
        "bytes": package.bytes / dense.bytes,
        "parameters": package.parameters / dense.parameters,
        "macs": package.macs / dense.macs,
    }


def main() -> None:
    """Measure in fresh processes and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--keep", type=Path, help="where to leave the package that was cut")
    parser.add_argument("--world", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.world:
        print(json.dumps(measure(arguments.world)))
        return
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world"
        make_world(world)
        load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
        command = [sys.executable, __file__, "--world", str(world)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        rounds = [
            json.loads(
                subprocess.run(command, env=environment, capture_output=True, check=True).stdout
            )
            for _ in range(arguments.rounds)
        ]
        if arguments.keep:
            shutil.copy(world.parent / "place.homerange", arguments.keep)
    times = {key: spread([one[key] for one in rounds]) for key in TIMES}
    ratios = {key: round(rounds[0][key], 4) for key in ("bytes", "parameters", "macs")}
    path = write_record(
        "cut",
        "How long does it take to cut 300 of 5,089 classes on one core without torch, and what "
        "part of the dense world is left?",
        {"seconds": times, "package_of_world": ratios},
        classes=CLASSES,
        kept=KEPT,
        rounds=arguments.rounds,
        network="mobilevitv2_050 at 224 px, plain head, fp32, random weights",
        parts=TIMES,
        load_average_before=load,
    )
    print(path.read_text())


if __name__ == "__main__":
    main()
