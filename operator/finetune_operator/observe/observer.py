"""Gathers what a plan reads about an object, from the cache and from a few reads on demand. Decides nothing."""

from collections.abc import Callable, Iterable, Sequence

from finetune_api.resources.finetune_job import output_name
from finetune_api.run_config import GpuType
from finetune_operator.listen.warning_events import WarningEvents
from finetune_operator.objects.cache import FINISHED, Cache, Key, Keys
from finetune_operator.objects.names import DEPLOYMENT_LABEL, POD_JOB_LABEL, run_config_map
from finetune_operator.objects.records import (
    BatchJob,
    Claim,
    FineTunedModel,
    FineTuneJob,
    Meta,
    ModelDeployment,
    Pod,
    Presence,
    WarningEvent,
    Workload,
)
from finetune_operator.objects.resources import CONFIG_MAPS, DEPLOYMENTS, SERVICES, Resource
from finetune_operator.observe.reads import Reads
from finetune_operator.observe.stage_logs import LogTail, StageLogs
from finetune_operator.plan.common.models import made_by
from finetune_operator.plan.common.observed import ObservedDeployment, ObservedJob, ObservedModel
from finetune_operator.settings import Settings

PATIENCE_SECONDS = 10.0
"""Events are read for children that have not started within this time."""
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"

Refusals = dict[Key, WarningEvent]
"""Our objects for which the API server refused a child, and its message."""


class NotYet(Exception):
    """Data that the decision needs is still being read. The key is queued again when it is available."""


class Observer:
    """One method for each of our kinds; they return None when the object does not exist or is being deleted."""

    def __init__(
        self,
        cache: Cache,
        reads: Reads,
        logs: StageLogs,
        events: WarningEvents,
        refusals: Refusals,
        settings: Callable[[], Settings],
        wake: Callable[[Keys], None],
    ) -> None:
        self._cache = cache
        self._reads = reads
        self._logs = logs
        self._events = events
        self._wake = wake
        self._refusals = refusals
        self._settings = settings

    async def job(self, key: Key, now: float) -> ObservedJob | None:
        """A FineTuneJob, its stage Jobs, their pods and logs, its volumes and models. Raises NotYet."""
        job = self._cache.get(FineTuneJob, key.namespace, key.name)
        if job is None or job.meta.deleting:
            return None
        base = job.spec.base.fine_tuned_model if job.spec else None
        output = _makes(job)
        jobs = self._cache.children(key, BatchJob)
        claims = self._cache.children(key, Claim)
        present = [found for found in self._cache.children(key, Presence) if job.meta.uid in found.meta.owners]
        pods = tuple(self._cache.children(key, Pod))
        applied = frozenset(f"{found.kind}/{found.meta.name}" for found in present)
        at_work = job.status.phase not in FINISHED
        tail = self._tail(key, pods, now) if at_work else LogTail()
        return ObservedJob(
            job,
            self._settings(),
            jobs={found.meta.name: found for found in jobs},
            pods=pods,
            applied=applied,
            service=next((found.meta for found in present if found.kind == SERVICES.kind), None),
            claims={claim.meta.name: claim for claim in claims},
            output_model=self._model(key.namespace, output),
            rivals=tuple(other for other in self._cache.users(key.namespace, output, FineTuneJob) if _rivals(other, job)),
            base_model=self._model(key.namespace, base.name if base else ""),
            progress=tail.progress,
            log_tail=tail.lines,
            warnings=self._warnings(_stuck(now, jobs, pods, claims)) if at_work else (),
            gpu_nodes=await self._gpu_nodes(job, applied) if at_work else (),
            refusal=self._refusals.get(key),
        )

    async def model(self, key: Key, now: float) -> ObservedModel | None:
        """A FineTunedModel, its inspect Jobs, and who uses it."""
        model = self._model(key.namespace, key.name)
        if model is None or model.meta.deleting:
            return None
        jobs = self._cache.children(key, BatchJob)
        pods = tuple(pod for pod in self._cache.children(key, Pod) if DEPLOYMENT_LABEL not in pod.meta.labels)
        named_by = self._cache.users(key.namespace, key.name, FineTuneJob)
        claim = model.spec.source.claim.name if model.spec else ""
        jobs_on_it = self._cache.on_claim(key.namespace, claim, FineTuneJob)
        models_on_it = self._cache.on_claim(key.namespace, claim, FineTunedModel)
        derived = {other.meta.name: other for other in self._cache.users(key.namespace, key.name, FineTunedModel)}
        derived |= {other.meta.name: other for other in models_on_it if _starts_from_files(other, model)}
        return ObservedModel(
            model,
            self._settings(),
            jobs={found.meta.name: found for found in jobs},
            pods=pods,
            deployments=tuple(self._cache.users(key.namespace, key.name, ModelDeployment)),
            tuning=(
                *(job for job in named_by if _tunes(job, key.name)),
                *(job for job in jobs_on_it if job.status.phase not in FINISHED and _starts_from_files(job, model)),
            ),
            derived=tuple(other for name, other in sorted(derived.items()) if name != key.name),
            maker=next((job for job in named_by if made_by(model, job.meta.uid)), None),
            claim_absent=await self._claim_absent(model),
            warnings=self._warnings(_stuck(now, jobs, pods, ())),
            refusal=self._refusals.get(key),
        )

    async def deployment(self, key: Key, now: float) -> ObservedDeployment | None:
        """A ModelDeployment, its Deployment, Service and pods, and the model to serve."""
        deployment = self._cache.get(ModelDeployment, key.namespace, key.name)
        if deployment is None or deployment.meta.deleting:
            return None
        uid = deployment.meta.uid
        model = self._model(key.namespace, deployment.spec.model.name if deployment.spec else "")
        workload = next((found for found in self._cache.children(key, Workload) if uid in found.meta.owners), None)
        service = any(found.kind == SERVICES.kind and uid in found.meta.owners for found in self._cache.children(key, Presence))
        pods = tuple(self._cache.children(key, Pod))
        return ObservedDeployment(
            deployment,
            self._settings(),
            model=model,
            model_claim=await self._model_claim(model),
            workload=workload,
            service_exists=service,
            pods=pods,
            foreign=await self._foreign(deployment.meta, [] if workload else [DEPLOYMENTS], [] if service else [SERVICES]),
            warnings=self._warnings(_stuck(now, (), pods, ())) + self._replica_warnings(workload, now),
            refusal=self._refusals.get(key),
        )

    def _model(self, namespace: str, name: str) -> FineTunedModel | None:
        return self._cache.get(FineTunedModel, namespace, name)

    async def _gpu_nodes(self, job: FineTuneJob, applied: frozenset[str]) -> tuple[GpuType, ...]:
        """Only until the run config is written."""
        training = job.spec.training if job.spec else None
        if training is None or not training.gpus_per_node or f"{CONFIG_MAPS.kind}/{run_config_map(job.meta.name)}" in applied:
            return ()
        return await self._reads.gpu_nodes(training.gpu_resource_name, training.pod.node_selector)

    async def _model_claim(self, model: FineTunedModel | None) -> Claim | None:
        if model is None or model.spec is None:
            return None
        namespace, name = model.meta.namespace, model.spec.source.claim.name
        return self._cache.get(Claim, namespace, name) or await self._reads.claim(namespace, name)

    async def _claim_absent(self, model: FineTunedModel) -> bool:
        if model.spec is None or self._cache.get(Claim, model.meta.namespace, model.spec.source.claim.name):
            return False
        return await self._reads.claim_absent(model.meta.namespace, model.spec.source.claim.name)

    async def _foreign(self, owner: Meta, *missing: Sequence[Resource]) -> str:
        """An object with the name of a missing child and another owner."""
        for resource in (resource for resources in missing for resource in resources):
            found = await self._reads.existing(resource, owner.namespace, owner.name)
            if found is not None and owner.uid not in found.owners:
                return f"{resource.kind}/{owner.name}"
        return ""

    def _tail(self, key: Key, pods: Iterable[Pod], now: float) -> LogTail:
        """The log tail of the running rank 0, or of a failed pod."""
        pod = _logged_pod(pods)
        tail = self._logs.tail(pod, now, lambda: self._wake({key})) if pod else LogTail()
        if tail is None:
            raise NotYet
        return tail

    def _warnings(self, stuck: Iterable[Meta]) -> tuple[WarningEvent, ...]:
        return tuple(event for about in stuck for event in self._events.about(about.uid))

    def _replica_warnings(self, workload: Workload | None, now: float) -> tuple[WarningEvent, ...]:
        """Refused pods of a Deployment appear only in the events of its ReplicaSet."""
        if workload is None or workload.replicas >= workload.spec_replicas or now - workload.meta.created < PATIENCE_SECONDS:
            return ()
        return self._events.about(workload.meta.uid)


