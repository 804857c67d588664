"""kopf's whole part: it watches our three kinds and tells us what it saw.

It runs in a thread with an event loop of its own, because it takes over the signals of its loop and cancels every task
that it finds there when it ends. It handles nothing, stores nothing and posts nothing: it would cost a write per change.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

import kopf
from kopf._core.engines.peering import Identity

from finetune_operator.connection import Connection
from finetune_operator.resources import OURS, Resource

LOG = logging.getLogger(__name__)

LONGEST_BACKOFF = 15.0

Seen = Callable[[Resource, dict[str, Any], bool], None]
"""Takes the resource, the raw object, and whether it was deleted."""


class Edge:
    """`ended` is done when kopf has ended, with its error if it failed."""

    def __init__(self, connection: Connection, namespaces: Collection[str], seen: Seen) -> None:
        self._connection = connection
        self._namespaces = namespaces
        self._seen = seen
        self._stop = threading.Event()

        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def start(self) -> None:
        """Begins to watch. `seen` is called in the loop in which this object was made."""
        threading.Thread(target=self._run, name="kopf", daemon=True).start()

    def stop(self) -> None:
        """Ends the watches. Nothing is delivered from now on; kopf itself takes its time, and nobody needs to wait for it."""
        self._stop.set()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(
                kopf.operator(
                    registry=_registry(self._connection, self._deliver),
                    settings=_settings(),
                    clusterwide=not self._namespaces,
                    namespaces=self._namespaces,
                    standalone=True,
                    identity=Identity("finetune-operator"),  # its own guess asks for the user's name, and a pod's user has none
                    stop_flag=self._stop,
                )
            )
        except BaseException as failure:  # whatever it is, the process must not go on without its eyes
            error = failure
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end, error)

    def _end(self, error: BaseException | None) -> None:
        if self.ended.done():
            return
        if self._stop.is_set():
            self.ended.set_result(None)
        else:
            self.ended.set_exception(RuntimeError(f"the watch of our kinds has ended: {error or 'without an error'}"))

    def _deliver(self, resource: Resource, raw: dict[str, Any], deleted: bool) -> None:
        if not self._stop.is_set():
            self._loop.call_soon_threadsafe(self._seen, resource, raw, deleted)


def _registry(connection: Connection, deliver: Seen) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    async def started(**_: Any) -> None:
        LOG.debug("kopf watches")

    async def ended(**_: Any) -> None:
        LOG.debug("kopf has ended")

    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await _login(connection)

    kopf.on.startup(registry=registry)(started)
    kopf.on.cleanup(registry=registry)(ended)
    kopf.on.login(registry=registry)(login)
    for ours in OURS:
        group, _, version = ours.api_version.partition("/")
        kopf.on.event(group, version, ours.plural, registry=registry)(_handler(partial(deliver, ours)))
    return registry


def _handler(deliver: Callable[[dict[str, Any], bool], None]) -> Callable[..., Any]:
    async def seen(event: dict[str, Any], **_: Any) -> None:
        deliver(event["object"], event["type"] == "DELETED")

    return seen


async def _login(connection: Connection) -> kopf.ConnectionInfo:
    configuration = connection.configuration
    scheme, _, token = (await connection.authorization() or "").rpartition(" ")
    return kopf.ConnectionInfo(
        server=connection.server,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        scheme=scheme or None,
        token=token or None,
    )


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.chunk_size = 500
    settings.queueing.idle_timeout = 1.0  # a task for each object that was seen lives for so long
    settings.networking.error_backoffs = Backoffs()
    settings.persistence.diffbase_storage = NoDiff()
    return settings


class Backoffs:
    """Seconds between tries, without an end: a watch outlives any outage of the API server."""

    def __iter__(self) -> Iterator[float]:
        seconds = 0.25
        while True:
            yield seconds
            seconds = min(LONGEST_BACKOFF, seconds * 2)


class NoDiff(kopf.DiffBaseStorage):
    """No record of what was handled last: building one copies every object at every event."""

    def build(self, **_: Any) -> Any:
        """Nothing."""
        return {}

    def fetch(self, **_: Any) -> None:
        """Nothing."""

    def store(self, **_: Any) -> None:
        """Nowhere."""
