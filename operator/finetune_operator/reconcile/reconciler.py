"""The loop of a worker: observe, plan, execute, until there is nothing left to do. The same for all kinds."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from finetune_operator.client.errors import ApiError, Conflict, NotOurs
from finetune_operator.objects.cache import Key
from finetune_operator.objects.records import CustomResource
from finetune_operator.observe.observer import NotYet, Refusals
from finetune_operator.plan.common.plan import Plan
from finetune_operator.reconcile.execute import Executor
from finetune_operator.reconcile.queue import Queue
from finetune_operator.telemetry import logs
from finetune_operator.telemetry.metrics import RECONCILE_SECONDS, RECONCILES

LOG = logging.getLogger(__name__)

NAME_TAKEN_RETRY = 3.0
"""Seconds. Usually it is a child of a deleted object with the same name, which is about to be garbage-collected."""
NOT_YET_SECONDS = 5.0
"""A finished read queues the key; this is for a read that never finishes."""
ROUNDS = 12
"""A plan that still acts after this many rounds does not observe its own effects."""


@dataclass(frozen=True, slots=True)
class Controller:
    """The functions for one of our kinds."""

    observe: Callable[[Key, float], Awaitable[Any]]
    """From the key and the time; None when there is nothing to do."""
    plan: Callable[[Any, float], Plan]
    target: Callable[[Any], CustomResource]
    """The object itself, in what was observed."""


class Unsettled(Exception):
    """A reconcile did not end."""


class Reconciler:
    """Run `work` in any number of tasks."""

    def __init__(self, controllers: Mapping[str, Controller], executor: Executor, queue: Queue[Key], refusals: Refusals) -> None:
        self._controllers = controllers
        self._executor = executor
        self._queue = queue
        self._refusals = refusals

    async def work(self) -> None:
        """Reconciles keys from the queue until cancelled."""
        while True:
            key = await self._queue.get()
            with logs.context(key=str(key)), RECONCILE_SECONDS.labels(key.kind).time():
                settled = await self._settled(key)
            RECONCILES.labels(key.kind, "settled" if settled else "failed").inc()

    async def _settled(self, key: Key) -> bool:
        """One reconcile. Any failure affects this object only, and is retried."""
        try:
            wait = await self._reconcile(key)
        except NotYet:
            wait = NOT_YET_SECONDS
        except NotOurs as error:
            LOG.warning("retrying in %.1f s: %s", NAME_TAKEN_RETRY, error)
            self._queue.done(key)
            self._queue.add_after(key, NAME_TAKEN_RETRY)
            return False
        except (ApiError, Unsettled) as error:
            LOG.warning("retrying in %.1f s: %s", self._queue.failed(key), error)
            return False
        except Exception:
            LOG.exception("internal error, retrying in %.1f s", self._queue.failed(key))
            return False
        self._queue.done(key)
        if wait is not None:
            self._queue.add_after(key, wait)
        return True

    async def _reconcile(self, key: Key) -> float | None:
        """Returns the seconds after which the passing of time may change the decision."""
        controller = self._controllers[key.kind]
        for _ in range(ROUNDS):
            now = time.time()
            observed = await controller.observe(key, now)
            if observed is None:
                self._refusals.pop(key, None)
                return None
            target = controller.target(observed)
            plan = controller.plan(observed, now)
            if not plan.acts and not plan.events:
                return plan.requeue_after
            with logs.context(generation=target.meta.generation):
                try:
                    await self._executor.carry_out(plan, target)
                except Conflict as error:
                    LOG.debug("planned from a stale state: %s", error)
            if not plan.acts:
                return plan.requeue_after
        raise Unsettled(f"the plan still acts after {ROUNDS} rounds: {_shown(plan)}")


def _shown(plan: Plan) -> str:
    """What a plan does, on one line."""
    applied, created = (
        [f"{obj['kind']}/{obj['metadata']['name']}" for obj in objects] for objects in ((*plan.apply, *plan.patch), plan.create)
    )
    deleted = [f"{ref.kind}/{ref.name}" for ref in plan.delete]
    return f"status: {plan.status is not None}, apply: {applied}, create: {created}, delete: {deleted}"
