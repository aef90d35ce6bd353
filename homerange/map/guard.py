"""What stands between the network and the routes: bounds, the token, and headers for browsers.

Bodies are bounded before they are read whole, and so is the number of requests at a time. With a
token, only who has it gets past: as ``Authorization: Bearer TOKEN``, or with the cookie that the
address ``/?token=TOKEN`` gives a browser. Every answer carries a policy that lets a page load
from this server and nowhere else.
"""

import hashlib
import hmac
import logging
import traceback
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from homerange.map.problems import INTERNAL, Problem

__all__ = ["MAX_BODY_BYTES", "Guard"]

LOG = logging.getLogger(__name__)
MAX_BODY_BYTES = 10**6
"""A polygon of some 20,000 corners, or the names of all species of a large world."""
MOST_REQUESTS = 256
"""At a time; each may hold one body."""
COOKIE = "homerange_token"
OPEN_TO_ALL = ("/api/health",)

HEADERS: Mapping[str, str] = {
    # The map draws with workers from blobs, and runs models with WebAssembly.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; "
        "connect-src 'self' blob: data:; manifest-src 'self'; base-uri 'self'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(self), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TOO_LARGE = Problem(
    413,
    "too_large",
    f"A body may have {MAX_BODY_BYTES:,} bytes.",
    "Send a smaller polygon or a shorter list.",
)
_BUSY = Problem(
    503, "busy", "Too many requests at a time.", "Try again in a moment.", {"Retry-After": "2"}
)
_NO_TOKEN = Problem(
    401,
    "token",
    "This server wants a token.",
    "Open the address with ?token=TOKEN, or send the header Authorization: Bearer TOKEN.",
    {"WWW-Authenticate": "Bearer"},
)


class Guard:
    """Wrap an app; see the top of the file."""

    def __init__(self, app: ASGIApp, *, token: str | None, base_path: str, secure: bool) -> None:
        """Guard an app.

        Args:
            app: The app.
            token: What visitors must have; None lets all in.
            base_path: Where a proxy shows the server, for example ``/homerange``, or empty.
            secure: Whether the cookie may travel over https only.
        """
        self._app = app
        self._key = _key(token) if token else None
        self._cookie = f"Path={base_path or '/'}; HttpOnly; SameSite=Strict" + (
            "; Secure" if secure else ""
        )
        self._base_path = base_path
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route = self._route(scope)
        # A proxy may strip its part of the path or leave it; the app sees it in any case.
        scope = {**scope, "path": self._base_path + route, "root_path": self._base_path}
        started = False

        async def with_headers(message: Message) -> None:
            """Add our headers to the beginning of the answer."""
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if route.startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        self._requests += 1
        try:
            app = self._refusal(scope, route) or self._app
            await app(scope, _bounded(receive), with_headers)
        except Exception as error:
            # Where, but not what: the message may hold what a visitor sent.
            where = "".join(traceback.format_tb(error.__traceback__))
            LOG.error("a request failed: %s\n%s", type(error).__name__, where)
            if not started:
                await INTERNAL.response()(scope, receive, with_headers)
        finally:
            self._requests -= 1

    def _refusal(self, scope: Scope, route: str) -> Response | None:
        """Return the answer to a request that goes no further."""
        headers = Headers(scope=scope)
        if self._requests > MOST_REQUESTS:
            return _BUSY.response()
        if self._key and route not in OPEN_TO_ALL:
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            if route == "/" and self._fits(_key(given)):
                welcome = RedirectResponse(f"{self._base_path}/", 303)
                welcome.headers["Set-Cookie"] = f"{COOKIE}={self._key}; {self._cookie}"
                return welcome
            if not self._may_enter(headers):
                return _NO_TOKEN.response()
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES:
            return _TOO_LARGE.response()
        return None

    def _may_enter(self, headers: Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.casefold() == "bearer" and self._fits(_key(token.strip())):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and self._fits(cookie.value)

    def _fits(self, key: str) -> bool:
        assert self._key
        return hmac.compare_digest(key.encode(), self._key.encode())

    def _route(self, scope: Scope) -> str:
        """Return the path without the part that only the proxy knows."""
        path: str = scope["path"]
        inside = path.startswith(f"{self._base_path}/")
        return path[len(self._base_path) :] if inside else path


def _key(token: str) -> str:
    """Hash a token, so that any token can be a cookie and all are compared at one length."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _bounded(receive: Receive) -> Receive:
    """Stop reading a body that is too large, whatever its length was said to be."""
    read_bytes = 0

    async def bounded() -> Message:
        """Read on."""
        nonlocal read_bytes
        message = await receive()
        read_bytes += len(message.get("body", b""))
        if read_bytes > MAX_BODY_BYTES:
            raise HTTPException(413, _TOO_LARGE.message.rstrip("."))
        return message

    return bounded
