"""What a plan reads: a snapshot of the object, its children and the objects that it refers to. observe/observer.py gathers it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from finetune_api.progress import Progress
from finetune_api.run_config import GpuType
from finetune_operator.objects.names import POD_JOB_LABEL
from finetune_operator.objects.records import (
    BatchJob,
    Claim,
    FineTunedModel,
    FineTuneJob,
    Meta,
    ModelDeployment,
    Pod,
    WarningEvent,
    Workload,
)
from finetune_operator.settings import Settings


@dataclass(frozen=True, slots=True)
class ObservedJob:
    """One FineTuneJob."""

    job: FineTuneJob
    settings: Settings
    jobs: Mapping[str, BatchJob] = field(default_factory=dict)
    """Jobs with the label of this FineTuneJob, by name; possibly also those of a deleted FineTuneJob with the same name."""
    pods: tuple[Pod, ...] = ()
    """Pods of the stage Jobs; their label batch.kubernetes.io/job-name names the Job."""
    applied: frozenset[str] = frozenset()
    """ConfigMaps and Services that exist and belong to the job: "ConfigMap/name", "Service/name"."""
    claims: Mapping[str, Claim] = field(default_factory=dict)
    """Claims with the label of this FineTuneJob, by name: workspace and model volume; possibly also those of a deleted namesake."""
    output_model: FineTunedModel | None = None
    base_model: FineTunedModel | None = None
    rivals: tuple[FineTuneJob, ...] = ()
    """Other unfinished jobs that create a model with the same name."""
    progress: Progress | None = None
    """The running stage's newest progress line."""
    log_tail: tuple[str, ...] = ()
    """Last log lines of the running or failed rank 0, without progress lines."""
    warnings: tuple[WarningEvent, ...] = ()
    """Recent Warning events about children that have not started."""
    gpu_nodes: tuple[GpuType, ...] = ()
    """GPUs of the nodes that the training may run on, from node labels; read until the run config is written."""
    refusal: WarningEvent | None = None
    """The child that the API server refused last, with its message. Reason: Refused (quota, admission policy, RBAC, invalid) or NotOurs
    (an object with that name has another owner). Retried with back-off."""
    service: Meta | None = None
    """The headless Service of the training, if it exists and belongs to the job."""


@dataclass(frozen=True, slots=True)
class ObservedModel:
    """One FineTunedModel."""

    model: FineTunedModel
    settings: Settings
    jobs: Mapping[str, BatchJob] = field(default_factory=dict)
    """Inspect Jobs with the label of the model, by name; possibly also those of a deleted model with the same name."""
    pods: tuple[Pod, ...] = ()
    deployments: tuple[ModelDeployment, ...] = ()
    """In the same namespace, with the model in spec or status.serving."""
    tuning: tuple[FineTuneJob, ...] = ()
    """Unfinished FineTuneJobs whose base it is."""
    derived: tuple[FineTunedModel, ...] = ()
    """Models whose base it is."""
    maker: FineTuneJob | None = None
    """The job that created it, if it still exists."""
    claim_absent: bool = False
    """True when a read showed that the claim of spec.source does not exist."""
    warnings: tuple[WarningEvent, ...] = ()
    refusal: WarningEvent | None = None
    """The child that the API server refused last, with its message. Reason: Refused (quota, admission policy, RBAC, invalid) or NotOurs
    (an object with that name has another owner). Retried with back-off."""


@dataclass(frozen=True, slots=True)
class ObservedDeployment:
    """One ModelDeployment."""

    deployment: ModelDeployment
    settings: Settings
    model: FineTunedModel | None = None
    model_claim: Claim | None = None
    workload: Workload | None = None
    service_exists: bool = False
    pods: tuple[Pod, ...] = ()
    foreign: str = ""
    """A Deployment or Service with the needed name that has another owner: "Service/support-bot"; else empty."""
    warnings: tuple[WarningEvent, ...] = ()
    refusal: WarningEvent | None = None
    """The child that the API server refused last, with its message. Reason: Refused (quota, admission policy, RBAC, invalid) or NotOurs
    (an object with that name has another owner). Retried with back-off."""


def pods_of_job(pods: Sequence[Pod], name: str, uid: str | None) -> tuple[Pod, ...]:
    """The pods of a Job, without those of a deleted Job with the same name, which may not have been collected yet."""
    named = (pod for pod in pods if pod.meta.labels.get(POD_JOB_LABEL) == name)
    return tuple(pod for pod in named if uid is None or not pod.meta.owners or uid in pod.meta.owners)
