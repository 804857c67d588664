"""From started generations to an HTTP response: complete, or streamed as server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from typing import Protocol, TypeVar

import orjson
from fastapi import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from finetune_server.generation.generation import Generation, GenerationFailed, Part, joined
from finetune_server.http.errors import ClientGone, json_response, unavailable
from finetune_server.metrics import Metrics

DONE = b"data: [DONE]\n\n"

Result = TypeVar("Result")


class Generations:
    """All generations of one HTTP request; they decode together."""

    def __init__(self, generations: Iterable[Generation], metrics: Metrics) -> None:
        """Starts them. Raises QueueFull or EngineStopped, and then closes those that have started."""
        self._metrics = metrics
        self.all: list[Generation] = []
        try:
            for generation in generations:
                self.all.append(generation)
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Frees their slots and adds their tokens to the metrics, once."""
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

    async def answers(self) -> list[Part]:
        """The complete answers. Raises GenerationFailed."""
        return [joined([part async for part in generation.parts()]) for generation in self.all]


class Shape(Protocol):
    """An endpoint's objects for one request."""

    def completion(self, answers: Sequence[Part], usage: dict[str, int]) -> dict[str, object]:
        """The complete answers as one object."""
        ...

    def events(self, generations: Generations) -> AsyncIterator[object]:
        """The answers as chunks, while they are generated."""
        ...


async def respond(request: Request, generations: Generations, shape: Shape, *, stream: bool) -> Response:
    """The complete answers, or a stream of their parts. Raises GenerationFailed and ClientGone."""
    request.state.entry.leave()
    if stream:
        return EventStream(shape.events(generations), generations)
    try:
        answers = await unless_client_goes(request, generations.answers())
        return json_response(shape.completion(answers, generations.usage()))
    finally:
        request.state.usage = generations.usage()
        generations.close()


async def unless_client_goes(request: Request, work: Coroutine[None, None, Result]) -> Result:
    """The work's result; cancels it and raises ClientGone if the client closes the connection first."""
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
    """Returns when the client has disconnected. The body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class EventStream(StreamingResponse):
    """Server-sent events, ending with [DONE]. The generations are closed in any case."""

    def __init__(self, events: AsyncIterator[object], generations: Generations) -> None:
        super().__init__(encoded(events), media_type="text/event-stream", headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._generations = generations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Streams until the end, or until the client disconnects."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            scope["state"]["usage"] = self._generations.usage()
            self._generations.close()


async def encoded(events: AsyncIterator[object]) -> AsyncIterator[bytes]:
    """Each event as one `data:` line; a failure of the engine becomes an error event, because the status has been sent."""
    try:
        async for event in events:
            yield b"data: " + orjson.dumps(event) + b"\n\n"
    except GenerationFailed as error:
        yield b"data: " + orjson.dumps(unavailable(f"The server cannot continue: {error}.").body()) + b"\n\n"
        return
    yield DONE
