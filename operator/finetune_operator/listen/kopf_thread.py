"""kopf itself: its registry, its settings, its session and its thread.

It has its own thread and event loop because it takes over the signal handlers of its loop and cancels all tasks in it. It has no
handlers that store or post anything: that would cost a write per change.
"""

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any, Protocol

import aiohttp
import kopf
from kopf._core.engines.peering import Identity

from finetune_operator.client.connection import Connection
from finetune_operator.objects.resources import OURS, Resource

LOG = logging.getLogger(__name__)

LONGEST_BACKOFF = 15.0
PAGE = 20
"""Objects per page when kopf lists: it keeps all objects of a page in memory."""
LAST_TRIES, LAST_SECONDS = 20, 0.5


class Listener(Protocol):
    """Is called in the event loop in which the KopfThread was created."""

    def seen(self, resource: Resource, raw: dict[str, Any], deleted: bool) -> None:
        """An object was listed or has changed."""

    def up(self, path: str) -> None:
        """The watch of that path is connected."""

    def down(self, path: str) -> None:
        """The watch of that path is not connected, or is reconnecting."""

    def listed(self, path: str) -> None:
        """The watch of that path has started with a list."""

    def ended(self, why: str) -> None:
        """kopf has stopped."""


class KopfThread:
    """`start` once. After `stop` the listener is not called any more; the thread ends later, and need not be waited for."""

    def __init__(self, connection: Connection, namespaces: Collection[str], listener: Listener) -> None:
        self._connection = connection
        self._namespaces = namespaces
        self._listener = listener
        self._home = asyncio.get_running_loop()
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._sessions: list[aiohttp.ClientSession] = []
        self._woken = False
        self._stopped = False
        self._stop: Callable[[], object] = lambda: None

    def start(self) -> None:
        """Starts to watch."""
        threading.Thread(target=self._run, name="kopf", daemon=True).start()

    def stop(self) -> None:
        """From any thread."""
        self._stopped = True
        with contextlib.suppress(RuntimeError):  # its loop is closed: kopf has stopped by itself
            self._stop()

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._live())
        finally:
            self._let_go(loop)

    async def _live(self) -> None:
        """Runs until the first of kopf's tasks ends, none of which should. kopf itself may take minutes to stop, or hang."""
        stop = asyncio.Event()
        self._stop = partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set)
        why = "it was stopped"
        try:
            tasks = await self._spawned()
            stopped = asyncio.create_task(self._until(stop))
            done, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
            why = "; ".join(_why(task) for task in done)
        except BaseException as error:  # reported whatever it is: nothing else monitors this thread
            why = f"{type(error).__name__}: {error}"
        self._notify(self._listener.ended, why)

    async def _until(self, stop: asyncio.Event) -> None:
        if not self._stopped:
            await stop.wait()

    async def _spawned(self) -> Collection["asyncio.Task[Any]"]:
        return await kopf.spawn_tasks(
            registry=self._registry(),
            settings=_settings(),
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            standalone=True,
            identity=Identity("finetune-operator"),  # the default uses the name of the user, which does not exist in a pod
        )

    def _let_go(self, loop: asyncio.AbstractEventLoop) -> None:
        """Some of kopf's tasks only clean up on a first cancellation, or wait for a login that never happens."""
        loop.set_exception_handler(lambda _, context: LOG.debug("kopf while stopping: %s", context.get("message")))
        for _ in range(LAST_TRIES):
            for task in (tasks := asyncio.all_tasks(loop)):
                task.cancel()
            if not tasks:
                break
            loop.run_until_complete(asyncio.wait(tasks, timeout=LAST_SECONDS))
        for session in self._sessions:
            loop.run_until_complete(session.close())
        loop.close()

    def _notify(self, call: Callable[..., None], *arguments: Any) -> None:
        """Waking another loop costs a system call: one for all calls until that loop runs."""
        self._calls.append((call, arguments))
        if not (self._woken or self._stopped or self._home.is_closed()):
            self._woken = True
            self._home.call_soon_threadsafe(self._make_calls)

    def _make_calls(self) -> None:
        self._woken = False
        while self._calls and not self._stopped:
            call, arguments = self._calls.popleft()
            try:
                call(*arguments)
            except Exception:  # the remaining calls must not wait for the next change
                LOG.exception("an event from kopf could not be processed")

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        async def started(**_: Any) -> None:
            LOG.debug("kopf watches")

        async def ended(**_: Any) -> None:
            LOG.debug("kopf has stopped")

        async def login(**_: Any) -> kopf.AiohttpSession:
            return kopf.AiohttpSession(server=self._connection.server, aiohttp_session=await self._session())

        kopf.on.startup(registry=registry)(started)
        kopf.on.cleanup(registry=registry)(ended)
        kopf.on.login(registry=registry)(login)
        for ours in OURS:
            group, _, version = ours.api_version.partition("/")
            kopf.on.event(group, version, ours.plural, registry=registry)(self._handler(ours))
        return registry

    def _handler(self, resource: Resource) -> Callable[..., Any]:
        async def seen(event: dict[str, Any], **_: Any) -> None:
            self._notify(self._listener.seen, resource, event["object"], event["type"] == "DELETED")

        return seen

    async def _session(self) -> aiohttp.ClientSession:
        """kopf requests another one when the token has expired."""
        authorization = await self._connection.authorization()
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._connection.tls),
            headers={"Authorization": authorization} if authorization else None,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[self._trace()],
        )
        self._sessions.append(session)
        return session

    def _trace(self) -> aiohttp.TraceConfig:
        """A watch is connected from the response to its request until its next request. kopf itself does not report it."""
        listener = self._listener

        async def begun(_: aiohttp.ClientSession, __: SimpleNamespace, request: aiohttp.TraceRequestStartParams) -> None:
            if "watch" in request.url.query:
                self._notify(listener.down, request.url.path)

        async def answered(_: aiohttp.ClientSession, __: SimpleNamespace, request: aiohttp.TraceRequestEndParams) -> None:
            query = request.url.query
            if request.response.status == 200 and "continue" not in query:
                self._notify(listener.up if "watch" in query else listener.listed, request.url.path)

        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(begun)
        trace.on_request_end.append(answered)
        return trace


def _why(task: "asyncio.Task[Any]") -> str:
    error = None if task.cancelled() else task.exception()
    return f"{type(error).__name__}: {error}" if error else f"{task.get_name()} has ended"


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.chunk_size = PAGE
    settings.networking.connect_timeout = 5.0
    settings.networking.request_timeout = 30.0
    settings.networking.error_backoffs = Backoffs()
    settings.queueing.idle_timeout = 0.1  # for this long, a task per object is kept, and holds the object
    settings.queueing.exit_timeout = 0.5
    settings.persistence.diffbase_storage = NoDiff()
    settings.process.ultimate_exiting_timeout = None  # otherwise it would kill the process ten minutes after kopf has stopped
    return settings


class Backoffs:
    """Seconds between tries, without end: a watch survives any outage of the API server."""

    def __iter__(self) -> Iterator[float]:
        seconds = 0.25
        while True:
            yield seconds
            seconds = min(LONGEST_BACKOFF, seconds * 2)


class NoDiff(kopf.DiffBaseStorage):
    """No record of the last handled state: building one would copy every object at every event."""

    def build(self, **_: Any) -> Any:
        """No essence to compare."""
        return {}

    def fetch(self, **_: Any) -> None:
        """No stored state."""

    def store(self, **_: Any) -> None:
        """Stores nothing."""
