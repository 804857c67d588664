"""What a reconcile sees: one snapshot of the object, its children and what it refers to. Gathered by `observe.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from finetune_api.progress import Progress
from finetune_api.run_config import GpuType
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
    """Everything about one FineTuneJob."""

    job: FineTuneJob
    settings: Settings
    jobs: Mapping[str, BatchJob] = field(default_factory=dict)
    """The Jobs with the label of this FineTuneJob by name; those of an earlier one of its name may be among them."""
    pods: tuple[Pod, ...] = ()
    """Pods of the stage Jobs; label batch.kubernetes.io/job-name tells of which."""
    applied: frozenset[str] = frozenset()
    """Config maps and Services that exist and are ours: "ConfigMap/name", "Service/name"."""
    claims: Mapping[str, Claim] = field(default_factory=dict)
    """Claims with the label of this FineTuneJob by name: workspace and model volume; an earlier one's may be among them."""
    output_model: FineTunedModel | None = None
    base_model: FineTunedModel | None = None
    rivals: tuple[FineTuneJob, ...] = ()
    """Other jobs that are not over and make a model of the same name."""
    progress: Progress | None = None
    """The running stage's newest progress line."""
    log_tail: tuple[str, ...] = ()
    """Last log lines of a failed or the running rank 0, without progress lines."""
    warnings: tuple[WarningEvent, ...] = ()
    """Newest Warning events about the children that do not come up."""
    gpu_nodes: tuple[GpuType, ...] = ()
    """Nodes that the training may run on, as far as they say what GPUs they have; read until the run config is written."""
    refusal: WarningEvent | None = None
    """The child that the API server would not take at the last try, and its words: reason Refused (quota, admission policy, RBAC,
    invalid) or NotOurs (an object of that name belongs to somebody else). It is tried again with back-off."""
    service: Meta | None = None
    """The headless Service of the training, when it is there and ours."""


@dataclass(frozen=True, slots=True)
class ObservedModel:
    """Everything about one FineTunedModel."""

    model: FineTunedModel
    settings: Settings
    jobs: Mapping[str, BatchJob] = field(default_factory=dict)
    """Inspect Jobs with its label by name; those of an earlier model of its name may be among them."""
    pods: tuple[Pod, ...] = ()
    deployments: tuple[ModelDeployment, ...] = ()
    """Of the same namespace, that name it in spec or status.serving."""
    tuning: tuple[FineTuneJob, ...] = ()
    """Unfinished FineTuneJobs whose base it is."""
    derived: tuple[FineTunedModel, ...] = ()
    """Models whose spec.base names it."""
    maker: FineTuneJob | None = None
    """The job that made it, while that is there."""
    claim_absent: bool = False
    """A read found that the claim of spec.source does not exist."""
    warnings: tuple[WarningEvent, ...] = ()
    refusal: WarningEvent | None = None
    """The child that the API server would not take at the last try, and its words: reason Refused (quota, admission policy, RBAC,
    invalid) or NotOurs (an object of that name belongs to somebody else). It is tried again with back-off."""


@dataclass(frozen=True, slots=True)
class ObservedDeployment:
    """Everything about one ModelDeployment."""

    deployment: ModelDeployment
    settings: Settings
    model: FineTunedModel | None = None
    model_claim: Claim | None = None
    workload: Workload | None = None
    service_exists: bool = False
    pods: tuple[Pod, ...] = ()
    foreign: str = ""
    """Name of a Deployment or Service in our way that is not ours: "Service/support-bot", else empty."""
    warnings: tuple[WarningEvent, ...] = ()
    refusal: WarningEvent | None = None
    """The child that the API server would not take at the last try, and its words: reason Refused (quota, admission policy, RBAC,
    invalid) or NotOurs (an object of that name belongs to somebody else). It is tried again with back-off."""
