"""Carries out a plan: status first, then apply, patch, create, delete. Decides nothing.

Responses to writes are put into the cache immediately, so that the next observation includes them. Objects of others are never changed:
an object is ours when it has an owner with the right uid, or the annotation with the job's uid.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from pydantic import BaseModel

from finetune_operator.client.api import Api, Object
from finetune_operator.client.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound, NotOurs
from finetune_operator.client.merge_patch import merge_patch
from finetune_operator.objects.cache import Cache, Key, Keys, key_of
from finetune_operator.objects.names import JOB_UID_ANNOTATION
from finetune_operator.objects.parse import parse
from finetune_operator.objects.records import CustomResource, Meta, WarningEvent
from finetune_operator.objects.resources import BY_KIND, OURS, Resource, resource_of
from finetune_operator.observe.observer import Refusals
from finetune_operator.plan.common.plan import EventNote, ObjectRef, Plan

LOG = logging.getLogger(__name__)

Announce = Callable[[EventNote, CustomResource], None]
Send = Callable[[Object, CustomResource], Coroutine[Any, Any, None]]
_OURS = {resource.kind: resource for resource in OURS}


class Executor:
    """`carry_out` a plan for one of our objects. Raises ApiError or NotOurs; earlier writes are not undone."""

    def __init__(self, api: Api, cache: Cache, refusals: Refusals, wake: Callable[[Keys], None], announce: Announce) -> None:
        self._api = api
        self._cache = cache
        self._refusals = refusals
        self._wake = wake
        self._announce = announce

    async def carry_out(self, plan: Plan, target: CustomResource) -> None:
        """Conflict means that the target has changed in the meantime; its newest state is in the cache then.

        With a new status, Events are written even if a later step fails; without one, only after all steps.
        """
        await self._write_status(plan, target)
        announced = plan.status is not None
        try:
            await self._all(plan.apply, target, self._apply)
            await self._all(plan.patch, target, self._patch)
            await self._all(plan.create[:-1], target, self._create)
            await self._all(plan.create[-1:], target, self._create)
            if plan.apply or plan.patch or plan.create:
                self._refusals.pop(key_of(target), None)
            for ref in plan.delete:
                await self._delete(ref, target)
            announced = True
        finally:
            for note in plan.events if announced else ():
                self._announce(note, target)

    async def _all(self, objects: Sequence[Object], target: CustomResource, send: Send) -> None:
        """Concurrently; when all have finished, the first error is raised."""
        results = await asyncio.gather(*(self._accepted(target, obj, send) for obj in objects), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _write_status(self, plan: Plan, target: CustomResource) -> None:
        """Merge patch against exactly the state that the plan was made from: another uid or resourceVersion is a Conflict."""
        if plan.status is None:
            return
        key, meta = key_of(target), target.meta
        patch = merge_patch(_dumped(target.status), _dumped(plan.status))
        if not patch:
            return
        body = {"metadata": {"uid": meta.uid, "resourceVersion": str(meta.resource_version)}, "status": patch}
        resource = _OURS[key.kind]
        try:
            self._put(resource, await self._api.patch_status(resource, meta.namespace, meta.name, body), target)
        except (Conflict, NotFound) as error:
            await self._refresh(resource, target)
            raise Conflict(error.request, 409, {"message": error.message}) from error
        LOG.info("status: %s", ", ".join(sorted(patch)))

    async def _refresh(self, resource: Resource, target: CustomResource) -> None:
        meta = target.meta
        try:
            self._put(resource, await self._api.get(resource.path(meta.namespace, meta.name)), target)
        except NotFound:
            self._wake(self._cache.remove(key_of(target), meta.uid))

    async def _accepted(self, target: CustomResource, obj: Object, send: Send) -> None:
        """Records what the API server refuses, for the next plan."""
        try:
            await send(obj, target)
        except (Forbidden, Invalid, NotOurs) as error:
            reason = "NotOurs" if isinstance(error, NotOurs) else "Refused"
            message = error.message if isinstance(error, ApiError) else str(error)
            refusal = WarningEvent(obj["kind"], obj["metadata"]["name"], reason, message, time.time())
            self._refusals[key_of(target)] = refusal
            raise

    async def _apply(self, obj: Object, target: CustomResource) -> None:
        """Server-side apply with the uid of the existing object as precondition. An object that is not in the cache is read first."""
        resource = resource_of(obj)
        metadata = obj["metadata"]
        known = self._cache.meta(Key(resource.kind, metadata["namespace"], metadata["name"]))
        if known is None:
            try:
                known = _meta(resource, await self._api.get(resource.path(metadata["namespace"], metadata["name"])))
            except NotFound:
                LOG.info("apply %s %s", resource.kind, metadata["name"])
        if known is not None:
            _assert_ours(known, obj, target)
            obj = {**obj, "metadata": {**metadata, "uid": known.uid}}
        self._put(resource, await self._api.apply(obj), target)

    async def _patch(self, obj: Object, target: CustomResource) -> None:
        """Merge patch of an object that is ours, with its uid as precondition: an object recreated with its name is a Conflict."""
        resource, metadata = resource_of(obj), obj["metadata"]
        try:
            self._put(resource, await self._api.patch(obj), target)
        except NotFound:
            self._wake_others(self._cache.remove(Key(resource.kind, metadata["namespace"], metadata["name"]), metadata["uid"]), target)

    async def _create(self, obj: Object, target: CustomResource) -> None:
        """POST. An existing object with that name that is ours was created by an earlier try: it is adopted."""
        resource = resource_of(obj)
        metadata = obj["metadata"]
        try:
            raw = await self._api.create(obj)
            LOG.info("created %s %s", resource.kind, metadata["name"])
        except AlreadyExists:
            raw = await self._api.get(resource.path(metadata["namespace"], metadata["name"]))
            _assert_ours(_meta(resource, raw), obj, target)
            LOG.info("adopted %s %s", resource.kind, metadata["name"])
        self._put(resource, raw, target)

    async def _delete(self, ref: ObjectRef, target: CustomResource) -> None:
        resource = BY_KIND[ref.api_version, ref.kind]
        key = Key(ref.kind, ref.namespace, ref.name)
        try:
            raw = await self._api.delete(resource, ref.namespace, ref.name, ref.uid)
        except (NotFound, Conflict):
            raw = {"kind": "Status"}
        LOG.info("deleted %s %s", ref.kind, ref.name)
        if raw.get("kind") == ref.kind:  # it still exists, for its finalizers or its grace period
            self._put(resource, raw, target)
        else:
            self._wake_others(self._cache.remove(key, ref.uid), target)

    def _put(self, resource: Resource, raw: Object, target: CustomResource) -> None:
        self._wake_others(self._cache.put(parse(resource, raw)), target)

    def _wake_others(self, keys: Keys, target: CustomResource) -> None:
        """The target itself is observed again anyway."""
        self._wake(keys - {key_of(target)})


def _dumped(status: BaseModel) -> Object:
    """Without fields that are None and without empty lists, which `kubectl describe` would show as headings with nothing below."""
    dumped: Object = _filled(status.model_dump(mode="json", by_alias=True, exclude_none=True))
    return dumped


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {field: _filled(inner) for field, inner in value.items() if inner != []}
    return [_filled(inner) for inner in value] if isinstance(value, list) else value


def _meta(resource: Resource, raw: Object) -> Meta:
    return parse(resource, raw).meta


def _assert_ours(existing: Meta, wanted: Object, target: CustomResource) -> None:
    metadata = wanted["metadata"]
    owners = {target.meta.uid, *(owner["uid"] for owner in metadata.get("ownerReferences") or ())}
    job = (metadata.get("annotations") or {}).get(JOB_UID_ANNOTATION)
    if not (existing.owners & owners or (job and existing.annotations.get(JOB_UID_ANNOTATION) == job)):
        owner = "another object" if existing.owners else "no known owner"
        raise NotOurs(wanted["kind"], existing.namespace, existing.name, owner)
