"""The body of POST /v1/completions."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from finetune_server.http.schemas.generation import GenerationBody

DEFAULT_MAX_TOKENS = 16
MAX_LOGPROBS = 5
MAX_PROMPTS = 2048

Prompt = str | list[int]


def as_prompts(value: object) -> object:
    """A single prompt, a text or token ids, becomes a list."""
    if isinstance(value, str) or (value and is_token_ids(value)):
        return [value]
    if isinstance(value, list) and len(value) > MAX_PROMPTS:
        raise ValueError(f"expected at most {MAX_PROMPTS} prompts, not {len(value)}")
    if isinstance(value, list) and all(isinstance(item, str) or is_token_ids(item) for item in value):
        return value
    raise ValueError("expected a text, a list of texts, a list of token ids or a list of these lists")


def is_token_ids(value: object) -> bool:
    """True for a list of integers without booleans."""
    return isinstance(value, list) and all(type(item) is int for item in value)


class CompletionBody(GenerationBody):
    """The parameters of completions."""

    prompt: Annotated[list[Prompt], Field(min_length=1), BeforeValidator(as_prompts)]
    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None

    @property
    def token_limit(self) -> int:
        """Maximum tokens of each answer."""
        return self.max_tokens or DEFAULT_MAX_TOKENS
