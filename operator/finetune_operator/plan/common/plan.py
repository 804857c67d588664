"""What a plan consists of. reconcile/execute.py carries it out: status first, then apply, patch, create, delete."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from finetune_operator.objects.records import BatchJob, Meta


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object to delete. `uid` is a precondition: another object with that name is not touched."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


def job_ref(batch: BatchJob) -> ObjectRef:
    """A batch Job to delete."""
    return ObjectRef("batch/v1", "Job", batch.meta.namespace, batch.meta.name, batch.meta.uid)


def core_ref(kind: str, meta: Meta) -> ObjectRef:
    """An object of the core group to delete."""
    return ObjectRef("v1", kind, meta.namespace, meta.name, meta.uid)


@dataclass(frozen=True, slots=True)
class EventNote:
    """An Event on the reconciled object; written on transitions only."""

    type: str
    """Normal or Warning."""
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision. Empty: nothing to do until something changes.

    status         the whole new status, or None when it does not change
    apply          objects for server-side apply, which may change later (model claims, Services of servers, Deployments)
    patch          merge patches of existing objects with the uid in their metadata
    create         objects to POST once, the last one after the others (a Job after what its pods mount); on AlreadyExists the object is
                   adopted if its owner has the right uid
    delete         children to delete gracefully, in the background
    requeue_after  seconds after which the passing of time may change the decision
    """

    status: BaseModel | None = None
    apply: tuple[dict[str, Any], ...] = ()
    patch: tuple[dict[str, Any], ...] = ()
    create: tuple[dict[str, Any], ...] = ()
    delete: tuple[ObjectRef, ...] = ()
    events: tuple[EventNote, ...] = ()
    requeue_after: float | None = None

    @property
    def acts(self) -> bool:
        """True when carrying it out changes something."""
        return bool(self.status is not None or self.apply or self.patch or self.create or self.delete)
