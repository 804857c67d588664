"""Keeps the cache like the server, for one resource in one namespace or in all: a paged LIST, then a watch with bookmarks.

A full LIST is repeated now and then, and whenever the watch has lost its place (410): what has vanished meanwhile is dropped.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable

from finetune_operator.client.api import Api, Object
from finetune_operator.client.errors import ApiError, Expired, NotFound
from finetune_operator.listen.watches import Watches
from finetune_operator.objects.cache import Cache, Keys, identity
from finetune_operator.objects.names import MANAGED_BY_SELECTOR
from finetune_operator.objects.parse import readable
from finetune_operator.objects.resources import CONFIG_MAPS, OURS, SERVICES, Resource
from finetune_operator.telemetry.metrics import LISTS

LOG = logging.getLogger(__name__)

RELIST_SECONDS = 900.0
LONGEST_PAUSE = 15.0
STEADY_SECONDS = 30.0
"""A watch that lived for longer says nothing against the next one."""
SHORT_SECONDS = 1.0
"""A watch that the server ends sooner is not begun again at once."""
FAILURES = 3
"""After so many in a row the place of the watch is given up, and found again by a list."""


class Reflector:
    """`list` once, then `watch` or `relist` for ever. Whoever is concerned by a change is passed to `wake`."""

    def __init__(
        self, api: Api, resource: Resource, namespace: str | None, cache: Cache, wake: Callable[[Keys], None], watches: Watches
    ) -> None:
        self._api = api
        self._resource = resource
        self._namespace = namespace
        self._cache = cache
        self._wake = wake
        self._watches = watches
        self._path = resource.path(namespace)
        self._params = {} if resource in OURS else {"labelSelector": MANAGED_BY_SELECTOR}
        # Of what only has to exist, only the metadata is asked for.
        self._metadata_only = resource in (SERVICES, CONFIG_MAPS)
        self._listed_at = -RELIST_SECONDS
        self._version = 0

    async def list(self) -> None:
        """Takes each page as it arrives, so that no more than one is in memory, and drops what is not in the list.

        The watch goes on from a list that was read to its end only: what is on the other pages would be passed over.
        """
        listed: Keys = set()
        newest = self._version
        async for items, version in self._api.pages(self._path, self._params, self._metadata_only):
            newest = version
            for item in items:
                listed.add(identity(self._resource, item)[0])
                self._take(item)
        self._version = newest
        self._wake(self._cache.prune(self._resource.kind, self._namespace, listed, self._version))
        self._listed_at = time.monotonic()
        LISTS.labels(self._resource.title).inc()

    async def list_until_done(self, unless: tuple[type[ApiError], ...] = ()) -> None:
        """As `list`, as often as it takes; raises the errors that the caller does not want to wait for."""
        pause = _Pause()
        while True:
            try:
                await self.list()
            except unless:
                raise
            except ApiError as error:
                self._watches.down(self._where)
                await pause.after(error, f"list {self._where}")
            else:
                self._watches.up(self._where)
                return

    async def watch(self) -> None:
        """Follows the changes for ever. Call after `list`. Every error is waited out, and a place that is lost is found by a list."""
        pause = _Pause()
        while True:
            begun = time.monotonic()
            try:
                if begun - self._listed_at > RELIST_SECONDS or pause.failures >= FAILURES:
                    await self.list()
                await self._follow()
                error: ApiError | None = None
            except Expired as expired:
                self._listed_at, error = -RELIST_SECONDS, expired
            except ApiError as failure:
                self._watches.down(self._where)
                if isinstance(failure, NotFound):  # the kind is not defined now, and all of its objects have gone with it
                    self._listed_at = -RELIST_SECONDS
                error = failure
            if time.monotonic() - begun > STEADY_SECONDS:
                pause.reset()
            elif error or time.monotonic() - begun < SHORT_SECONDS:
                await pause.after(error, f"watch {self._where}")

    async def relist(self) -> None:
        """Only the full LISTs, for a resource whose changes come from elsewhere."""
        while True:
            await asyncio.sleep(RELIST_SECONDS * random.uniform(0.9, 1.1))
            await self.list_until_done()

    async def _follow(self) -> None:
        async for event in self._api.watch(self._path, self._params, self._version, self._metadata_only, self._opened):
            obj = event["object"]
            if event["type"] == "BOOKMARK":
                self._version = int(obj["metadata"]["resourceVersion"])
                continue
            key, uid, self._version = identity(self._resource, obj)
            if event["type"] == "DELETED":
                self._wake(self._cache.remove(key, uid, self._version))
            elif not self._cache.knows(key, self._version):
                self._take(obj)

    def _opened(self) -> None:
        self._watches.up(self._where)

    def _take(self, obj: Object) -> None:
        if record := readable(self._resource, obj):
            self._wake(self._cache.put(record))

    @property
    def _where(self) -> str:
        return f"{self._resource.title} in {self._namespace or 'all namespaces'}"


class _Pause:
    """Longer after each failure, up to LONGEST_PAUSE seconds, never the same."""

    def __init__(self) -> None:
        self.failures = 0

    def reset(self) -> None:
        self.failures = 0

    async def after(self, error: ApiError | None, what: str) -> None:
        self.failures += 1
        seconds = random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, 0.25 * 2.0 ** min(self.failures, 10))
        LOG.warning("cannot %s, next try in %.1f s: %s", what, seconds, error or "the server ends it at once")
        await asyncio.sleep(seconds)
