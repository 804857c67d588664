"""The loop: observe, plan, carry out, until there is nothing more to do; one object at a time per worker. Knows no kind's meaning."""

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
"""Seconds. Mostly it is a child of a deleted object of the same name that the garbage collector takes in a moment."""
NOT_YET_SECONDS = 5.0
"""What is being read wakes the object; this is for a reading that never ends."""
ROUNDS = 12
"""A plan that still finds something to do after so many rounds does not see what it does."""


@dataclass(frozen=True, slots=True)
class Controller:
    """How one of our kinds is reconciled."""

    observe: Callable[[Key, float], Awaitable[Any]]
    """Takes the key and the time; None when there is nothing to do for it."""
    plan: Callable[[Any, float], Plan]
    target: Callable[[Any], CustomResource]
    """The object itself in what was observed."""


class Unsettled(Exception):
    """A reconcile did not come to an end."""


class Reconciler:
    """`work` in any number of tasks."""

    def __init__(self, controllers: Mapping[str, Controller], executor: Executor, queue: Queue[Key], refusals: Refusals) -> None:
        self._controllers = controllers
        self._executor = executor
        self._queue = queue
        self._refusals = refusals

    async def work(self) -> None:
        """Takes keys from the queue for ever."""
        while True:
            key = await self._queue.get()
            with logs.context(key=str(key)), RECONCILE_SECONDS.labels(key.kind).time():
                settled = await self._settled(key)
            RECONCILES.labels(key.kind, "settled" if settled else "failed").inc()

    async def _settled(self, key: Key) -> bool:
        """One reconcile; a failure of whatever kind concerns this object only, and is tried again."""
        try:
            wait = await self._reconcile(key)
        except NotYet:
            wait = NOT_YET_SECONDS
        except NotOurs as error:
            LOG.warning("next try in %.1f s: %s", NAME_TAKEN_RETRY, error)
            self._queue.done(key)
            self._queue.add_after(key, NAME_TAKEN_RETRY)
            return False
        except (ApiError, Unsettled) as error:
            LOG.warning("next try in %.1f s: %s", self._queue.failed(key), error)
            return False
        except Exception:
            LOG.exception("a fault of the operator, next try in %.1f s", self._queue.failed(key))
            return False
        self._queue.done(key)
        if wait is not None:
            self._queue.add_after(key, wait)
        return True

    async def _reconcile(self, key: Key) -> float | None:
        """Returns after how many seconds time alone may change the decision."""
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
                    LOG.debug("planned from an old state: %s", error)
            if not plan.acts:
                return plan.requeue_after
        raise Unsettled(f"the plan still acts after {ROUNDS} rounds: {_shown(plan)}")


def _shown(plan: Plan) -> str:
    """What a plan does, in a line."""
    applied, created = (
        [f"{obj['kind']}/{obj['metadata']['name']}" for obj in objects] for objects in ((*plan.apply, *plan.patch), plan.create)
    )
    deleted = [f"{ref.kind}/{ref.name}" for ref in plan.delete]
    return f"status: {plan.status is not None}, apply: {applied}, create: {created}, delete: {deleted}"
