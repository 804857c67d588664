"""One HTTP connection, based on uvicorn's: closed if the client sends or reads too slowly, or sends its body in tiny chunks.

uvicorn has a deadline for idle connections only. The size of bodies is limited by the gate.
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
"""Maximum bytes of a request line with its headers."""
MAX_CONNECTIONS = 1000
FREE_CHUNKS = 200
SMALLEST_CHUNK = 64
"""Average bytes that a body's chunks must have after the first `FREE_CHUNKS`: each costs the event loop a few microseconds."""
LINGER = 5
"""Additional seconds for a body: the gate, which can report the reason, gives up first."""


@dataclass
class Connections:
    """State shared by all connections of one server. Used on the event loop only."""

    client_timeout: float
    """Seconds for a request's head, for its body, and for reading a part of the response."""
    most: int = field(default_factory=lambda: min(MAX_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))
    """Maximum number of connections. Beyond it, the one that has waited longest for a complete request is closed."""
    waiting: dict["Connection", None] = field(default_factory=dict)
    """Connections that wait for their client, longest wait first."""

    def protocol(self) -> type[asyncio.Protocol]:
        """The factory that uvicorn makes connections with."""
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
        """Starts to wait for a request."""
        super().connection_made(transport)
        if len(self.connections) > self._shared.most and self._shared.waiting:
            next(iter(self._shared.waiting))._give_up()
        self._wait_for_client()

    def data_received(self, data: bytes) -> None:
        """Processes received bytes; a part of a request does not restart its deadline."""
        super().data_received(data)
        self._wait_for_client()

    def on_response_complete(self) -> None:
        """Between two requests uvicorn's own deadline applies, unless a part of the next one has already arrived."""
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._shared.waiting[self] = None
        else:
            self._wait_for_client()

    def pause_writing(self) -> None:
        """The client reads more slowly than the server writes."""
        super().pause_writing()
        self._reader_deadline.begin("answer", self._shared.client_timeout)

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        self._reader_deadline.end()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection was closed by either side."""
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
    """Calls a function once if something takes too long."""

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop, self._expired = loop, expired
        self._awaited = ""
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, awaited: str, seconds: float) -> None:
        """Starts the timer, unless it already runs for the same thing."""
        if self._timer is None or self._awaited != awaited:
            self.end()
            self._awaited, self._timer = awaited, self._loop.call_later(seconds, self._expired)

    def end(self) -> None:
        """Stops the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class ChunkCounter(h11.Connection):
    """Refuses a body in tiny chunks."""

    _chunks = 0
    _bytes = 0

    def next_event(self) -> Any:
        """As in h11. Raises RemoteProtocolError, which uvicorn answers with 400."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._chunks += 1
            self._bytes += len(event.data)
            if self._chunks > FREE_CHUNKS and self._bytes < self._chunks * SMALLEST_CHUNK:
                raise h11.RemoteProtocolError("the body comes in chunks of a few bytes")
        return event
