"""How a request's body is read. Validation is strict: "1" is not a number."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from finetune_server.http.dependencies import admission_of
from finetune_server.http.errors import ApiError, invalid_body


class RequestBody(BaseModel):
    """The parameters of an endpoint."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    model: str

    def refuse(self) -> None:
        """Raises ApiError for unsupported parameters. Only the first unknown one is reported: pydantic would list them all."""
        for name in self.model_extra or {}:
            raise ApiError(400, f"Unrecognized request argument supplied: {name}", param=name, code="unknown_parameter")


SMALL_BODY = 64 * 1024
"""Bytes. Errors in larger ones do not contain the wrong value: pydantic would convert all of it to Python objects."""

Body = TypeVar("Body", bound=RequestBody)


def body_of(kind: type[Body]) -> Callable[[Request], Awaitable[Body]]:
    """A dependency that reads, validates and returns the request's body, regardless of its content type."""

    async def parse(request: Request) -> Body:
        chunks = [chunk async for chunk in request.stream()]  # request.body() would keep the bytes until the end of the request
        return await admission_of(request).in_pool(lambda: parsed(kind, chunks))

    return parse


def parsed(kind: type[Body], chunks: list[bytes]) -> Body:
    """The body in these bytes, which are freed. Raises ApiError."""
    text = b"".join(chunks)
    chunks.clear()
    try:
        body = kind.model_validate_json(text)
    except ValidationError as error:
        raise invalid_body(error, show_value=len(text) <= SMALL_BODY) from error
    body.refuse()
    return body
