"""The app that serves the map of a world: the routes, the page, one shape of errors, a guard."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from anyio import CapacityLimiter
from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from fastapi.telemetry import TelemetryConfig
from starlette.responses import HTMLResponse
from starlette.routing import Match, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from homerange import __version__
from homerange.map.builder import Builder
from homerange.map.guard import Guard
from homerange.map.problems import answer_problems
from homerange.map.routes import ROUTES

__all__ = ["create_app"]

NO_TELEMETRY = TelemetryConfig(
    tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False
)
"""Whatever the environment says: nobody learns what visitors look at."""


def create_app(
    builder: Builder,
    *,
    page: Path | None = None,
    token: str | None = None,
    base_url: str | None = None,
) -> FastAPI:
    """Make the app.

    Args:
        builder: Makes the packages of the world to serve; it must run.
        page: Folder of static files to show at ``/``; one line of text otherwise.
        token: What visitors must have; None lets all in.
        base_url: The address at which a proxy shows the server, if one does.
    """
    base = urlsplit(base_url or "")
    base_path = base.path.rstrip("/")
    app = FastAPI(
        title="homerange map",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,  # both pages load code from elsewhere
        redoc_url=None,
        telemetry=NO_TELEMETRY,
    )
    app.state.builder = builder
    app.state.lists = CapacityLimiter(os.cpu_count() or 1)  # more at a time are slower, and larger
    answer_problems(app, private=(builder.world.path,))
    app.include_router(
        ROUTES, dependencies=[Depends(HTTPBearer(auto_error=False))] if token else []
    )
    if page:
        app.router.routes.append(_Page("/", StaticFiles(directory=page, html=True)))
    else:
        app.add_api_route("/", _index, include_in_schema=False, response_class=HTMLResponse)
    app.add_middleware(Guard, token=token, base_path=base_path, secure=base.scheme == "https")
    return app


class _Page(Mount):
    """The files of the page, everywhere but under ``/api``, whose errors are the server's own."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Leave to the routes what is theirs: a method that one lacks is theirs too."""
        if scope["type"] == "http" and scope["path"].startswith("/api/"):
            return Match.NONE, {}
        return super().matches(scope)


def _index() -> str:
    """Stand in for the page."""
    return '<!doctype html><title>homerange</title><a href="api/openapi.json">api/openapi.json</a>'
