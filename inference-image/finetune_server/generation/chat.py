"""One answer of a chat: texts and calls of tools in their order."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from finetune_server.engines.interface import FinishReason
from finetune_server.generation.generation import Generation, Piece, ScoredToken
from finetune_server.generation.tool_calls import ToolCall, ToolCallReader

ChatFinishReason = FinishReason | Literal["tool_calls"]


@dataclass(frozen=True)
class ChatPart:
    """A text, a call or, alone and last, why the answer ends."""

    text: str = ""
    tokens: tuple[ScoredToken, ...] = ()
    """Of the text, when log-probabilities were asked for."""
    call: ToolCall | None = None
    finish_reason: ChatFinishReason | None = None


async def chat_parts(generation: Generation, reader: ToolCallReader | None) -> AsyncIterator[ChatPart]:
    """The answer; with a reader its calls are told from its text. Raises GenerationFailed."""
    async with contextlib.aclosing(generation.pieces()) as pieces:
        async for piece in pieces:
            for part in parts_of(piece, reader):
                yield part
            if reader is not None and reader.full:
                break
            if piece.finish_reason is not None:
                called = piece.finish_reason == "stop" and reader is not None and reader.calls > 0
                yield ChatPart(finish_reason="tool_calls" if called else piece.finish_reason)
                return
    yield ChatPart(finish_reason="tool_calls")


def parts_of(piece: Piece, reader: ToolCallReader | None) -> list[ChatPart]:
    """What the piece completes."""
    if reader is None:
        return [ChatPart(piece.text, piece.tokens)] if piece.text or piece.tokens else []
    found = reader.push(piece.text) + (reader.flush() if piece.finish_reason is not None else [])
    return [ChatPart(text=part) if isinstance(part, str) else ChatPart(call=part) for part in found]


@dataclass(frozen=True)
class ChatAnswer:
    """A complete answer."""

    text: str
    tokens: tuple[ScoredToken, ...]
    calls: tuple[ToolCall, ...]
    finish_reason: ChatFinishReason


async def chat_answer(generation: Generation, reader: ToolCallReader | None) -> ChatAnswer:
    """All parts together. Raises GenerationFailed."""
    parts = [part async for part in chat_parts(generation, reader)]
    reason = parts[-1].finish_reason
    assert reason is not None, "the last part has a finish reason"
    text = "".join(part.text for part in parts)
    return ChatAnswer(text, tuple(token for part in parts for token in part.tokens), tuple(p.call for p in parts if p.call), reason)
