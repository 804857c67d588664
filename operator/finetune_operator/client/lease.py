"""Leader election with a Lease. One of several operators holds it and writes, the others stand by.

The holder considers its Lease valid for ten seconds from just before it sent the last successful renewal; the others wait for fifteen
seconds from when they observed it. Clocks of different machines are never compared.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import NoReturn

from finetune_operator.client.api import Api, Object
from finetune_operator.client.errors import AlreadyExists, ApiError, Conflict, NotFound
from finetune_operator.objects.resources import LEASES
from finetune_operator.settings import Settings
from finetune_operator.telemetry.metrics import LEADING

LOG = logging.getLogger(__name__)

DURATION = 15.0
RENEW_DEADLINE = 10.0
RETRY = 2.0
REQUEST_SECONDS = 5.0

# Continues while the machine is suspended, unlike CLOCK_MONOTONIC.
clock: Callable[[], float] = partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic


def exit_now(why: str) -> NoReturn:
    """Terminates the process without another request: another operator may be leading."""
    LOG.critical("no longer leading, terminating: %s", why)
    os._exit(1)


class Lease:
    """`acquire`, then `hold` until cancelled; `check` before every write; `release` on a regular shutdown."""

    def __init__(self, api: Api, settings: Settings, lost: Callable[[str], NoReturn] = exit_now) -> None:
        self._api = api
        self._lost = lost
        self._pod = settings.pod
        self._identity = settings.identity
        self._namespace, self._name = settings.lease_namespace, settings.lease_name
        self._path = LEASES.path(self._namespace, self._name)
        self._seen = ("", 0.0)
        """resourceVersion of the Lease, and when it was first observed."""
        self._valid_until = 0.0
        self.reachable = False
        """True when the last request for the Lease succeeded."""

    @property
    def held(self) -> bool:
        """Whether this process leads."""
        return self._valid_until > 0.0

    async def acquire(self) -> None:
        """Returns as soon as this process leads."""
        while not await self._tried():
            await asyncio.sleep(RETRY)
        LEADING.set(1)
        LOG.info("leading as %s", self._identity)

    async def hold(self) -> None:
        """Renews the Lease periodically; terminates the process when that has failed for too long."""
        while True:
            await asyncio.sleep(RETRY)
            await self._tried()
            self.check()

    def check(self) -> None:
        """Terminates the process when the Lease may have expired."""
        late = clock() - self._valid_until
        if late >= 0:
            self._lost(f"the lease {self._namespace}/{self._name} was not renewed in time ({late:.1f} s late)")

    async def release(self) -> None:
        """Clears the holder, so that a standby can lead immediately."""
        if clock() >= self._valid_until:
            return
        self._valid_until = 0.0
        LEADING.set(0)
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                lease = await self._api.get(self._path)
                if lease["spec"].get("holderIdentity") == self._identity:
                    lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
                    await self._api.replace(LEASES, lease)
        except (ApiError, TimeoutError) as error:
            LOG.warning("the lease could not be released, the next leader waits %.0f s: %s", DURATION, error)

    async def _tried(self) -> bool:
        before = clock()
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                held = await self._acquire_or_renew()
        except (ApiError, TimeoutError) as error:
            self.reachable = False
            LOG.warning("lease %s/%s: %s", self._namespace, self._name, error or "no response")
            return False
        self.reachable = True
        if held:
            self._valid_until = before + RENEW_DEADLINE
        return held

    async def _acquire_or_renew(self) -> bool:
        try:
            lease = await self._api.get(self._path)
        except NotFound:
            lease = {
                "apiVersion": LEASES.api_version, "kind": LEASES.kind,
                "metadata": {"name": self._name, "namespace": self._namespace}, "spec": {},
            }  # fmt: skip
            return await self._write(self._api.create, lease)
        if not self._may_take(lease):
            return False
        return await self._write(partial(self._api.replace, LEASES), lease)

    def _may_take(self, lease: Object) -> bool:
        holder = lease["spec"].get("holderIdentity") or ""
        if holder == self._identity:
            return True
        if self._valid_until:
            self._lost(f"{holder or 'no process'} holds the lease {self._namespace}/{self._name}")
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, clock())
        # An earlier container of the same pod has terminated, since this one runs.
        own_past = holder.rpartition("_")[0] == self._pod
        expired = clock() - self._seen[1] >= max(DURATION, lease["spec"].get("leaseDurationSeconds") or 0)
        return not holder or own_past or expired

    async def _write(self, send: Callable[[Object], Awaitable[Object]], lease: Object) -> bool:
        spec = lease["spec"]
        if spec.get("holderIdentity") != self._identity:
            spec |= {"acquireTime": _now(), "leaseTransitions": (spec.get("leaseTransitions") or 0) + 1}
        spec |= {"holderIdentity": self._identity, "leaseDurationSeconds": int(DURATION), "renewTime": _now()}
        try:
            await send(lease)
        except (AlreadyExists, Conflict, NotFound):
            return False
        return True


def _now() -> str:
    """As metav1.MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
