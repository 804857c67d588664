"""The process: waits for the Lease, fills the cache, then watches and reconciles until SIGTERM or until a watch fails permanently."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

from finetune_operator.client.api import Api, Object
from finetune_operator.client.connection import Connection, connect
from finetune_operator.client.lease import Lease
from finetune_operator.listen.edge import Edge
from finetune_operator.listen.guard import guard_installed
from finetune_operator.listen.installed import watch_installed
from finetune_operator.listen.kueue import kueue_installed
from finetune_operator.listen.scope import Scope
from finetune_operator.listen.warning_events import WarningEvents
from finetune_operator.listen.watches import Watches
from finetune_operator.objects.cache import Cache, Key, Keys, identity
from finetune_operator.objects.parse import readable
from finetune_operator.objects.records import FineTuneJob
from finetune_operator.objects.resources import FINETUNE_JOBS, FINETUNED_MODELS, MODEL_DEPLOYMENTS, OURS, Resource
from finetune_operator.observe.observer import Observer, Refusals
from finetune_operator.observe.reads import Reads
from finetune_operator.observe.stage_logs import StageLogs
from finetune_operator.reconcile.announce import Announcer
from finetune_operator.reconcile.execute import Executor
from finetune_operator.reconcile.queue import Queue
from finetune_operator.reconcile.reconciler import Controller, Reconciler
from finetune_operator.settings import Settings
from finetune_operator.telemetry.metrics import REGISTRY, Snapshot
from finetune_operator.telemetry.probes import serve

LOG = logging.getLogger(__name__)

Plans = Mapping[str, Callable[[Any, float], Any]]
"""The plan function of each kind."""


class Operator:
    """Everything that only the leader has: cache, queue, reflectors, workers."""

    def __init__(self, api: Api, connection: Connection, settings: Settings, plans: Plans) -> None:
        self._api = api
        self._settings = settings
        self._cache = Cache()
        self._queue: Queue[Key] = Queue()
        refusals: Refusals = {}
        self._events = WarningEvents(api, self._cache, self._wake)
        observer = Observer(self._cache, Reads(api), StageLogs(api), self._events, refusals, lambda: self._settings, self._wake)
        self._announcer = Announcer(api, settings.pod)
        executor = Executor(api, self._cache, refusals, self._wake, self._announcer.say)
        controllers = {
            FINETUNE_JOBS.kind: Controller(observer.job, plans[FINETUNE_JOBS.kind], lambda seen: seen.job),
            FINETUNED_MODELS.kind: Controller(observer.model, plans[FINETUNED_MODELS.kind], lambda seen: seen.model),
            MODEL_DEPLOYMENTS.kind: Controller(observer.deployment, plans[MODEL_DEPLOYMENTS.kind], lambda seen: seen.deployment),
        }
        self._reconciler = Reconciler(controllers, executor, self._queue, refusals)
        self._watches = Watches()
        self._scopes = [Scope(api, scope, self._cache, self._wake, self._watches) for scope in settings.scopes]
        self._edge = Edge(connection, self._seen, self._relist, self._watches)
        self._unserved = set(settings.namespaces)
        """Namespaces that have not been listed completely: nothing in them is reconciled."""
        self._primed = False
        """True when at least one namespace has been listed completely."""

    @property
    def ready(self) -> bool:
        """True when everything has been listed and every watch is connected: the cache is up to date."""
        return self._primed and not self._watches.dead()

    async def run(self, renewing: Coroutine[Any, Any, None]) -> None:
        """Works until it is cancelled. Raises when any of its tasks fails, so that the process is restarted."""
        async with asyncio.TaskGroup() as group:
            group.create_task(renewing, name="lease")
            await self._prime()
            for task in self._tasks():
                group.create_task(task)

    async def _prime(self) -> None:
        """Lists everything before anything is reconciled: with an incomplete cache, existing children would be created again."""
        primed = [scope.namespace for scope in self._scopes if await scope.prime()]
        self._guard_found(await guard_installed(self._api))
        self._kueue_found(await kueue_installed(self._api))
        REGISTRY.register(Snapshot(lambda: len(self._queue), self._phases, lambda: len(self._watches.dead())))
        for namespace in primed:
            self._serve(namespace)

    def _serve(self, namespace: str | None) -> None:
        """Starts to reconcile the objects in a namespace, or in all."""
        self._unserved.discard(namespace or "")
        self._edge.serve(namespace)
        self._wake({key for ours in OURS for key in self._cache.keys(ours.kind) if namespace in (None, key.namespace)})
        self._primed = True
        LOG.info("watching %s", namespace or "all namespaces")

    def _tasks(self) -> list[Coroutine[Any, Any, None]]:
        return [
            *(self._reconciler.work() for _ in range(self._settings.workers)),
            *(scope.run(self._serve) for scope in self._scopes),
            *(self._events.watch(scope) for scope in self._settings.scopes),
            self._announcer.run(),
            self._edge.run(),
            watch_installed(lambda: guard_installed(self._api), self._guard_found, self._settings.guard_installed),
            watch_installed(lambda: kueue_installed(self._api), self._kueue_found, self._settings.kueue_installed),
        ]

    def _wake(self, keys: Keys) -> None:
        for key in keys:
            if key.namespace not in self._unserved:
                self._queue.add(key)

    async def _relist(self) -> None:
        """Lists our own kinds in all watched namespaces: removes what was deleted while a watch was disconnected."""
        for scope in self._scopes:
            await scope.relist()

    def _seen(self, resource: Resource, raw: Object, deleted: bool) -> None:
        """Called by the edge for each event."""
        key, uid, version = identity(resource, raw)
        if deleted:
            self._wake(self._cache.remove(key, uid, version))
        elif not self._cache.knows(key, version) and (record := readable(resource, raw)):
            self._wake(self._cache.put(record))

    def _guard_found(self, installed: bool) -> None:
        self._settings = replace(self._settings, guard_installed=installed)
        self._wake(self._cache.keys(FINETUNED_MODELS.kind))

    def _kueue_found(self, installed: bool) -> None:
        self._settings = replace(self._settings, kueue_installed=installed)
        self._wake(self._cache.keys(FINETUNE_JOBS.kind))

    def _phases(self) -> Mapping[str, int]:
        phases: dict[str, int] = {}
        for job in self._cache.all(FineTuneJob):
            phase = job.status.phase or "Pending"
            phases[phase] = phases.get(phase, 0) + 1
        return phases


async def run(settings: Settings, plans: Plans) -> None:
    """Runs the process. Returns after SIGTERM or SIGINT; raises errors that it cannot recover from."""
    connection = await connect()
    async with Api(connection) as lease_api:
        lease = Lease(lease_api, settings)
        async with Api(connection, before_write=lease.check) as api:
            operator = Operator(api, connection, settings, plans)
            life = asyncio.create_task(_lead(lease, operator))
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, life.cancel)
            probes = await serve(settings.http_port, lambda: operator.ready or (lease.reachable and not lease.held))
            try:
                with contextlib.suppress(asyncio.CancelledError):
                    await life
                LOG.info("terminating")
            finally:
                await lease.release()
                await probes.cleanup()


async def _lead(lease: Lease, operator: Operator) -> None:
    await lease.acquire()
    await operator.run(lease.hold())
