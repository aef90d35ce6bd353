"""The routes under ``/api``: each reads a question, calls one function and answers.

The functions are those of the verbs ``species`` and ``get``, so the page cannot disagree with them.
"""

import zipfile
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from homerange import __version__
from homerange.geo.place import place_from_json
from homerange.map.builder import Builder
from homerange.map.builds import Build, QueueFull
from homerange.map.messages import (
    BuildAnswer,
    BuildQuestion,
    Error,
    ErrorAnswer,
    HealthAnswer,
    PlaceQuestion,
    SpeciesAnswer,
    WorldAnswer,
)
from homerange.map.order import Order
from homerange.map.problems import Problem
from homerange.specialize.species import species_at
from homerange.specialize.species_file import species_text

__all__ = ["ROUTES"]

RETRY_AFTER_S = 10
CHUNK_BYTES = 256 * 1024

Answers = dict[int | str, dict[str, Any]]  # what FastAPI takes
_ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}
_ERRORS: Answers = {
    status: {"content": _ERROR, "description": "What is wrong, and the next step"}
    for status in ("4XX", "5XX")
}
_BYTES: Answers = {200: {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}}
_MARKDOWN: Answers = {200: {"content": {"text/markdown": {"schema": {"type": "string"}}}}}

ROUTES = APIRouter(prefix="/api", responses=_ERRORS)


def _builder(request: Request) -> Builder:
    builder: Builder = request.app.state.builder
    return builder


TheBuilder = Annotated[Builder, Depends(_builder)]


@ROUTES.get("/health", responses={503: {"model": ErrorAnswer}})
async def health(builder: TheBuilder) -> HealthAnswer:
    """Say whether the server answers and makes packages."""
    if not builder.alive:
        raise Problem(503, "stopped", "No packages are made.", "Start the server again.")
    return HealthAnswer(status="ok", homerange=__version__)


@ROUTES.get("/world")
async def world(builder: TheBuilder) -> WorldAnswer:
    """Say which world all places are cut from."""
    opened = builder.world
    return WorldAnswer(
        name=opened.description.name,
        sha256=opened.sha256,
        classes=len(opened.labels),
        input_px=opened.preprocessing.input_px,
        licence=opened.description.licence.weights,
    )


@ROUTES.post("/species", response_class=Response, responses={200: {"model": SpeciesAnswer}})
async def species(question: PlaceQuestion, builder: TheBuilder, request: Request) -> Response:
    """List the species of a place with the reason for each: ``homerange species --format json``."""

    def listed() -> str:
        """Make the list; this takes a core for a while."""
        place = place_from_json(question.place)
        named = {"include": question.include, "exclude": question.exclude}
        return species_text(builder.world, species_at(builder.world, place, **named), "json")

    text = await run_sync(listed, limiter=request.app.state.lists)
    return Response(text, media_type="application/json")


@ROUTES.post("/builds", status_code=202)
def order(question: BuildQuestion, builder: TheBuilder) -> BuildAnswer:
    """Order the package of a place; the same order is made once."""
    asked = Order.checked(
        builder.world,
        place_from_json(question.place),
        question.include,
        question.exclude,
        question.experts,
    )
    try:
        return _answer(builder.order(asked))
    except QueueFull:
        raise Problem(
            503,
            "queue_full",
            "So many packages are ordered already that no other is taken.",
            f"Try again in {RETRY_AFTER_S} seconds.",
            {"Retry-After": str(RETRY_AFTER_S)},
        ) from None


@ROUTES.get("/builds/{id}")
async def progress(id: str, builder: TheBuilder) -> BuildAnswer:
    """Say how far a build is."""
    return _answer(_find(builder, id))


@ROUTES.get("/builds/{id}/package", response_class=StreamingResponse, responses=_BYTES)
def package(id: str, builder: TheBuilder) -> StreamingResponse:
    """Send the package of a finished build."""
    build, file = _finished(builder, id)
    headers = {
        "Content-Disposition": f'attachment; filename="{build.name}.homerange"',
        "Content-Length": str(file.seek(0, 2)),
    }
    file.seek(0)
    return StreamingResponse(_chunks(file), 200, headers, "application/octet-stream")


@ROUTES.get("/builds/{id}/card", response_class=PlainTextResponse, responses=_MARKDOWN)
def card(id: str, builder: TheBuilder) -> PlainTextResponse:
    """Send the model card of a finished build."""
    with _finished(builder, id)[1] as file, zipfile.ZipFile(file) as members:
        return PlainTextResponse(members.read("MODEL_CARD.md"), media_type="text/markdown")


def _find(builder: Builder, id: str) -> Build:
    build = builder.builds.get(id)
    if build is None:
        raise _forgotten()
    return build


def _finished(builder: Builder, id: str) -> tuple[Build, BinaryIO]:
    """Find a build that is finished, and open its package."""
    build = _find(builder, id)
    if build.error:
        raise Problem(409, build.error["code"], build.error["message"], build.error["next"])
    if build.state != "done":
        raise Problem(409, "not_done", f"The build is {build.state}.", "Ask again later.")
    try:
        return build, builder.builds.open_package(id)
    except FileNotFoundError:  # it had to make room just now
        raise _forgotten() from None


def _forgotten() -> Problem:
    return Problem(
        404,
        "unknown_build",
        "There is no such build, or its package had to make room for others.",
        "Order it again.",
    )


def _answer(build: Build) -> BuildAnswer:
    return BuildAnswer(
        id=build.id,
        state=build.state,
        position=build.position,
        progress=build.progress,
        error=Error.model_validate(build.error) if build.error else None,
    )


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """Read a file piece by piece, and close it."""
    with file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
