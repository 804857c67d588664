"""Which requests are admitted, decided before their bodies are read, and again before they are parsed.

It bounds what requests cost before they reach the engine: received bytes, parsed JSON, tokenised text. Used on the event loop only.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from finetune_server.engines.interface import QueueFull
from finetune_server.http.errors import ApiError, overloaded
from finetune_server.models.served_model import Encoder, ServedModel
from finetune_server.settings import BYTES_PER_TOKEN, MIN_BODY, MIN_CLASSIFIER_BODY

HELD_BODIES = 16
"""Unparsed bodies in memory may take as much as this many bodies of the largest size."""
PREPARING = 2
"""Threads that parse and tokenise. More would gain little (parsing holds the GIL), and each may need much memory."""

Result = TypeVar("Result")


class Admission:
    """Counts the requests that have not reached the engine."""

    def __init__(self, *, max_body: int | None, client_timeout: float) -> None:
        """`max_body` in bytes, None: derived from the model's context; `client_timeout` in seconds."""
        self.client_timeout = client_timeout
        self.entering = 0
        """Requests whose body is complete and that are not in the engine yet."""
        self.held = 0
        """Bytes of bodies that are not parsed yet."""
        self._max_body = max_body
        self._pool: Executor = ThreadPoolExecutor(PREPARING, "prepare")

    def body_limit(self, model: ServedModel) -> int:
        """Maximum size of a request body in bytes."""
        least = MIN_CLASSIFIER_BODY if isinstance(model, Encoder) else MIN_BODY
        return self._max_body or max(least, BYTES_PER_TOKEN * model.engine.context_length)

    def check_room(self, model: ServedModel) -> None:
        """Raises ApiError, 429, if all places are taken by requests that run, wait or come in."""
        load = model.engine.load()
        if load.running + load.waiting + self.entering >= model.engine.capacity:
            raise overloaded(QueueFull(f"{load.running} requests are running and {load.waiting + self.entering} are waiting"))

    async def in_pool(self, work: Callable[[], Result]) -> Result:
        """The work's result, computed in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


class Entry:
    """One request from its first byte until it is in the engine."""

    def __init__(self, admission: Admission, model: ServedModel) -> None:
        """Raises ApiError if there is no room."""
        admission.check_room(model)
        self._admission, self._model = admission, model
        self._held = 0
        self._entering = False

    async def body(self, receive: Receive) -> bytes:
        """The whole body. Raises ApiError if it is too large or too slow, or if there is no room any more."""
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self._admission.client_timeout):
                while (message := await receive()).get("more_body", False):
                    chunks.append(self._taken(message))
                chunks.append(self._taken(message))
        except TimeoutError:
            raise too_slow(self._admission.client_timeout) from None
        self._admission.check_room(self._model)
        self._entering = True
        self._admission.entering += 1
        return b"".join(chunks)

    def _taken(self, message: Message) -> bytes:
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        self._held += len(chunk)
        self._admission.held += len(chunk)
        limit = self._admission.body_limit(self._model)
        if self._held > limit:
            raise too_large(limit)
        if self._admission.held > HELD_BODIES * limit:
            raise overloaded(QueueFull("the memory for request bodies is used up by other requests"))
        return chunk

    def leave(self) -> None:
        """The request is in the engine or was refused. May be called repeatedly."""
        self._admission.held -= self._held
        self._admission.entering -= self._entering
        self._held, self._entering = 0, False


def too_large(limit: int) -> ApiError:
    """413: the body exceeds the limit in bytes."""
    message = f"The request's body is larger than {limit} bytes, the limit of this server. Send less, or start it with a larger --max-body."
    return ApiError(413, message, code="request_too_large")


def too_slow(seconds: float) -> ApiError:
    """408: the connection cannot be used again."""
    message = f"The request's body did not arrive within {seconds:g} seconds."
    return ApiError(408, message, code="request_timeout", headers={"Connection": "close"})
