"""Can a model be cut for any place on land, how long does that take, and what is saved?

The world has 5,089 classes and 64 experts of hidden width 2 in each of four layers, random weights
and drawn tables (``bench/drawn_world.py``). Each place is a circle of 100 km around a random point
on land: its species, ``first-order`` dropping half of the experts, the cut, its figures, card and
package, in one process on one core, where no torch is loaded; the world is opened once, which is
timed apart. Points where no species was recorded are counted. Beside it, for the five places with
nearest to 300 species: bytes and time of a photo of the package and its controls, models taking
turns, round by round.

Writes ``bench/results/cut_places.json``. Run: ``python bench/cut_places.py``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from drawn_world import CLASSES, INPUT_PX, land_points, make_worlds
from record import spread, write_record

EXPERTS = 256
OPENINGS = 5
SPECIES, BESIDE = 300, 5
"""The controls are measured at so many places, with about so many species."""
MODELS = {
    "dense world": "all classes, no experts",
    "dense, cut": "the classes of the place, no experts",
    "experts, cut": "the classes of the place, all experts",
    "experts, half": "the classes of the place, half of the experts (first-order)",
    "experts, quarter": "the classes of the place, a quarter of the experts (first-order)",
}


def main() -> None:
    """Make the worlds here, measure in a process without torch, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--places", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=41, help="rounds of the models beside")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worlds", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worlds:
        print(json.dumps(measure(arguments)))
        return
    with tempfile.TemporaryDirectory() as folder:
        worlds = make_worlds(Path(folder), seed=arguments.seed)
        weighs = {path.name: path.stat().st_size for path in sorted(worlds[1].iterdir())}
        load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
        command = [sys.executable, __file__, "--worlds", folder, *sys.argv[1:]]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    path = write_record(
        "cut_places",
        "How long does it take to make the model of a random place on land from a world of 5,089 "
        "classes and 256 experts, on one core without torch, and what is saved?",
        json.loads(done.stdout),
        classes=CLASSES,
        experts=EXPERTS,
        places=arguments.places,
        radius_km=100,
        rounds=arguments.rounds,
        threads=1,
        seed=arguments.seed,
        network=f"mobilevitv2_050 at {INPUT_PX} px, plain head, fp32, random weights, drawn tables",
        land="uniform on a coarse outline of the continents, with Antarctica; see drawn_world.py",
        bytes_of_the_world_with_experts=weighs,
        models=MODELS,
        load_average_before=load,
    )
    print(path.read_text())


def measure(arguments: argparse.Namespace) -> dict:
    """Cut all places, then compare models at some of them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    from homerange.world.world import open_world

    points = land_points(np.random.default_rng((arguments.seed, 1)), arguments.places)
    opening = []
    for _ in range(OPENINGS):
        start = time.perf_counter()
        world = open_world(arguments.worlds / "experts")
        opening.append(time.perf_counter() - start)
    rows, tables = [], []
    for i, (latitude, longitude) in enumerate(points.tolist(), start=1):
        if found := one_place(world, latitude, longitude):
            rows.append(found[0])
            tables.append(found[1])
        if i % 50 == 0:
            print(f"{i} of {len(points)} places", file=sys.stderr, flush=True)
    assert not {"torch", "pyarrow", "pandas"} & set(sys.modules)
    results: dict = {
        "places": len(points),
        "without_species": len(points) - len(rows),
        "open_world_s": spread(opening),  # once: every file of the world is read and hashed
    }
    for key in rows[0] if rows else []:
        values = [row[key] for row in rows]
        results[key] = spread(values) | {"p95": round(float(np.percentile(values, 95)), 3)}
    nearest = sorted(tables, key=lambda table: abs(len(table.species) - SPECIES))[:BESIDE]
    results["beside"] = [beside(arguments, table) for table in nearest]
    return results


def one_place(world, latitude: float, longitude: float) -> tuple | None:
    """Make the package of a place; return its numbers and species, none where there are none."""
    from homerange.errors import PlaceError
    from homerange.geo.place import Circle
    from homerange.specialize.cut import cut_world
    from homerange.specialize.specialize import specialize

    place, choice = Circle(latitude, longitude), f"first-order:{EXPERTS // 2}"
    output = world.path.parent / "place.homerange"
    start, start_cpu = time.perf_counter(), time.process_time()
    try:
        made = specialize(world, place, output, experts=choice)
    except PlaceError as error:
        if "no record counts for" in str(error):
            return None
        raise
    whole_s, whole_cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
    assert made.experts is not None
    kept = {int(layer): np.array(experts) for layer, experts in made.experts.kept.items()}
    assert sum(map(len, kept.values())) == EXPERTS // 2
    start = time.perf_counter()
    model = cut_world(world, made.table.class_index_K, kept)
    cut_s = time.perf_counter() - start
    return {
        "specialize_s": whole_s,
        "specialize_cpu_s": whole_cpu_s,
        "cut_world_s": cut_s,
        "species": len(made.table.species),
        "package_bytes": output.stat().st_size,
        "model_bytes": len(model),
    }, made.table


def beside(arguments: argparse.Namespace, table) -> dict:
    """Compare the model of a place with its controls: bytes, and milliseconds of a photo."""
    models = models_of(arguments.worlds, table)
    sessions = {name: session(model) for name, model in models.items()}
    shape = (1, INPUT_PX, INPUT_PX, 3)
    photo = np.random.default_rng(arguments.seed).integers(0, 256, shape, np.uint8)
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for i in range(arguments.rounds + 1):
        for name, one in sessions.items():
            start = time.perf_counter()
            one.run(None, {"image": photo})
            if i:  # the first round warms up
                times[name].append(1000 * (time.perf_counter() - start))
    whole_ms = median(times["dense world"])
    return {
        "place": table.place.describe(),
        "species": len(table.species),
        "models": {
            name: {
                "bytes": len(model),
                "bytes_to_dense_world": round(len(model) / len(models["dense world"]), 4),
                "ms": spread(times[name]),
                "ms_to_dense_world": round(median(times[name]) / whole_ms, 4),
            }
            for name, model in models.items()
        },
    }


def models_of(worlds: Path, table) -> dict[str, bytes]:
    """Cut the package of a place and its controls; ``MODELS`` says what each keeps."""
    from homerange.specialize.choose import Choice, choose
    from homerange.specialize.cut import cut_world
    from homerange.world.world import open_world

    dense, experts = (open_world(worlds / name) for name in ("dense", "experts"))
    classes = table.class_index_K
    half, quarter = (
        choose(experts, classes, Choice(method="first-order", number=gone))
        for gone in (EXPERTS // 2, EXPERTS * 3 // 4)
    )
    cut = (
        cut_world(dense, np.arange(CLASSES)),
        cut_world(dense, classes),
        cut_world(experts, classes),
        cut_world(experts, classes, half),
        cut_world(experts, classes, quarter),
    )
    return dict(zip(MODELS, cut, strict=True))


def session(model: bytes):
    """Load a model for one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options)


if __name__ == "__main__":
    main()
