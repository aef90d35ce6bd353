"""The verb ``map``: serve a world until somebody stops it."""

import contextlib
import logging
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from homerange.errors import MapError
from homerange.map.app import create_app
from homerange.map.builder import Builder
from homerange.map.builds import CACHE_BYTES, QUEUE_MAX, Builds
from homerange.map.site import write_site
from homerange.world.world import open_world

__all__ = ["DEFAULT_HOST", "DEFAULT_PORT", "serve"]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765
LAST_PORT = 65_535
SHORTEST_TOKEN = 8


def serve(
    world: str | Path,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    base_url: str | None = None,
    token: str | None = None,
    builds: str | Path | None = None,
    queue_max: int = QUEUE_MAX,
    withhold: Iterable[str] = (),
    cache_bytes: int = CACHE_BYTES,
    on_ready: Callable[[str], None] = print,
) -> None:
    """Serve the map of a world; returns when the process is told to stop.

    Args:
        world: The folder of a world.
        host: Address to listen on; the default answers this computer only.
        port: Port to listen on; 0 takes one that is free.
        base_url: The address at which a proxy shows the server, if one does.
        token: What visitors must have, at least 8 characters; None lets all in.
        builds: Folder for the queue and the packages, which a later server goes on from; without
            it they last until the server stops.
        queue_max: How many packages may be ordered at a time.
        withhold: Scientific names whose range the page does not draw.
        cache_bytes: How much finished packages may take.
        on_ready: Is told the address once the server listens.

    Raises:
        MapError: If an argument is of no use, the folder cannot be used or the port is taken.
        WorldError: If the world is missing or damaged.
    """
    _check(port, base_url, token, queue_max)
    opened = open_world(world)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with contextlib.ExitStack() as stack:
        folder = Path(builds or stack.enter_context(tempfile.TemporaryDirectory()))
        listening = stack.enter_context(_listen(host, port))
        page = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_site(opened, page, api="api", withhold=withhold)
        queue = Builds.open(
            folder, Builder.origin(opened), queue_max=queue_max, cache_bytes=cache_bytes
        )
        stack.callback(queue.close)
        builder = stack.enter_context(Builder(opened, queue))
        app = create_app(builder, page=page, token=token, base_url=base_url)
        config = uvicorn.Config(
            app,
            access_log=False,  # nobody needs to know who asked for what
            log_level="warning",
            proxy_headers=False,
            server_header=False,
        )
        on_ready(_address(base_url, listening) + (f"?token={token}" if token else ""))
        # uvicorn sends itself the signal that ended it again, once all requests are answered.
        if threading.current_thread() is threading.main_thread():
            before = signal.signal(signal.SIGTERM, signal.default_int_handler)
            stack.callback(signal.signal, signal.SIGTERM, before)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])


def _check(port: int, base_url: str | None, token: str | None, queue_max: int) -> None:
    """Refuse settings that cannot work, in the words of the command line."""
    if not 0 <= port <= LAST_PORT:
        raise MapError(f"--port is {port}; expected 0 to {LAST_PORT}")
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise MapError(f"--token has {len(token)} characters; expected at least {SHORTEST_TOKEN}")
    if queue_max < 1:
        raise MapError(f"--queue-max is {queue_max}; expected at least 1")
    if base_url is None:
        return
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise MapError(
            f"--base-url is {base_url!r}; expected the address that visitors type, for example "
            "https://example.org/homerange"
        )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise MapError(
            f"cannot listen on {host}, port {port} ({error}). Choose another --host or --port"
        ) from error


def _address(base_url: str | None, listening: socket.socket) -> str:
    if base_url:
        return f"{base_url.rstrip('/')}/"
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