def _stuck(now: float, jobs: Iterable[BatchJob], pods: Sequence[Pod], claims: Iterable[Claim]) -> list[Meta]:
    """Children that have not started in time: pods, Jobs without pods, claims without a volume."""
    with_pods = {pod.meta.labels.get(POD_JOB_LABEL) for pod in pods}
    waiting = [pod.meta for pod in pods if not pod.ready and pod.phase in ("Pending", "Running")]
    waiting += [job.meta for job in jobs if not (job.terminated or job.suspended or job.meta.name in with_pods)]
    waiting += [claim.meta for claim in claims if claim.phase == "Pending"]
    return [about for about in waiting if now - about.created > PATIENCE_SECONDS and not about.deleting]


def _logged_pod(pods: Iterable[Pod]) -> Pod | None:
    """The newest running pod of rank 0, or else the newest failed pod."""
    newest = sorted(pods, key=lambda pod: -pod.meta.created)
    running = [pod for pod in newest if pod.phase == "Running" and pod.meta.labels.get(INDEX_LABEL, "0") == "0"]
    failed = [pod for pod in newest if pod.phase == "Failed"]
    return next(iter(running or failed), None)


def _makes(job: FineTuneJob) -> str:
    """Name of the model that a job creates."""
    return job.status.model or (output_name(job.meta.name, job.spec) if job.spec else "")


def _rivals(other: FineTuneJob, job: FineTuneJob) -> bool:
    at_work = other.spec is not None and other.status.phase not in FINISHED and not other.meta.deleting
    return at_work and other.meta.uid != job.meta.uid and _makes(other) == _makes(job)


def _starts_from_files(user: FineTuneJob | FineTunedModel, model: FineTunedModel) -> bool:
    """True when its base is a path in the folder of the model."""
    if user.spec is None or model.spec is None:
        return False
    claim = model.spec.source.claim
    folder = f"pvc://{claim.name}/{claim.path.strip('/')}".rstrip("/")
    return f"{user.spec.base.source or ''}/".startswith(f"{folder}/")


def _tunes(job: FineTuneJob, model: str) -> bool:
    base = job.spec.base.fine_tuned_model if job.spec else None
    return base is not None and base.name == model and job.status.phase not in FINISHED
