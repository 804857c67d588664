"""Watches our three kinds through kopf, and keeps kopf running.

kopf stops on watch errors that it does not know, never watches a kind that did not exist when it started, and does not report what was
deleted while a watch was disconnected. So kopf is restarted when it stops, its connections are monitored from outside, and our kinds are
listed again whenever an event may have been missed.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from finetune_operator.client.connection import Connection
from finetune_operator.listen.kopf_thread import KopfThread
from finetune_operator.listen.watches import Watches
from finetune_operator.objects.resources import OURS, Resource

LOG = logging.getLogger(__name__)

BLIND_SECONDS = 60.0
"""A watch that kopf has not restored in this time does not recover by itself."""
LOOK_SECONDS = 5.0
LONGEST_PAUSE = 15.0
STEADY_SECONDS = 60.0
"""After a run of kopf that lasted longer, the back-off starts again."""

Seen = Callable[[Resource, dict[str, Any], bool], None]
"""Takes the resource, the raw object, and whether it was deleted."""


class Edge:
    """`serve` one namespace or all of them, and `run` until cancelled.

    `seen` is called with every object and every change, `relist` whenever an event may have been missed.
    """

    def __init__(self, connection: Connection, seen: Seen, relist: Callable[[], Awaitable[None]], watches: Watches) -> None:
        self._connection = connection
        self._seen = seen
        self._relist = relist
        self._watches = watches
        self._scopes: set[str | None] = set()
        self._widened = asyncio.Event()

    def serve(self, namespace: str | None) -> None:
        """Adds a namespace. It must be readable: kopf would retry forever."""
        self._scopes.add(namespace)
        self._widened.set()

    async def run(self) -> None:
        """Raises RuntimeError when a watch cannot be restored: the process must be restarted."""
        clock, failures = asyncio.get_running_loop().time, 0
        await self._widened.wait()
        while True:
            self._widened.clear()
            begun = clock()
            why = await self._one_life()
            if why is not None:
                failures = 1 if clock() - begun > STEADY_SECONDS else failures + 1
                pause = random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, 0.25 * 2.0**failures)
                LOG.warning("kopf has stopped and is restarted in %.1f s: %s", pause, why)
                await asyncio.sleep(pause)
            await self._relist()  # succeeds when all of our kinds are defined: kopf would not wait for one

    async def _one_life(self) -> str | None:
        """Returns why kopf has stopped; None when it must be restarted for another namespace."""
        life = _Life(self._scopes, self._seen, self._watches)
        thread = KopfThread(self._connection, {scope for scope in self._scopes if scope}, life)
        thread.start()
        try:
            while not (life.over.is_set() or self._widened.is_set()):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(life.news.wait(), LOOK_SECONDS)
                if dead := [name for name in self._watches.dead(BLIND_SECONDS) if name in life.names.values()]:
                    raise RuntimeError(f"kopf does not watch {', '.join(dead)}")
                if life.lost_its_place():
                    await self._relist()
            return life.why if life.over.is_set() else None
        finally:
            thread.stop()
            life.close()


class _Life:
    """The state of one run of kopf. `news` is set when something must be done."""

    def __init__(self, scopes: Collection[str | None], seen: Seen, watches: Watches) -> None:
        self.names = {ours.path(scope): f"{ours.title} in {scope or 'all namespaces'}, by kopf" for ours in OURS for scope in scopes}
        """Names of its watches, by path."""
        self.news, self.over = asyncio.Event(), asyncio.Event()
        self.why = ""
        self.seen = seen
        self._watches = watches
        self._listed: set[str] = set()
        self._again = False
        self.close()

    def close(self) -> None:
        """Marks all of its watches as down: before the start, and at the end."""
        for name in self.names.values():
            self._watches.down(name)

    def lost_its_place(self) -> bool:
        """True when a watch has started again with a list since the last call."""
        self.news.clear()
        again, self._again = self._again, False
        return again

    def up(self, path: str) -> None:
        if path in self.names:
            self._watches.up(self.names[path])

    def down(self, path: str) -> None:
        if path in self.names:
            self._watches.down(self.names[path])

    def listed(self, path: str) -> None:
        if path in self._listed:
            self._again = True
            self.news.set()
        if path in self.names:
            self._listed.add(path)

    def ended(self, why: str) -> None:
        self.why = why
        self.over.set()
        self.news.set()
