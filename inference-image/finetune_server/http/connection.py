"""One HTTP connection, on top of uvicorn's: a client that sends or reads too slowly, or in crumbs, loses it.

uvicorn has a deadline for idle connections only. It knows no request's meaning: how large a body may be is the gate's business.
"""

import asyncio
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEAD = 64 * 1024
"""Bytes of a request line with its headers."""
MAX_CONNECTIONS = 1000
FREE_CHUNKS = 200
SMALLEST_CHUNK = 64
"""Bytes that a body's chunks must have on average once there are more than `FREE_CHUNKS`: each costs the event loop a few microseconds."""
LINGER = 5
"""Seconds more for a body: the gate, which can say why, is the first to give it up."""


@dataclass
class Connections:
    """What all connections of one server share. Touched on the event loop only."""

    client_timeout: float
    """Seconds for a request's head, for its body, and for reading what was sent."""
    most: int = field(default_factory=lambda: min(MAX_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))
    """Beyond it, the connection that has been without a whole request for the longest time makes room for the new one."""
    waiting: dict["Connection", None] = field(default_factory=dict)
    """Those whose client has to say something, in the order in which that began."""

    def protocol(self) -> type[asyncio.Protocol]:
        """What uvicorn makes connections with."""
        return cast(type[asyncio.Protocol], partial(Connection, self))


class Connection(H11Protocol):
    """HTTP/1.1 with deadlines for the client."""

    def __init__(self, shared: Connections, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.conn = ChunkCounter(h11.SERVER, MAX_HEAD)
        self._shared = shared
        self._request_deadline = Deadline(self.loop, self._give_up)
        self._reader_deadline = Deadline(self.loop, self._give_up)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a request."""
        super().connection_made(transport)
        if len(self.connections) > self._shared.most and self._shared.waiting:
            next(iter(self._shared.waiting))._give_up()
        self._wait_for_client()

    def data_received(self, data: bytes) -> None:
        """Takes what came; a part of a request does not begin its time anew."""
        super().data_received(data)
        self._wait_for_client()

    def on_response_complete(self) -> None:
        """Between two requests uvicorn's own deadline holds, unless a part of the next one is there already."""
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._shared.waiting[self] = None
        else:
            self._wait_for_client()

    def pause_writing(self) -> None:
        """The client does not read as fast as the server writes."""
        super().pause_writing()
        self._reader_deadline.begin("answer", self._shared.client_timeout)

    def resume_writing(self) -> None:
        """It has caught up."""
        super().resume_writing()
        self._reader_deadline.end()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, whoever wanted it."""
        self._shared.waiting.pop(self, None)
        self._request_deadline.end()
        self._reader_deadline.end()
        super().connection_lost(exc)

    def _wait_for_client(self) -> None:
        if self.conn.their_state is h11.IDLE:
            self._request_deadline.begin("head", self._shared.client_timeout)
        elif self.conn.their_state is h11.SEND_BODY:
            self._request_deadline.begin("body", self._shared.client_timeout + LINGER)
        else:
            self._shared.waiting.pop(self, None)
            self._request_deadline.end()
            return
        self._shared.waiting.setdefault(self)

    def _give_up(self) -> None:
        self._shared.waiting.pop(self, None)
        self.transport.abort()


class Deadline:
    """Calls once when something has not ended in its time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop, self._expired = loop, expired
        self._awaited = ""
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, awaited: str, seconds: float) -> None:
        """Starts the clock, unless it runs for the same already."""
        if self._timer is None or self._awaited != awaited:
            self.end()
            self._awaited, self._timer = awaited, self._loop.call_later(seconds, self._expired)

    def end(self) -> None:
        """Stops it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class ChunkCounter(h11.Connection):
    """Refuses a body in crumbs."""

    _chunks = 0
    _bytes = 0

    def next_event(self) -> Any:
        """As h11 does. Raises RemoteProtocolError, which uvicorn answers with 400."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._chunks += 1
            self._bytes += len(event.data)
            if self._chunks > FREE_CHUNKS and self._bytes < self._chunks * SMALLEST_CHUNK:
                raise h11.RemoteProtocolError("the body comes in chunks of a few bytes")
        return event
