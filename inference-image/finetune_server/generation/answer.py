"""What an answer consists of: texts and tool calls in their order, and why it ended. Knows no engine."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal

from finetune_server.engines.interface import FinishReason, TokenLogprobs
from finetune_server.generation.tool_calls import ToolCall, ToolCallReader


@dataclass(frozen=True)
class ScoredToken:
    """A generated token with its log-probabilities."""

    id: int
    logprobs: TokenLogprobs
    offset: int
    """Where its text starts in the answer, in characters."""


@dataclass(frozen=True)
class Part:
    """A part of an answer, or all of it. Only the last part has a finish reason."""

    text: str = ""
    tokens: tuple[ScoredToken, ...] = ()
    """The tokens of this text, if log-probabilities were asked for."""
    calls: tuple[ToolCall, ...] = ()
    """They follow the text; more than one only in a joined answer."""
    finish_reason: FinishReason | Literal["tool_calls"] | None = None


def joined(parts: Sequence[Part]) -> Part:
    """The complete answer."""
    return Part(
        "".join(part.text for part in parts),
        tuple(token for part in parts for token in part.tokens),
        tuple(call for part in parts for call in part.calls),
        parts[-1].finish_reason,
    )


async def with_calls(parts: AsyncGenerator[Part], reader: ToolCallReader) -> AsyncGenerator[Part]:
    """The same answer with tool calls in place of their text; the finish reason comes alone."""
    try:
        async for part in parts:
            found = reader.push(part.text) + (reader.flush() if part.finish_reason is not None else [])
            for one in found:
                yield Part(text=one) if isinstance(one, str) else Part(calls=(one,))
            if reader.full:
                yield Part(finish_reason="tool_calls")
                return
            if part.finish_reason is not None:
                called = part.finish_reason == "stop" and reader.calls > 0
                yield Part(finish_reason="tool_calls" if called else part.finish_reason)
    finally:
        await parts.aclose()
