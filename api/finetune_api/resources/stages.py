"""What the pods of each stage get: GPUs, nodes, and the strategy of the training."""

from typing import Annotated

from pydantic import Field

from finetune_api.document import Document
from finetune_api.resources.common import PodSettings, Resources, Size, rule, rules
from finetune_api.resources.learning import TrainingStrategy


class Preparation(Document):
    """The prepare stage: one pod without a GPU."""

    resources: Resources = Resources()
    """CPU and memory of the stage's container; where neither names memory, its limit is 8Gi."""
    pod: PodSettings = PodSettings()
    """Settings of the stage's pod. nodeSelector and tolerations of the training are not inherited, except for the zone or node that a
    ReadWriteOnce workspace requires."""


class Training(Document):
    """The train stage: `nodes` pods with `gpusPerNode` processes each, or one process each without GPUs."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule(
                "!has(self.gpuMemory) || self.gpusPerNode > 0",
                "gpuMemory requires gpusPerNode > 0; for training on a CPU set resources.limits.memory",
                fieldPath=".gpuMemory",
            )
        )
    }
    nodes: Annotated[int, Field(ge=1, le=1024)] = 1
    """nodes is the number of pods that train together, one per node."""
    gpus_per_node: Annotated[int, Field(ge=0, le=64)] = 0
    """gpusPerNode is the number of GPUs per pod. 0 trains on the CPU."""
    gpu_resource_name: Annotated[str, Field(min_length=1, max_length=317, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[-._a-zA-Z0-9]+$")] = (
        "nvidia.com/gpu"
    )
    """gpuResourceName is the extended resource to request for GPUs."""
    gpu_memory: Size | None = None
    """gpuMemory is the memory of one GPU. Defaults to the node label nvidia.com/gpu.memory, if present. prepare uses it to choose the
    micro-batch size and to refuse a training that does not fit."""
    strategy: TrainingStrategy = TrainingStrategy()
    """strategy by which the processes train one model. status.hyperparameters has the one in effect, and why."""
    resources: Resources = Resources()
    """CPU and memory of each pod."""
    pod: PodSettings = PodSettings()
    """Settings of the stage's pods."""


class Publishing(Document):
    """The publish stage: one pod that evaluates, merges, exports and registers."""

    gpus: Annotated[int, Field(ge=0, le=1)] = 0
    """gpus is the number of GPUs of the pod: 1, or 0 to use the CPU."""
    resources: Resources = Resources()
    """CPU and memory of the stage's container."""
    pod: PodSettings = PodSettings()
    """Settings of the stage's pod."""
