"""Writes Events about our objects asynchronously: a reconcile neither waits for an Event nor fails because of one."""

import asyncio
import logging
import time
from collections.abc import Mapping

from finetune_operator.client.api import Api, Object
from finetune_operator.client.errors import ApiError
from finetune_operator.objects.cache import key_of
from finetune_operator.objects.names import FIELD_MANAGER
from finetune_operator.objects.records import CustomResource
from finetune_operator.objects.resources import EVENTS, OURS
from finetune_operator.plan.common.plan import EventNote

LOG = logging.getLogger(__name__)

WAITING = 2000
"""Events that wait to be written; more are dropped."""
_API_VERSIONS: Mapping[str, str] = {resource.kind: resource.api_version for resource in OURS}


class Announcer:
    """`say` at any time, `run` until cancelled."""

    def __init__(self, api: Api, instance: str) -> None:
        self._api = api
        self._instance = instance
        self._notes: asyncio.Queue[Object] = asyncio.Queue(WAITING)

    def say(self, note: EventNote, target: CustomResource) -> None:
        """Queues an Event. Never blocks."""
        try:
            self._notes.put_nowait(_event(note, target, self._instance))
        except asyncio.QueueFull:
            LOG.warning("event %s on %s is dropped: %d others are waiting to be written", note.reason, target.meta.name, WAITING)

    async def run(self) -> None:
        """Writes the Events in order, until cancelled."""
        while True:
            event = await self._notes.get()
            try:
                await self._api.create(event)
            except ApiError as error:
                LOG.warning("event %s could not be written: %s", event["reason"], error)
            except Exception:
                LOG.exception("event %s on %s could not be written", event["reason"], event["involvedObject"]["name"])


def _event(note: EventNote, target: CustomResource, instance: str) -> Object:
    key, meta, now = key_of(target), target.meta, time.time()
    written = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    return {
        "apiVersion": EVENTS.api_version, "kind": EVENTS.kind,
        "metadata": {"name": f"{meta.name}.{int(now * 1e6):x}", "namespace": meta.namespace},
        "involvedObject": {
            "apiVersion": _API_VERSIONS[key.kind], "kind": key.kind, "namespace": meta.namespace, "name": meta.name,
            "uid": meta.uid, "resourceVersion": str(meta.resource_version),
        },
        "type": note.type, "reason": note.reason, "message": note.message[:1024], "count": 1,
        "firstTimestamp": written, "lastTimestamp": written,
        "source": {"component": FIELD_MANAGER}, "reportingComponent": FIELD_MANAGER, "reportingInstance": instance,
    }  # fmt: skip
