"""The body of POST /v1/chat/completions."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from finetune_server.http.errors import ApiError, not_supported
from finetune_server.http.generation_body import GenerationBody

MAX_TOP_LOGPROBS = 20
NOTHING: tuple[object, ...] = (None, [])
"""Clients send an earlier answer back with its empty fields: {"refusal": null, "tool_calls": null, ...}."""


def text_of(content: object) -> object:
    """A list of text parts becomes one text, a line each; other values are left to the next check."""
    if not isinstance(content, list):
        return content
    texts = []
    for number, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = part.get("type") if isinstance(part, dict) else type(part).__name__
            raise ValueError(f"part {number} is {kind!r}; this model reads only parts of the type 'text' with a text")
        texts.append(part["text"])
    return "\n".join(texts)


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(text_of)]
    name: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_fields(cls, value: Any) -> Any:
        return {key: item for key, item in value.items() if item not in NOTHING or key == "content"} if isinstance(value, dict) else value

    def for_template(self) -> dict[str, str]:
        """As chat templates know it: OpenAI's `developer` is what they call `system`."""
        role = "system" if self.role == "developer" else self.role
        return {"role": role, "content": self.content} | ({"name": self.name} if self.name else {})


class ChatBody(GenerationBody):
    """The parameters of chat completions."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None

    def refuse(self) -> None:
        """Raises ApiError for what is asked and cannot be done."""
        super().refuse()
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise not_supported("max_tokens", "Setting 'max_tokens' and 'max_completion_tokens' at the same time")
        if self.top_logprobs is not None and not self.logprobs:
            raise ApiError(400, "'logprobs' must be true when 'top_logprobs' is given.", param="top_logprobs", code="invalid_value")

    @property
    def token_limit(self) -> int | None:
        """Tokens the answer may have at most, by either name; None: as many as fit."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def scored(self) -> int | None:
        """How many log-probabilities per token an engine must give; None: none at all."""
        return (self.top_logprobs or 0) if self.logprobs else None
