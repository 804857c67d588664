"""Keeps the cache like the server, for one resource in one namespace or in all: a paged LIST, then a watch with bookmarks.

A full LIST is repeated now and then, and whenever the watch has lost its place (410): what has vanished meanwhile is dropped.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable

from finetune_operator.api import Api
from finetune_operator.cache import Cache, Keys, identity, key_of
from finetune_operator.errors import ApiError, Expired
from finetune_operator.metrics import LISTS
from finetune_operator.names import MANAGED_BY_SELECTOR
from finetune_operator.parse import parse
from finetune_operator.resources import CONFIG_MAPS, OURS, SERVICES, Resource

LOG = logging.getLogger(__name__)

RELIST_SECONDS = 900.0
LONGEST_PAUSE = 30.0


class Reflector:
    """`list` once, then `watch` or `relist` for ever. Whoever is concerned by a change is passed to `wake`."""

    def __init__(self, api: Api, resource: Resource, namespace: str | None, cache: Cache, wake: Callable[[Keys], None]) -> None:
        self._api = api
        self._resource = resource
        self._namespace = namespace
        self._cache = cache
        self._wake = wake
        self._path = resource.path(namespace)
        self._params = {} if resource in OURS else {"labelSelector": MANAGED_BY_SELECTOR}
        # Of what only has to exist, only the metadata is asked for.
        self._metadata_only = resource in (SERVICES, CONFIG_MAPS)
        self._listed_at = 0.0
        self._version = 0

    async def list(self) -> None:
        """Takes each page as it arrives, so that no more than one is in memory, and drops what is not in the list."""
        listed: Keys = set()
        async for items, version in self._api.pages(self._path, self._params, self._metadata_only):
            for item in items:
                record = parse(self._resource, item)
                listed.add(key_of(record))
                self._wake(self._cache.put(record))
            self._version = version
        self._wake(self._cache.prune(self._resource.kind, self._namespace, listed, self._version))
        self._listed_at = time.monotonic()
        LISTS.labels(self._resource.title).inc()

    async def list_until_done(self, unless: tuple[type[ApiError], ...] = ()) -> None:
        """As `list`, as often as it takes; raises the errors that the caller does not want to wait for."""
        pause = _Pause()
        while True:
            try:
                return await self.list()
            except unless:
                raise
            except ApiError as error:
                await pause.after(error, f"list {self._where}")

    async def watch(self) -> None:
        """Follows the changes for ever. Call after `list`."""
        pause = _Pause()
        while True:
            try:
                if time.monotonic() - self._listed_at > RELIST_SECONDS:
                    await self.list()
                await self._follow()
                pause.reset()
            except Expired:
                self._listed_at = -RELIST_SECONDS
            except ApiError as error:
                await pause.after(error, f"watch {self._where}")

    async def relist(self) -> None:
        """Only the full LISTs, for a resource whose changes come from elsewhere."""
        while True:
            await asyncio.sleep(RELIST_SECONDS * random.uniform(0.9, 1.1))
            await self.list_until_done()

    async def _follow(self) -> None:
        async for event in self._api.watch(self._path, self._params, self._version, self._metadata_only):
            obj = event["object"]
            if event["type"] == "BOOKMARK":
                self._version = int(obj["metadata"]["resourceVersion"])
                continue
            key, uid, self._version = identity(self._resource, obj)
            if event["type"] == "DELETED":
                self._wake(self._cache.remove(key, uid, self._version))
            elif not self._cache.knows(key, self._version):
                self._wake(self._cache.put(parse(self._resource, obj)))

    @property
    def _where(self) -> str:
        return f"{self._resource.title} in {self._namespace or 'all namespaces'}"


class _Pause:
    """Longer after each failure, up to LONGEST_PAUSE seconds, never the same."""

    def __init__(self) -> None:
        self._failures = 0

    def reset(self) -> None:
        self._failures = 0

    async def after(self, error: ApiError, what: str) -> None:
        self._failures += 1
        seconds = random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, 0.25 * 2**self._failures)
        LOG.warning("cannot %s, next try in %.1f s: %s", what, seconds, error)
        await asyncio.sleep(seconds)
