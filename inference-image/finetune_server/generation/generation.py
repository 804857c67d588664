"""One answer on the event loop: the engine's tokens become parts of text and tool calls, up to the end or a stop string."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal

from finetune_server.engines.interface import (
    Event,
    Failed,
    Finished,
    FinishReason,
    GenerationEngine,
    GenerationRequest,
    Token,
    TokenLogprobs,
)
from finetune_server.generation.stop import StopMatcher
from finetune_server.generation.tokenizer import Tokenizer
from finetune_server.generation.tool_calls import MARKERS, ToolCall, ToolCallReader


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


class GenerationFailed(Exception):
    """The engine failed during this answer."""


class Generation:
    """An answer in progress. Created on the event loop; `close` it if it is not read to its end."""

    def __init__(
        self,
        engine: GenerationEngine,
        tokenizer: Tokenizer,
        request: GenerationRequest,
        stops: Sequence[str],
        reader: ToolCallReader | None = None,
    ) -> None:
        """With a reader, its tool calls are parts of the answer. Raises QueueFull or EngineStopped."""
        self.prompt_tokens = len(request.prompt)
        self.completion_tokens = 0
        self.first_token_seconds: float | None = None
        """From the start to the first token; None before it."""
        self._started = time.monotonic()
        self._detokenizer = tokenizer.detokenizer(MARKERS if reader else ())
        self._matcher = StopMatcher(stops)
        self._reader = reader
        self._unsent: list[ScoredToken] = []
        self._decoded = 0
        """Characters of the tokens so far."""
        self._passed_on = 0
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        self._ticket = engine.submit(request, lambda event: loop.call_soon_threadsafe(self._events.put_nowait, event))

    def close(self) -> None:
        """Frees the engine's slot, if it is still held."""
        self._ticket.cancel()

    def parts(self) -> AsyncGenerator[Part]:
        """The answer's parts; only the last one may be empty. Raises GenerationFailed."""
        return self._texts() if self._reader is None else with_calls(self._texts(), self._reader)

    async def _texts(self) -> AsyncGenerator[Part]:
        try:
            while True:
                event = await self._events.get()
                match event:
                    case Token():
                        text = self._matcher.push(self._decode(event))
                        if self._matcher.matched:
                            yield self._part(text, "stop")
                            return
                        if text:
                            yield self._part(text)
                    case Finished():
                        self.completion_tokens = event.tokens
                        yield self._last_part(event.reason)
                        return
                    case Failed():
                        raise GenerationFailed(event.message)
        finally:
            self.close()

    def _decode(self, token: Token) -> str:
        self.completion_tokens += 1
        if self.first_token_seconds is None:
            self.first_token_seconds = time.monotonic() - self._started
        if token.logprobs is not None:
            self._unsent.append(ScoredToken(token.id, token.logprobs, self._decoded))
        text = self._detokenizer.push(token.id)
        self._decoded += len(text)
        return text

    def _last_part(self, reason: FinishReason) -> Part:
        text = self._matcher.push(self._detokenizer.flush())
        if self._matcher.matched:
            return self._part(text, "stop")
        return self._part(text + self._matcher.flush(), reason)

    def _part(self, text: str, reason: FinishReason | None = None) -> Part:
        """Includes the tokens whose text starts in it. Neither text that a stop string cut off nor its tokens are sent."""
        self._passed_on += len(text)
        finished_whole = reason is not None and not self._matcher.matched
        sent = [token for token in self._unsent if token.offset < self._passed_on or finished_whole]
        self._unsent = self._unsent[len(sent) :]
        return Part(text, tuple(sent), finish_reason=reason)
