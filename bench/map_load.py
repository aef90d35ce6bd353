"""Does the map's server stand 50 visitors at once, and does it finish its queue after a kill?

The world has 5,089 classes and as many records as the paper's data (``drawn_world.py``), and a
network of one convolution: it is not the cut that is measured.
Each visitor, for a minute, clicks at places, mostly the same ones, as visitors of one site do;
after some clicks the package is ordered, followed until it is made, and fetched. In the middle the
server is killed (SIGKILL) and started again on the same folder and port; visitors wait until it is
back. All of it goes over 127.0.0.1 and ends by itself, after at most ``--seconds`` and so many
requests. Memory is that of the server process, once a second.

Writes ``bench/results/map_load.json``. Run: ``python bench/map_load.py`` (only making the world
needs torch).
"""

import argparse
import collections
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from record import spread, write_record

CLASSES = 5089
MOST_REQUESTS = 100_000
CITIES = ["-2.33,34.83", "41.88,-87.63", "51.5,-0.12", "9.05,7.49", "19.43,-99.13"]
PLACES = 40
ORDERS_OF = 0.1
"""Share of clicks after which the package is ordered."""
PAUSE_S = 5.0
"""Mean time between the clicks of a visitor."""
BACK_WITHIN_S = 60
ROOT = Path(__file__).parent.parent


def make_world(folder: Path) -> Path:
    """Publish a world of the paper's size whose network is small: it is not what is measured."""
    sys.path.insert(0, str(ROOT / "tests"))
    import drawn_world
    import fakes
    import numpy as np

    drawn_world.CLASSES = CLASSES
    rng = np.random.default_rng(0)
    occurrence, rows = drawn_world._draw_records(rng, fakes.species_rows(CLASSES - 1, rng))
    rows[1:1] = [("blank", "", "", [])]
    tensors = fakes.draw_tensors(rng, CLASSES, drawn_world.FEATURES, "gemm")
    evidence = fakes.draw_evidence(rng, rows, tensors, drawn_world.TEST_PHOTOS, "gemm")
    sizes = {"classes": CLASSES, "features": drawn_world.FEATURES}
    return fakes.build_world(folder, **sizes, occurrence=occurrence, evidence=evidence)


