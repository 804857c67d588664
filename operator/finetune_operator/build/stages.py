"""The three stages of a FineTuneJob: everything that differs between them, one row each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from finetune_api.resources.common import PodSettings, Resources
from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.finetune_job_status import Phase, StageName
from finetune_operator.build.placement import beside_training, within_reach_of_training
from finetune_operator.build.pod import DEFAULT_REQUESTS

PREPARE_MEMORY = "8Gi"
"""Many times what prepare needed for the largest datasets that were measured."""


@dataclass(frozen=True, slots=True)
class StageDefinition:
    """One stage: how its Job is built, and how the status shows it."""

    field: str
    """The spec field that configures it."""
    phase: Phase
    """While its pods run."""
    reason: str
    """While its pods run."""
    message: str
    """While its pods run."""
    pod: Callable[[FineTuneJobSpec], PodSettings]
    resources: Callable[[FineTuneJobSpec], Resources]
    placement: Callable[[PodSettings, FineTuneJobSpec], PodSettings] = beside_training
    pods: Callable[[FineTuneJobSpec], int] = lambda _: 1
    gpus_per_pod: Callable[[FineTuneJobSpec], int] = lambda _: 0
    grace_seconds: int = 30
    distributed: bool = False
    """Its pods are ranks that find each other through a headless Service."""
    reads_sources: bool = False
    """Its pod mounts the rows and has the credentials of all sources. A base model on a claim is mounted by every stage."""
    tracked: bool = False
    """Its pod has the credentials of the trackers."""
    starts_untracked: bool = False
    """Its pod starts even if a Secret is missing that is not worth a finished training: a tracker's, or that of the checkpoints' store."""
    writes_model: bool = False
    """Its pod mounts the model volume."""

    def gpus(self, spec: FineTuneJobSpec) -> int:
        """GPUs that an attempt holds."""
        return self.pods(spec) * self.gpus_per_pod(spec)


def with_memory_limit(resources: Resources) -> Resources:
    """prepare parses files of unknown origin: unless the spec names memory, a limit protects the node from a malicious or broken file."""
    if "memory" in resources.requests or "memory" in resources.limits:
        return resources
    requests = {**resources.requests, "memory": DEFAULT_REQUESTS["memory"]}  # a limit without a request would become the request
    return resources.model_copy(update={"requests": requests, "limits": {**resources.limits, "memory": PREPARE_MEMORY}})


STAGES: Mapping[StageName, StageDefinition] = {
    "prepare": StageDefinition(
        field="preparation",
        phase="Validating",
        reason="Preparing",
        message="reading, validating and tokenizing the rows",
        pod=lambda spec: spec.preparation.pod,
        resources=lambda spec: with_memory_limit(spec.preparation.resources),
        placement=within_reach_of_training,
        reads_sources=True,
    ),
    "train": StageDefinition(
        field="training",
        phase="Training",
        reason="Training",
        message="training",
        pod=lambda spec: spec.training.pod,
        resources=lambda spec: spec.training.resources,
        pods=lambda spec: spec.training.nodes,
        gpus_per_pod=lambda spec: spec.training.gpus_per_node,
        grace_seconds=120,  # it writes a checkpoint
        distributed=True,
        tracked=True,
    ),
    "publish": StageDefinition(
        field="publishing",
        phase="Evaluating",
        reason="Publishing",
        message="evaluating base and tuned model, and exporting",
        pod=lambda spec: spec.publishing.pod,
        resources=lambda spec: spec.publishing.resources,
        gpus_per_pod=lambda spec: spec.publishing.gpus,
        tracked=True,
        starts_untracked=True,  # scores that a tracker misses are not worth a finished training
        writes_model=True,
    ),
}
"""In their order."""
