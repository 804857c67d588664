"""Warning events about our children, from one watch per namespace or for all: a request per child would scan all events.

They only explain why a child does not start. So errors here have no further effect, nothing waits for events, and only those that a plan
can use are kept.
"""

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from finetune_operator.client.api import Api
from finetune_operator.client.errors import ApiError, Expired
from finetune_operator.objects.cache import Cache, Key, Keys
from finetune_operator.objects.parse import warning_event
from finetune_operator.objects.records import WarningEvent
from finetune_operator.objects.resources import CLAIMS, DEPLOYMENTS, EVENTS, JOBS, PODS
from finetune_operator.plan.common.blocked import RELEVANT_REASONS

LOG = logging.getLogger(__name__)

KEPT_SECONDS = 600.0
REMEMBERED = 4096
"""Number of objects whose events are kept."""
REASONS_KEPT = 8
MESSAGE_LENGTH = 2048
LONGEST_PAUSE = 60.0
CHILD_KINDS = frozenset({PODS.kind, JOBS.kind, CLAIMS.kind})
# FailedScheduling is also in a condition of the pod, and BackOff is repeated often.
SELECTOR = {"fieldSelector": "type=Warning,reason!=FailedScheduling,reason!=BackOff,reason!=Unhealthy"}


class WarningEvents:
    """`watch` each scope; `about` returns the events about a child."""

    def __init__(self, api: Api, cache: Cache, wake: Callable[[Keys], None], clock: Callable[[], float] = time.time) -> None:
        self._api = api
        self._cache = cache
        self._wake = wake
        self._clock = clock
        self._known: OrderedDict[str, dict[str, WarningEvent]] = OrderedDict()
        """By the uid of the child: the newest event of each reason."""

    def about(self, uid: str) -> tuple[WarningEvent, ...]:
        """Recent events, the newest first; events about a ReplicaSet belong to its Deployment."""
        since = self._clock() - KEPT_SECONDS
        found = [event for event in self._known.get(uid, {}).values() if event.last_seen >= since]
        return tuple(sorted(found, key=lambda event: -event.last_seen))

    async def watch(self, namespace: str | None) -> None:
        """Watches until cancelled. Start it after the children have been listed: events about unknown objects are dropped."""
        path, version, failures = EVENTS.path(namespace), 0, 0
        while True:
            try:
                version = version or await self._list(path)
                async for event in self._api.watch(path, SELECTOR, version):
                    version, failures = int(event["object"]["metadata"]["resourceVersion"]), 0
                    if event["type"] in ("ADDED", "MODIFIED"):
                        self.take(event["object"])
                await asyncio.sleep(1)
            except ApiError as error:
                version, failures = 0, 0 if isinstance(error, Expired) else failures + 1
                LOG.info("cannot watch Warning events in %s: %s", namespace or "all namespaces", error)
                await asyncio.sleep(random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, 2.0 ** min(failures, 10)))

    async def _list(self, path: str) -> int:
        newest = 0
        async for items, version in self._api.pages(path, SELECTOR):
            newest = version
            for item in items:
                self.take(item)
        return newest

    def take(self, raw: dict[str, Any]) -> None:
        """Keeps an event about a child, and wakes the owners of the child."""
        try:
            event, namespace = warning_event(raw, MESSAGE_LENGTH), raw["metadata"].get("namespace", "")
            uid = raw["involvedObject"].get("uid", "")
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            LOG.debug("an event cannot be parsed: %r", error)
            return
        key = self._child(Key(event.kind, namespace, event.name))
        child = self._cache.meta(key) if key else None
        if event.reason not in RELEVANT_REASONS or key is None or child is None:
            return
        if key.kind == event.kind and uid != child.uid:  # about a deleted object with that name
            return
        known = self._known.setdefault(child.uid, {})
        known[event.reason] = event
        if len(known) > REASONS_KEPT:
            del known[min(known, key=lambda reason: known[reason].last_seen)]
        self._known.move_to_end(child.uid)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        self._wake(self._cache.owners(key))

    def _child(self, about: Key) -> Key | None:
        """The child that an event is about; ReplicaSets are named after their Deployment."""
        if about.kind == "ReplicaSet":
            return Key(DEPLOYMENTS.kind, about.namespace, about.name.rpartition("-")[0])
        return about if about.kind in CHILD_KINDS else None
