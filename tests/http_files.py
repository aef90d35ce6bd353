"""A server of files on this machine, that can do what real ones do wrong. Loopback only."""

import socket
import time
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Lock, Thread
from urllib.parse import unquote

from PIL import Image


class _Http(ThreadingHTTPServer):
    request_queue_size = 64  # with 5, a burst of connections waits a second for its turn
    daemon_threads = True


class FileServer:
    """Serves ``files`` (path -> bytes) with ranges, and notes each request."""

    def __init__(self):
        self.files = {}
        self.requests = []
        """(path, header Range or None) of each request, in order."""
        self.breaks_after = []
        """For the next answers, one each: hang up after so many bytes of it."""
        self.statuses = {}
        """Path -> status to answer with instead."""
        self.ranges = True
        self.marks = True
        """Whether files have a mark of their version."""
        self.lengths = True
        """Whether the length of a file is told."""
        self.pause_s = 0.0
        self._lock = Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self._http = _Http(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def answer(self, handler):
        path = unquote(handler.path)
        wanted = handler.headers.get("Range")
        with self._lock:
            self.requests.append((path, wanted))
            stop = self.breaks_after.pop(0) if self.breaks_after else None
        time.sleep(self.pause_s)
        data = self.files.get(path)
        status = self.statuses.get(path, 200 if data is not None else 404)
        try:
            if status != 200:
                handler.send_response(status)
                handler.send_header("Content-Length", "0")
                handler.end_headers()
                return
            self._send(handler, data, wanted, stop)
        except OSError:
            handler.close_connection = True  # the client has hung up

    def _send(self, handler, data, wanted, stop):
        mark = f'"{sha256(data).hexdigest()[:16]}"'
        start, status = 0, 200
        same = handler.headers.get("If-Range") in (None, mark)
        if wanted and self.ranges and same:
            start, status = int(wanted.removeprefix("bytes=").removesuffix("-")), 206
        if start >= len(data) and status == 206:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(data)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(status)
        if self.marks:
            handler.send_header("ETag", mark)
        if status == 206:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if self.lengths:
            handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        handler.wfile.write(data[start:] if stop is None else data[start : start + stop])
        handler.close_connection = True

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@contextmanager
def file_server():
    """Run a server while the block runs."""
    server = FileServer()
    try:
        yield server
    finally:
        server.close()


def no_server():
    """An address where nobody answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def jpeg(width=80, height=60, colour=(90, 120, 60)):
    """A photo with EXIF, as a camera writes it."""
    exif = Image.Exif()
    exif[0x010F] = "a camera maker"
    buffer = BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()
