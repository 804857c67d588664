"""Slim, frozen copies of API objects: exactly what plans read.

Times are seconds since the epoch. A record of one of our kinds has the parsed spec, or `spec_error` when it cannot be parsed (with a CRD
older or newer than this operator).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_api.resources.finetuned_model import FineTunedModelSpec, FineTunedModelStatus
from finetune_api.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus

LOST_AFTER = 60.0
"""Seconds after its grace period; a pod that has not ended by then is on a lost node."""


@dataclass(frozen=True, slots=True)
class Meta:
    """Metadata of an object."""

    namespace: str
    name: str
    uid: str
    resource_version: int
    generation: int = 0
    created: float = 0.0
    deleting: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Only our own (finetune.dev/...)."""
    owners: frozenset[str] = frozenset()
    """uids of the owner references."""


@dataclass(frozen=True, slots=True)
class FineTuneJob:
    meta: Meta
    spec: FineTuneJobSpec | None
    status: FineTuneJobStatus
    spec_error: str = ""


@dataclass(frozen=True, slots=True)
class FineTunedModel:
    meta: Meta
    spec: FineTunedModelSpec | None
    status: FineTunedModelStatus
    spec_error: str = ""


@dataclass(frozen=True, slots=True)
class ModelDeployment:
    meta: Meta
    spec: ModelDeploymentSpec | None
    status: ModelDeploymentStatus
    spec_error: str = ""


CustomResource = FineTuneJob | FineTunedModel | ModelDeployment
"""An object of one of our kinds."""


@dataclass(frozen=True, slots=True)
class BatchJob:
    """A batch/v1 Job of ours."""

    meta: Meta
    succeeded: int = 0
    failed: int = 0
    suspended: bool = False
    complete: bool = False
    failure_reason: str = ""
    """Reason of condition Failed=True or FailureTarget=True (PodFailurePolicy, BackoffLimitExceeded, ...); empty otherwise."""
    failure_message: str = ""
    terminated: bool = False
    """True when condition Complete or Failed is True: all pods have ended."""
    started: float | None = None
    """status.startTime: when it was started or last resumed."""
    finished: float | None = None
    """When condition Complete or Failed became True."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a stage or of a server, with the state of its container."""

    meta: Meta
    phase: str = "Pending"
    node: str = ""
    ready: bool = False
    scheduled: bool = False
    scheduling_message: str = ""
    """Message of condition PodScheduled=False."""
    scheduled_at: float | None = None
    """When condition PodScheduled became True."""
    gone_by: float | None = None
    """metadata.deletionTimestamp: when its node should have terminated it."""
    disruption: str = ""
    """Reason of condition DisruptionTarget=True: PreemptionByScheduler, EvictionByEvictionAPI, DeletionByTaintManager, ..."""
    waiting_reason: str = ""
    """CrashLoopBackOff, ErrImagePull, CreateContainerConfigError, ContainerCreating, ..."""
    waiting_message: str = ""
    started: float | None = None
    exit_code: int | None = None
    """Of the container, when it has terminated, or of its last run, when it is waiting to be restarted."""
    finished: float | None = None
    """When the container terminated."""
    exit_reason: str = ""
    """OOMKilled, Error, Completed."""
    exit_message: str = ""
    """The termination message: a StageResult as JSON, or the tail of the log."""
    failure: str = ""
    """status.reason: Evicted, NodeLost, ..."""
    failure_message: str = ""

    @property
    def ended(self) -> bool:
        """True when no container of it runs any more."""
        return self.phase in ("Succeeded", "Failed")

    def lost(self, now: float) -> bool:
        """True when its node should have terminated it LOST_AFTER seconds ago: it is unknown whether it still writes."""
        return not self.ended and self.gone_by is not None and now > self.gone_by + LOST_AFTER


@dataclass(frozen=True, slots=True)
class Claim:
    """A PersistentVolumeClaim."""

    meta: Meta
    phase: str = "Pending"
    access_modes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Presence:
    """A ConfigMap or Service of ours, of which only the metadata is kept."""

    meta: Meta
    kind: str


@dataclass(frozen=True, slots=True)
class Workload:
    """An apps/v1 Deployment of ours."""

    meta: Meta
    observed_generation: int = 0
    replicas: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    spec_replicas: int = 0
    deadline: int = 600
    """spec.progressDeadlineSeconds."""
    progressing_reason: str = ""
    failure_message: str = ""
    """Message of condition ReplicaFailure=True (quota, admission)."""


@dataclass(frozen=True, slots=True)
class WarningEvent:
    """A Warning event about a child: FailedMount, FailedCreate, FailedScheduling, ProvisioningFailed, ..."""

    kind: str
    name: str
    reason: str
    message: str
    last_seen: float
