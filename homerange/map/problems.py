"""The one shape in which the server says that something did not work.

``{"error": {"code": ..., "message": ..., "next": ...}}``: a word for programs, what was wrong, and
what to do next. The framework's own refusals (404, 405, 422 ...) take the same shape. Nothing that
was sent stands in a log, and no path of the server in an answer.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Self

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from homerange.errors import (
    ConfigError,
    CoordinateError,
    HomerangeError,
    PackageError,
    PlaceError,
    SpeciesError,
    WorldError,
)

__all__ = ["INTERNAL", "Problem", "answer_problems"]

_SHOWN = 5
"""Mistakes of one request that are told; more of them help nobody."""
_LONGEST_MESSAGE = 2000
"""Letters; a message may repeat what a visitor sent, and that may be long."""

_OF_THE_FRAMEWORK = {
    400: ("malformed", "Send one JSON object of at most a few dozen levels."),
    404: ("not_found", "See api/openapi.json for what there is."),
    405: ("method_not_allowed", "See api/openapi.json for what there is."),
    413: ("too_large", "Send a smaller polygon or a shorter list."),
}
_OF_HOMERANGE: tuple[tuple[type[HomerangeError], int, str, str], ...] = (
    (PlaceError, 422, "place", "Choose another place, or a larger one."),
    (CoordinateError, 422, "place", "Correct the coordinates: latitude, then longitude, degrees."),
    (SpeciesError, 422, "species", "Correct the names, or leave them out."),
    (ConfigError, 422, "setting", "Correct the setting, or leave it out."),
    (WorldError, 503, "world", "Tell who runs this server: its world cannot be used."),
    (PackageError, 503, "storage", "Tell who runs this server: packages cannot be written."),
)


class Problem(Exception):
    """What a visitor is told instead of an answer."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        next: str,  # the word of the contract
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Say what is wrong.

        Args:
            status: HTTP status.
            code: A word for programs.
            message: What was found and what was expected.
            next: The next step that the visitor can take.
            headers: What else goes with the answer, for example ``Retry-After``.
        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message[:_LONGEST_MESSAGE]
        self.next = next
        self.headers = dict(headers or {})

    @classmethod
    def of(cls, error: HomerangeError, private: Sequence[object] = ()) -> Self:
        """Tell a visitor what one of our own errors says.

        Args:
            error: The error.
            private: Paths of the server; where the error names one, only its last part is told.
        """
        message = str(error)
        for path in map(str, private):
            message = message.replace(path, path.replace("\\", "/").rpartition("/")[2])
        for kind, status, code, step in _OF_HOMERANGE:
            if isinstance(error, kind):
                return cls(status, code, message, step)
        return cls(500, "failed", message, "Tell who runs this server.")

    @property
    def error(self) -> dict[str, str]:
        """The three texts, by name."""
        return {"code": self.code, "message": self.message, "next": self.next}

    def response(self) -> Response:
        """Return the answer."""
        # All but ASCII is escaped: what a visitor sent may be no text that UTF-8 can hold.
        body = json.dumps({"error": self.error})
        return Response(body, self.status, self.headers, media_type="application/json")


INTERNAL = Problem(
    500,
    "internal",
    "The server made a mistake; its log says where.",
    "Try again later; if it stays so, tell who runs this server.",
)


def answer_problems(app: FastAPI, private: Sequence[object]) -> None:
    """Let an app answer every error in the one shape.

    Args:
        app: The app.
        private: Paths that no answer may name.
    """

    async def ours(_: Request, error: Exception) -> Response:
        """Answer what homerange refused."""
        assert isinstance(error, HomerangeError)
        return Problem.of(error, private).response()

    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HomerangeError, ours)
    app.add_exception_handler(HTTPException, _of_the_framework)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(RecursionError, _too_deep)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _of_the_framework(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, step = _OF_THE_FRAMEWORK.get(error.status_code, ("refused", "See api/openapi.json."))
    return Problem(error.status_code, code, f"{error.detail}.", step, error.headers).response()


async def _too_deep(_: Request, __: Exception) -> Response:
    code, step = _OF_THE_FRAMEWORK[400]
    return Problem(400, code, "The body is nested too deeply.", step).response()


async def _invalid(_: Request, error: Exception) -> Response:
    """Name the fields that are wrong, never what stood in them."""
    assert isinstance(error, RequestValidationError)
    mistakes = [f"{_where(one['loc'])}: {one['msg']}" for one in error.errors()[:_SHOWN]]
    more = len(error.errors()) - _SHOWN
    message = "; ".join(mistakes) + (f"; and {more} more" if more > 0 else "")
    return Problem(
        422, "invalid", message, "Correct these fields; api/openapi.json describes them."
    ).response()


def _where(steps: Sequence[object]) -> str:
    """Write down where in a request something stands; a long key is shortened."""
    return ".".join(str(step)[:60] for step in steps)
