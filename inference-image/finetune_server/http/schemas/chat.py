"""The body of POST /v1/chat/completions."""

from collections import Counter
from typing import Annotated, Any

from pydantic import Field

from finetune_server.http.errors import ApiError, not_supported
from finetune_server.http.schemas.generation import GenerationBody
from finetune_server.http.schemas.messages import MAX_MESSAGES, AnyMessage, AssistantMessage, ToolMessage, check_answers
from finetune_server.http.schemas.tools import Tool

MAX_TOP_LOGPROBS = 20
MAX_TOOLS = 128


class ChatBody(GenerationBody):
    """The parameters of chat completions."""

    messages: Annotated[list[AnyMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None

    def refuse(self) -> None:
        """Raises ApiError for unsupported parameters and combinations."""
        super().refuse()
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise not_supported("max_tokens", "Setting 'max_tokens' and 'max_completion_tokens' at the same time")
        if self.top_logprobs is not None and not self.logprobs:
            raise ApiError(400, "'logprobs' must be true when 'top_logprobs' is given.", param="top_logprobs", code="invalid_value")
        self._refuse_tools()
        check_answers(self.messages)

    def _refuse_tools(self) -> None:
        if self.tool_choice not in (None, "auto", "none"):
            raise not_supported("tool_choice", "A 'tool_choice' other than 'auto' and 'none'")
        if self.logprobs and self.offered:
            raise not_supported("logprobs", "Setting 'logprobs' and 'tools' at the same time")
        for index, tool in enumerate(self.tools or []):
            if tool.function.strict:
                raise not_supported(f"tools[{index}].function.strict", "Enforcing the schema of the arguments")
        for name, count in Counter(tool.function.name for tool in self.tools or []).items():
            if count > 1:
                raise ApiError(400, f"Invalid value for 'tools': {count} have the name '{name}'.", param="tools", code="invalid_value")

    @property
    def offered(self) -> list[Tool]:
        """The tools in the prompt: with tool_choice "none" there are none, so that the model cannot call any."""
        return [] if self.tool_choice == "none" else self.tools or []

    @property
    def speaks_of_tools(self) -> bool:
        """True if the prompt contains tools, calls or their results."""
        return bool(self.offered) or any(
            isinstance(message, ToolMessage) or (isinstance(message, AssistantMessage) and message.tool_calls) for message in self.messages
        )

    @property
    def token_limit(self) -> int | None:
        """Maximum tokens of the answer, from either parameter; None: as many as fit."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def scored(self) -> int | None:
        """`top_logprobs` of the engine's request; None: no log-probabilities."""
        return (self.top_logprobs or 0) if self.logprobs else None
