"""Keeps the cache in sync for one resource in one namespace or in all: a paged LIST, then a watch with bookmarks.

A full LIST is repeated periodically, and whenever the resourceVersion of the watch has expired (410); objects that no longer exist are
removed from the cache.
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
"""After a watch that lasted longer, the back-off starts again."""
SHORT_SECONDS = 1.0
"""A watch that the server ends sooner is not restarted immediately."""
FAILURES = 3
"""After this many failures in a row, the watch starts again with a list."""


class Reflector:
    """`list` once, then `watch` or `relist` until cancelled. Calls `wake` with the keys that a change concerns."""

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
        # Only their metadata is used.
        self._metadata_only = resource in (SERVICES, CONFIG_MAPS)
        self._listed_at = -RELIST_SECONDS
        self._version = 0

    async def list(self) -> None:
        """Processes page by page, so that only one is in memory, and removes objects that are not in the list.

        The watch continues from the list only when all pages were read: objects on the other pages would be missed.
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
        """Retries `list` until it succeeds; raises the errors in `unless`."""
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
        """Watches until cancelled; call it after `list`. Errors are retried with back-off, if necessary starting with a list."""
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
                if isinstance(failure, NotFound):  # the CRD was deleted, and all of its objects with it
                    self._listed_at = -RELIST_SECONDS
                error = failure
            if time.monotonic() - begun > STEADY_SECONDS:
                pause.reset()
            elif error or time.monotonic() - begun < SHORT_SECONDS:
                await pause.after(error, f"watch {self._where}")

    async def relist(self) -> None:
        """Only the periodic LIST, for a resource that is watched elsewhere."""
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
    """Exponential back-off with jitter, up to LONGEST_PAUSE seconds."""

    def __init__(self) -> None:
        self.failures = 0

    def reset(self) -> None:
        self.failures = 0

    async def after(self, error: ApiError | None, what: str) -> None:
        self.failures += 1
        seconds = random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, 0.25 * 2.0 ** min(self.failures, 10))
        LOG.warning("cannot %s, retrying in %.1f s: %s", what, seconds, error or "the server ends it immediately")
        await asyncio.sleep(seconds)
