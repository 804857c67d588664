"""What a reconcile decides to do. `execute.py` carries it out: status first, then apply, patch, create, delete."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object to delete. `uid` is a precondition: another object of that name is left alone."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class EventNote:
    """An Event on the reconciled object, written on a transition only."""

    type: str
    """Normal or Warning."""
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision. Empty: nothing to do until something changes.

    status   the whole new status, or None when it is as it should be
    apply    objects for server-side apply, which may change again (model claims, services of servers, Deployments)
    patch    objects to merge into what is there, of the uid in their metadata: only the fields that they name change
    create   objects to POST once, the last one after the others (a Job after what its pods mount); AlreadyExists is adopted when
             we own it by uid
    delete   children to delete, in the background, gracefully
    requeue_after  seconds after which time alone may change the decision
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
