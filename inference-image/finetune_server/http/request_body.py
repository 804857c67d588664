"""How a request's body is read. Validation is strict: "1" is no number."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from finetune_server.http.errors import invalid_body


class RequestBody(BaseModel):
    """The parameters of an endpoint."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    model: str

    def refuse(self) -> None:
        """Raises ApiError for what is asked and cannot be done."""


Body = TypeVar("Body", bound=RequestBody)


def body_of(kind: type[Body]) -> Callable[[Request], Awaitable[Body]]:
    """A dependency that reads, checks and returns the request's body, whatever its content type says."""

    async def parse(request: Request) -> Body:
        try:
            body = kind.model_validate_json(await request.body())
        except ValidationError as error:
            raise invalid_body(error) from error
        body.refuse()
        return body

    return parse
