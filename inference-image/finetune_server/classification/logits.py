"""Waits for the engine's logits on the event loop."""

import asyncio

import numpy as np
from numpy.typing import NDArray

from finetune_server.engines.interface import Encoded, EncoderEngine, EncodingRequest, EngineStopped, Failed


async def logits_of(engine: EncoderEngine, request: EncodingRequest) -> tuple[NDArray[np.float32], ...]:
    """The logits of each row. Raises QueueFull or EngineStopped; cancelling it frees the request's place."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Encoded | Failed] = loop.create_future()

    def settle(event: Encoded | Failed) -> None:
        if not answered.done():
            answered.set_result(event)

    ticket = engine.submit(request, lambda event: loop.call_soon_threadsafe(settle, event))
    try:
        event = await answered
    finally:
        ticket.cancel()
    if isinstance(event, Failed):
        raise EngineStopped(event.message)
    return event.logits
