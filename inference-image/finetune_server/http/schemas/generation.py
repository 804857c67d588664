"""The parameters that chat completions and completions share."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from finetune_server.engines.sampling import SamplingParameters
from finetune_server.http.errors import ApiError, not_supported
from finetune_server.http.schemas.body import RequestBody

ANY_TEXT = object()
NEUTRAL_VALUES: dict[str, tuple[object, ...]] = {
    "audio": (),
    "best_of": (1,),
    "echo": (False,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "metadata": ({},),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "prompt_cache_key": (ANY_TEXT,),
    "reasoning_effort": ("none",),
    "response_format": ({"type": "text"},),
    "safety_identifier": (ANY_TEXT,),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "user": (ANY_TEXT,),
    "verbosity": (),
    "web_search_options": (),
}
"""OpenAI's parameters that this server does not support, each with the values that have no effect."""

MAX_STOPS = 4
MAX_STOP_LENGTH = 1024
"""Characters: a generated answer is searched for the beginning of each."""


def as_list(value: object) -> object:
    """A single stop string becomes a list."""
    return [value] if isinstance(value, str) else value


class StreamOptions(BaseModel):
    """Options of a streamed answer."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class GenerationBody(RequestBody):
    """The parameters of both endpoints; null means not set."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=MAX_STOP_LENGTH)]], Field(max_length=MAX_STOPS), BeforeValidator(as_list)
        ]
        | None
    ) = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None

    def refuse(self) -> None:
        """Raises ApiError for unsupported parameters and combinations."""
        for name, value in (self.model_extra or {}).items():
            if name not in NEUTRAL_VALUES:
                raise ApiError(400, f"Unrecognized request argument supplied: {name}", param=name, code="unknown_parameter")
            if value is not None and not any(same(value, neutral) for neutral in NEUTRAL_VALUES[name]):
                shown = json.dumps(value, ensure_ascii=False)
                raise not_supported(name, f"'{name}' = {shown if len(shown) <= 80 else shown[:80] + '...'}")
        if self.stream_options is not None and not self.stream:
            raise ApiError(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options")

    @property
    def sampling(self) -> SamplingParameters:
        """With OpenAI's defaults."""
        return SamplingParameters(
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            seed=self.seed,
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
        )

    @property
    def include_usage(self) -> bool:
        """True if a stream ends with the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


def same(value: Any, neutral: object) -> bool:
    """Equal and of one type (True is not 1)."""
    return isinstance(value, str) if neutral is ANY_TEXT else type(value) is type(neutral) and value == neutral
