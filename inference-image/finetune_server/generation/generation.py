"""One answer on the asyncio side: the engine's tokens become pieces of text, up to the end or a stop string."""

import asyncio
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass

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


class GenerationFailed(Exception):
    """The engine broke while it answered."""


@dataclass(frozen=True)
class ScoredToken:
    """A generated token with its log-probabilities."""

    id: int
    logprobs: TokenLogprobs
    offset: int
    """Where its text starts in the answer, in characters."""


@dataclass(frozen=True)
class Piece:
    """A part of the answer. Only the last one has a finish reason."""

    text: str
    tokens: tuple[ScoredToken, ...] = ()
    """The tokens of this text, when log-probabilities were asked for."""
    finish_reason: FinishReason | None = None


class Generation:
    """An answer in progress. Created on the event loop; `close` it when nobody reads on."""

    def __init__(
        self,
        engine: GenerationEngine,
        tokenizer: Tokenizer,
        request: GenerationRequest,
        stops: Sequence[str],
        kept: Collection[str] = (),
    ) -> None:
        """`kept` are the special tokens that belong to the text. Raises QueueFull or EngineStopped."""
        self.prompt_tokens = len(request.prompt)
        self.completion_tokens = 0
        self.first_token_seconds: float | None = None
        """From the start to the first token; None until it is there."""
        self._started = time.monotonic()
        self._detokenizer = tokenizer.detokenizer(kept)
        self._matcher = StopMatcher(stops)
        self._unsent: list[ScoredToken] = []
        self._decoded = 0
        """Characters that the tokens so far have become."""
        self._passed_on = 0
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        self._ticket = engine.submit(request, lambda event: loop.call_soon_threadsafe(self._events.put_nowait, event))

    def close(self) -> None:
        """Frees the engine's slot at once, if it is still held."""
        self._ticket.cancel()

    async def pieces(self) -> AsyncGenerator[Piece]:
        """The answer's parts, none empty but the last. Raises GenerationFailed."""
        try:
            while True:
                event = await self._events.get()
                match event:
                    case Token():
                        text = self._matcher.push(self._decode(event))
                        if self._matcher.matched:
                            yield self._piece(text, "stop")
                            return
                        if text:
                            yield self._piece(text)
                    case Finished():
                        self.completion_tokens = event.tokens
                        yield self._last_piece(event.reason)
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

    def _last_piece(self, reason: FinishReason) -> Piece:
        text = self._matcher.push(self._detokenizer.flush())
        if self._matcher.matched:
            return self._piece(text, "stop")
        return self._piece(text + self._matcher.flush(), reason)

    def _piece(self, text: str, reason: FinishReason | None = None) -> Piece:
        """With the tokens whose text starts in it. What a stop string cut off is not sent, nor are its tokens."""
        self._passed_on += len(text)
        finished_whole = reason is not None and not self._matcher.matched
        sent = [token for token in self._unsent if token.offset < self._passed_on or finished_whole]
        self._unsent = self._unsent[len(sent) :]
        return Piece(text, tuple(sent), reason)
