"""Errors in OpenAI's form: {"error": {"message", "type", "param", "code"}}."""

from collections.abc import Mapping

import orjson
from fastapi import FastAPI, Request
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from finetune_server.engines.interface import EngineStopped, QueueFull
from finetune_server.generation.generation import GenerationFailed

CLIENT_CLOSED_REQUEST = 499
"""For the log and the metrics; the client does not receive it."""
RETRY_AFTER = {"Retry-After": "1"}
BRANCH = "~"
SHOWN_VALUE = 80
"""Maximum characters of a wrong value in a message."""


class ApiError(Exception):
    """A refusal, which becomes the response."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.headers = status, param, code, headers

    def body(self) -> dict[str, object]:
        """The error object."""
        kind = "requests" if self.status == 429 else "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> Response:
        """The error as an HTTP response."""
        return json_response(self.body(), self.status, self.headers)


class ClientGone(Exception):
    """The client closed the connection before its answer was complete."""


def json_response(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with a value that orjson can serialise."""
    return Response(orjson.dumps(content), status, headers, "application/json")


def not_supported(param: str, what: str) -> ApiError:
    """400 for a parameter of OpenAI's API that this server does not support."""
    return ApiError(400, f"{what} is not supported by this server. Leave '{param}' out.", param=param, code="unsupported_parameter")


def overloaded(error: QueueFull) -> ApiError:
    """429: try again soon."""
    return ApiError(429, f"The server is overloaded: {error}. Please retry.", code="rate_limit_exceeded", headers=RETRY_AFTER)


def unavailable(message: str) -> ApiError:
    """503: retry later, or at another server."""
    return ApiError(503, message, code="service_unavailable", headers=RETRY_AFTER)


def invalid_body(error: ValidationError, *, show_value: bool) -> ApiError:
    """400 for the first error in a request's body, with the wrong value if `show_value`."""
    first = error.errors(include_url=False, include_input=show_value)[0]
    message = first["msg"].removeprefix("Value error, ")
    param = path_text(first["loc"])
    if first["type"] == "json_invalid":
        return ApiError(400, f"We could not parse the JSON body of your request: {message}.")
    if first["type"] == "missing":
        return ApiError(400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    if first["type"] == "extra_forbidden":
        return ApiError(400, f"Unrecognized request argument supplied: {param}", param=param, code="unknown_parameter")
    value = repr(first["input"]) if show_value else ""
    shown = value if len(value) <= SHOWN_VALUE else value[:SHOWN_VALUE] + "..."
    where = f"Invalid value for '{param}'" if param else "Invalid request body"
    return ApiError(400, f"{where}: {message}{', but got ' + shown if shown else ''}.", param=param or None, code="invalid_value")


def path_text(location: tuple[int | str, ...]) -> str:
    """("messages", 0, "content") -> "messages[0].content"; without the branches of unions."""
    named = [part for part in location if isinstance(part, int) or not part.startswith(BRANCH)]
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in named).removeprefix(".")


def branch(name: str) -> str:
    """A union's tag, which pydantic puts into the paths of its errors."""
    return BRANCH + name


def install_error_handlers(app: FastAPI) -> None:
    """Makes every error of the app a response in OpenAI's form."""

    @app.exception_handler(ApiError)
    async def _(_request: Request, error: ApiError) -> Response:
        return error.response()

    @app.exception_handler(QueueFull)
    async def _(_request: Request, error: QueueFull) -> Response:
        return overloaded(error).response()

    @app.exception_handler(EngineStopped)
    @app.exception_handler(GenerationFailed)
    async def _(_request: Request, error: EngineStopped | GenerationFailed) -> Response:
        return unavailable(f"The server cannot answer: {error}.").response()

    @app.exception_handler(ClientGone)
    @app.exception_handler(ClientDisconnect)
    async def _(_request: Request, _error: Exception) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        url = f"{request.method} {request.url.path}"
        if error.status_code == 404:
            return ApiError(404, f"Unknown request URL: {url}. See GET /v1/models for a start.", code="unknown_url").response()
        return ApiError(error.status_code, f"{error.detail}: {url}", headers=error.headers).response()

    @app.exception_handler(Exception)
    async def _(_request: Request, _error: Exception) -> Response:
        return ApiError(500, "The server had an error while processing your request. See the server log.").response()
