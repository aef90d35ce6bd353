"""A map server in a process of its own, to be asked over loopback and to be killed."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
UNTIL_S = 60


@contextmanager
def running(world, *options, log=None, **environment):
    """Serve a world with ``homerange map`` on a free port.

    Args:
        world: Its folder.
        options: Of the verb.
        log: File that takes what the server prints.
        environment: Variables to set.

    Yields:
        The process and its address; whatever is left of it is killed in the end.
    """
    command = [sys.executable, "-m", "homerange.cli", "map", "--world", str(world), "--port", "0"]
    with open(log or os.devnull, "ab") as errors:
        server = subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            text=True,
        )
    try:
        line = server.stdout.readline()
        assert line.startswith("map: http://127.0.0.1:"), (line, log and Path(log).read_text())
        yield server, line.removeprefix("map: ").strip()
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def ask(address, path, question=None):
    """Ask a server; return the status and what it answered, read as JSON where it is."""
    data = None if question is None else json.dumps(question).encode()
    request = urllib.request.Request(
        address + path, data, {"Content-Type": "application/json"} if data else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=UNTIL_S) as answer:
            return answer.status, _read(answer)
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, _read(answer)


def wait_until_made(look):
    """Ask again and again how far a build is; return the last answer.

    Args:
        look: Returns the answer of ``/api/builds/ID``.
    """
    end = time.monotonic() + UNTIL_S
    while (build := look())["state"] in ("queued", "running"):
        assert time.monotonic() < end, build
        time.sleep(0.02)
    return build


def _read(answer):
    body = answer.read()
    return json.loads(body) if answer.headers.get_content_subtype() == "json" else body