class Server:
    """A server that can be killed and started again at the same address."""

    def __init__(self, world: Path, folder: Path, log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.command = [sys.executable, "-m", "homerange.cli", "map", "--world", str(world)]
        self.command += ["--port", str(self.port), "--builds", str(folder)]
        self.log = log
        self.start()

    def start(self) -> None:
        """Start it and wait until it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        assert self.process.stdout.readline().startswith(b"map: "), self.log.read_text()

    def stop(self, how: signal.Signals) -> None:
        """End it, and wait until it has ended."""
        self.process.send_signal(how)
        self.process.wait(60)
        self.process.stdout.close()

    def memory_mb(self) -> float:
        """Return the memory that it holds now."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        (held,) = [line.split()[1] for line in lines if line.startswith("VmRSS")]
        return int(held) / 1000


class Visitors:
    """What all visitors do and find."""

    def __init__(self, server: Server, seconds: float) -> None:
        self.server = server
        self.end = time.monotonic() + seconds
        self.down = threading.Event()
        self.lock = threading.Lock()
        self.seconds_of = collections.defaultdict(list)
        self.answers = collections.Counter()
        self.errors = []
        self.ordered = set()

    def ask(self, what: str, path: str, question: object = None) -> tuple[int, bytes]:
        """Ask once; while the server is down, wait and ask again."""
        body = None if question is None else json.dumps(question)
        give_up = time.monotonic() + BACK_WITHIN_S
        while True:
            start = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
            try:
                with contextlib.closing(connection):
                    method = "POST" if body else "GET"
                    connection.request(method, path, body, {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    found = answer.status, answer.read()
            except OSError as error:
                if self.down.is_set() and time.monotonic() < give_up:
                    time.sleep(0.2)
                    continue
                found = 0, repr(error).encode()
            except http.client.HTTPException as error:  # killed in the middle of an answer
                if self.down.is_set():
                    continue
                found = 0, repr(error).encode()
            with self.lock:
                self.seconds_of[what].append(time.monotonic() - start)
                self.answers[f"{what} {found[0]}"] += 1
                if found[0] not in (200, 202, 503):
                    self.errors.append(f"{what} {found[0]}: {found[1][:200]!r}")
            return found

    def visit(self, seed: int) -> None:
        """Click, and now and then take a package home."""
        rng = random.Random(seed)
        while time.monotonic() < self.end and sum(self.answers.values()) < MOST_REQUESTS:
            question = {"place": place(rng)}
            self.ask("list", "/api/species", question)
            if rng.random() < ORDERS_OF:
                self.take_home(question)
            time.sleep(rng.expovariate(1 / PAUSE_S))

    def take_home(self, question: object) -> None:
        """Order a package, follow it, fetch it."""
        status, body = self.ask("order", "/api/builds", question)
        if status != 202:
            return
        build = json.loads(body)
        self.ordered.add(build["id"])
        while build["state"] in ("queued", "running") and time.monotonic() < self.end:
            time.sleep(0.5)
            _, body = self.ask("progress", f"/api/builds/{build['id']}")
            build = json.loads(body)
        if build["state"] == "done":
            self.ask("package", f"/api/builds/{build['id']}/package")


def place(rng: random.Random) -> dict[str, object]:
    """Draw one of the places at which visitors click: near a city, with one of some radii."""
    number = rng.randrange(PLACES)
    latitude, longitude = map(float, CITIES[number % len(CITIES)].split(","))
    radius_km = 50.0 + 10 * (number // len(CITIES))
    return {"kind": "circle", "latitude_deg": latitude, "longitude_deg": longitude} | {
        "radius_km": radius_km
    }


def load(server: Server, visitors: int, seconds: float) -> tuple[Visitors, list[float]]:
    """Let visitors come for a while, and kill the server in the middle."""
    crowd = Visitors(server, seconds)
    threads = [threading.Thread(target=crowd.visit, args=(n,)) for n in range(visitors)]
    for one in threads:
        one.start()
    memory_mb = []
    killed = False
    while any(one.is_alive() for one in threads):
        time.sleep(1)
        memory_mb.append(server.memory_mb())
        if not killed and time.monotonic() > crowd.end - seconds / 2:
            killed = True
            crowd.down.set()
            server.stop(signal.SIGKILL)
            server.start()
            time.sleep(1)
            crowd.down.clear()
    return crowd, memory_mb


def drain(server: Server, ids: set[str]) -> collections.Counter:
    """Wait until nothing waits any more; count what became of the builds."""
    visitor = Visitors(server, 600)
    while True:
        found = [json.loads(visitor.ask("end", f"/api/builds/{id}")[1]) for id in ids]
        states = collections.Counter(one.get("state", "unknown") for one in found)
        if not {"queued", "running"} & set(states) or time.monotonic() > visitor.end:
            return states
        time.sleep(1)


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--world", type=Path, help="one that was made before")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        world = arguments.world or make_world(folder / "world")
        server = Server(world, folder / "builds", folder / "log")
        load_before = round(os.getloadavg()[0], 1)
        crowd, memory_mb = load(server, arguments.visitors, arguments.seconds)
        states = drain(server, crowd.ordered)
        server.stop(signal.SIGTERM)
        with sqlite3.connect(folder / "builds" / "builds.sqlite") as database:
            ((rows, starts),) = database.execute("SELECT count(*), sum(starts) FROM build")
        log = (folder / "log").read_text()
    results = {
        "answers": dict(sorted(crowd.answers.items())),
        "errors": crowd.errors[:20],
        "seconds": {what: spread(values) for what, values in crowd.seconds_of.items()},
        "memory_mb": spread(memory_mb, digits=0),
        "memory_mb_by_second": [round(one) for one in memory_mb],
        "orders": len(crowd.ordered),
        "builds": rows,
        "builds_begun": starts,
        "states_at_the_end": dict(states),
        "tracebacks_in_the_log": log.count("File "),
    }
    path = write_record(
        "map_load",
        "Does the server stand 50 visitors at once, with bounded memory and no build made twice, "
        "and does it finish its queue after a kill in the middle?",
        results,
        visitors=arguments.visitors,
        seconds=arguments.seconds,
        classes=CLASSES,
        places=PLACES,
        orders_of_clicks=ORDERS_OF,
        pause_s=PAUSE_S,
        load_average_before=load_before,
    )
    print(path.read_text())


if __name__ == "__main__":
    main()
