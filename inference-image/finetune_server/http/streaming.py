"""From checked requests to answers: starts generations, reads them to their end or streams them, and counts what they took."""

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Sequence
from dataclasses import dataclass
from typing import TypeVar

import orjson
from fastapi import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from finetune_server.engines.interface import FinishReason, GenerationRequest
from finetune_server.generation.generation import Generation, GenerationFailed, ScoredToken
from finetune_server.http.errors import ClientGone, unavailable
from finetune_server.metrics import Metrics
from finetune_server.models.served_model import LanguageModel

DONE = b"data: [DONE]\n\n"

Result = TypeVar("Result")


@dataclass(frozen=True)
class Answer:
    """A complete answer."""

    text: str
    tokens: tuple[ScoredToken, ...]
    finish_reason: FinishReason


class Generations:
    """All generations of one HTTP request; they decode together."""

    def __init__(
        self,
        model: LanguageModel,
        requests: Sequence[GenerationRequest],
        stops: Sequence[str],
        metrics: Metrics,
        kept: Collection[str] = (),
    ) -> None:
        """`kept` are the special tokens that belong to the text. Raises QueueFull or EngineStopped, and then none of them is left."""
        self._metrics = metrics
        self.all: list[Generation] = []
        try:
            for request in requests:
                self.all.append(Generation(model.engine, model.tokenizer, request, stops, kept))
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Frees what they hold and counts what they took; once."""
        for generation in self.all:
            generation.close()
            self._metrics.prompt_tokens.inc(generation.prompt_tokens)
            self._metrics.completion_tokens.inc(generation.completion_tokens)
            if generation.first_token_seconds is not None:
                self._metrics.first_token_seconds.observe(generation.first_token_seconds)
        self.all = []

    def usage(self) -> dict[str, int]:
        """OpenAI's usage object, over all of them."""
        prompt = sum(generation.prompt_tokens for generation in self.all)
        completion = sum(generation.completion_tokens for generation in self.all)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    async def answers(self) -> list[Answer]:
        """All of them, read to their ends. Raises GenerationFailed."""
        return [await read(generation) for generation in self.all]


async def read(generation: Generation) -> Answer:
    """One answer to its end."""
    pieces = [piece async for piece in generation.pieces()]
    reason = pieces[-1].finish_reason
    assert reason is not None, "the last piece has a finish reason"
    return Answer("".join(piece.text for piece in pieces), tuple(token for piece in pieces for token in piece.tokens), reason)


async def unless_client_goes(request: Request, work: Coroutine[None, None, Result]) -> Result:
    """The work's result; cancels it and raises ClientGone when the client closes the connection first."""
    task = asyncio.create_task(work)
    watcher = asyncio.create_task(disconnected(request))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        task.cancel()
        watcher.cancel()


async def disconnected(request: Request) -> None:
    """Returns when the client is gone. The body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class EventStream(StreamingResponse):
    """Server-sent events, ending with [DONE]. However it ends, the generations are closed."""

    def __init__(self, events: AsyncIterator[object], generations: Generations) -> None:
        super().__init__(encoded(events), media_type="text/event-stream", headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._generations = generations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Streams until the end, or until the client is gone."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            scope["state"]["usage"] = self._generations.usage()
            self._generations.close()


async def encoded(events: AsyncIterator[object]) -> AsyncIterator[bytes]:
    """Each event as one `data:` line; an engine that breaks becomes an error event, because the status is sent already."""
    try:
        async for event in events:
            yield b"data: " + orjson.dumps(event) + b"\n\n"
    except GenerationFailed as error:
        yield b"data: " + orjson.dumps(unavailable(f"The server cannot continue: {error}.").body()) + b"\n\n"
        return
    yield DONE
