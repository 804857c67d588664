"""FineTuneJob: one training, from a data set to a registered model."""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import Field

from finetune_api.document import Document
from finetune_api.resources.common import (
    Credentials,
    Duration,
    Labels,
    LabelValue,
    Name,
    ObjectName,
    Pod,
    Resources,
    Size,
    VolumeClaim,
    rule,
    rules,
)
from finetune_api.resources.evaluation import Evaluation
from finetune_api.resources.export import Export
from finetune_api.resources.learning import Checkpoints, Hyperparameters, Method
from finetune_api.resources.source import (
    OPTIONAL_SOURCE_RULES,
    Columns,
    DataAddress,
    DataSource,
    ModelAddress,
    RowFormat,
    RowSlice,
    RowTemplate,
)

Task = Literal["chat", "completion", "summarization", "sequence-classification", "token-classification"]
CLASSIFICATION: tuple[Task, ...] = ("sequence-classification", "token-classification")
"""Tasks that an encoder is trained for; the others need a causal language model."""


class ModelRef(Document):
    """A FineTunedModel of the same namespace."""

    name: Name
    """Name of the FineTunedModel."""


class Base(Document):
    """The model to start from: `source` (with `credentials`, where it needs some) or `fineTunedModel`, exactly one."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("has(self.source) != has(self.fineTunedModel)", "exactly one of source and fineTunedModel must be set"),
            *OPTIONAL_SOURCE_RULES,
        )
    }
    source: ModelAddress | None = None
    """Folder with config.json, tokenizer.json and *.safetensors: pvc://CLAIM/PATH, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX,
    abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX or hf://OWNER/NAME[@REVISION]."""
    credentials: Credentials | None = None
    """Of the store; a claim needs none."""
    fine_tuned_model: ModelRef | None = None
    """Continue from an earlier model: its merged weights are the base."""


class Split(Document):
    """Hold out a part of the training file. The same rows on every machine for the same seed."""

    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the rows that is held out."""
    seed: Annotated[int, Field(ge=0, le=2147483647)] = 42
    """Decides which rows."""
    stratify_by: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """A field whose values keep their shares on both sides. Left out: the label, for sequence-classification."""
    group_by: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """A field whose equal values stay on one side: rows of the same customer, document or author."""


class Validation(Document):
    """The held-out rows: a share of the training file (`split`), or a file of their own (`source`)."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("has(self.split) != has(self.source)", "exactly one of split and source must be set"),
            rule(
                "has(self.source) || !(has(self.format) || has(self.template) || has(self.slice) || "
                "(has(self.columns) && size(self.columns) > 0))",
                "format, columns, template and slice require dataset.validation.source",
            ),
            *OPTIONAL_SOURCE_RULES,
        )
    }
    split: Split | None = None
    """A share of the training file."""
    source: DataAddress | None = None
    """A file of its own; its address is written as in train."""
    credentials: Credentials | None = None
    """As in train."""
    format: RowFormat | None = None
    """As in train."""
    columns: Columns = {}
    """As in train."""
    template: RowTemplate | None = None
    """As in train."""
    slice: RowSlice | None = None
    """As in train."""


class DatasetLimits(Document):
    """How much of a data set may be wrong."""

    max_invalid_fraction: Annotated[float, Field(ge=0, lt=1)] = 0
    """Share of rows that may be invalid: they are dropped, and counted in status.dataset.invalidRows. More of them fail the job."""


class Dataset(Document):
    """Rows to learn from and rows to measure on. What a row looks like depends on the task:

    chat {"messages": [{"role": ..., "content": ...}, ...], "tools": [...]}; completion {"prompt": ..., "completion": ...}; summarization
    {"document": ..., "summary": ...}; sequence-classification {"text": ..., "text_pair": ..., "label": ...}, where a list of labels is
    multi-label; token-classification {"tokens": [...], "tags": [...]}, tags as in BIO.
    """

    train: DataSource
    """The rows to learn from."""
    validation: Validation = Validation(split=Split())
    """The held-out rows; a tenth of the training file when left out."""
    limits: DatasetLimits = DatasetLimits()
    """How much of it may be wrong."""


class Preparation(Document):
    """The prepare stage: one pod without a GPU."""

    resources: Resources = Resources()
    """CPU and memory of the stage's container; where neither names memory, its limit is 8Gi."""
    pod: Pod = Pod()
    """Of the stage's pod, which takes no nodeSelector and tolerations from training, but its zone or node where a ReadWriteOnce workspace
    has to lie there."""


class Training(Document):
    """The train stage: `nodes` pods with `gpusPerNode` processes each, one process where there is no GPU."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule(
                "!has(self.gpuMemory) || self.gpusPerNode > 0",
                "gpuMemory is that of GPUs, and gpusPerNode is 0; on a CPU resources.limits.memory counts",
                fieldPath=".gpuMemory",
            )
        )
    }
    nodes: Annotated[int, Field(ge=1, le=1024)] = 1
    """Pods that train together, one on each node."""
    gpus_per_node: Annotated[int, Field(ge=0, le=64)] = 0
    """GPUs of each pod; 0 trains on the CPU."""
    gpu_resource_name: Annotated[str, Field(min_length=1, max_length=317, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[-._a-zA-Z0-9]+$")] = (
        "nvidia.com/gpu"
    )
    """Extended resource that counts the GPUs."""
    gpu_memory: Size | None = None
    """Memory of one GPU; left out: the node label nvidia.com/gpu.memory, where the nodes have it. prepare chooses the micro-batch by it,
    and refuses what does not fit."""
    resources: Resources = Resources()
    """CPU and memory of each pod."""
    pod: Pod = Pod()
    """Of the stage's pods."""


class Publishing(Document):
    """The publish stage: one pod that evaluates, merges, exports and registers."""

    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    """GPUs of the pod; 0 publishes on the CPU."""
    resources: Resources = Resources()
    """CPU and memory of the stage's container."""
    pod: Pod = Pod()
    """Of the stage's pod."""


class Output(Document):
    """The model that the job makes."""

    model: Name | None = None
    """Name of the FineTunedModel; the job's own name when left out."""
    labels: Labels = {}
    """Of the FineTunedModel and its volume, beside the operator's own. Those of the job are not inherited: GitOps tools track by them."""
    storage: VolumeClaim = VolumeClaim()
    """Size left out: from prepare's estimate."""


class Workspace(Document):
    """Where downloads, prepared rows and checkpoints lie while the job lives: an own volume, or an existing claim."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule(
                "!has(self.claimName) || (!has(self.storage.size) && !has(self.storage.storageClassName))",
                "storage describes a new volume; with claimName leave it out",
                fieldPath=".claimName",
            )
        )
    }
    claim_name: ObjectName | None = None
    """An existing claim; the job uses a folder of its own in it."""
    storage: VolumeClaim = VolumeClaim()
    """Size left out: 20Gi."""


class Limits(Document):
    """How long things may take before the job fails and says why."""

    start_deadline: Duration = "15m"
    """For a pod that is scheduled but does not start: image, Secret, volume.
    What the pods of a training wait for each other is fixed when the job begins."""
    schedule_timeout: Duration = "24h"
    """For pods that no node can take yet (phase Queued)."""
    deadline: Duration | None = None
    """For the whole job, pauses not counted."""
    stall_timeout: Duration = "30m"
    """For a stage that runs but makes no progress. Fixed when the job begins: a later change does not reach its pods."""
    max_restarts: Annotated[int, Field(ge=0, le=100)] = 3
    """New attempts after failures of a pod or a process. Preemption, eviction and pause do not count."""
    ttl_after_finished: Duration | None = None
    """How long a job that is over keeps its stage Jobs with their pods and its workspace; left out: until it is deleted. The model, this
    object with its status, and a claim of your own (workspace.claimName) stay."""


IMMUTABLE = (
    "task", "base", "dataset", "method", "hyperparameters", "preparation", "training", "publishing", "checkpoints",
    "evaluation", "export", "output", "workspace",
)  # fmt: skip


def _immutable(field: str) -> dict[str, Any]:
    return rule(
        f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        f"{field}: field is immutable; a new training is a new FineTuneJob under a new name",
        fieldPath=f".{field}",
    )


class FineTuneJobSpec(Document):
    """Immutable except suspend, cancel and limits (and queueName while suspended)."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            *map(_immutable, IMMUTABLE),
            rule(
                "(has(self.queueName) == has(oldSelf.queueName) && (!has(self.queueName) || self.queueName == oldSelf.queueName))"
                " || (self.suspend && oldSelf.suspend)",
                "queueName can be changed while the job is suspended only",
                fieldPath=".queueName",
            ),
            rule("!oldSelf.cancel || self.cancel", "a cancelled job stays cancelled", fieldPath=".cancel"),
            rule(
                "!self.task.endsWith('classification') || (!has(self.dataset.train.template) && !has(self.dataset.validation.template))",
                "template builds a prompt and a completion: it is used with chat, completion and summarization",
                fieldPath=".dataset",
            ),
            rule(
                "!has(self.evaluation.gate) || self.evaluation.gate.all("
                "g, g.metric == 'loss' || (self.task.endsWith('classification') == (g.metric != 'perplexity')))",
                "gate: perplexity is available for language models only, accuracy and f1 for classifiers only",
                fieldPath=".evaluation.gate",
            ),
            rule(
                "self.training.nodes == 1 || has(self.workspace.claimName) || self.workspace.storage.accessMode == 'ReadWriteMany'",
                "training.nodes > 1 needs a workspace that several pods can mount: set workspace.storage.accessMode to ReadWriteMany",
                fieldPath=".workspace.storage.accessMode",
            ),
        )
    }
    task: Task = "chat"
    """What the model learns, and what a row looks like: see dataset."""
    base: Base
    """The model to start from."""
    dataset: Dataset
    """What to learn."""
    method: Method = Method()
    """How the weights change."""
    hyperparameters: Hyperparameters = Hyperparameters()
    """Numbers of the training; what is left out is decided from the data and the model."""
    preparation: Preparation = Preparation()
    """The stage that validates the data and tokenises it, without a GPU."""
    training: Training = Training()
    """The stage that trains."""
    publishing: Publishing = Publishing()
    """The stage that evaluates, merges, exports and registers."""
    checkpoints: Checkpoints = Checkpoints()
    """What a training resumes from."""
    evaluation: Evaluation = Evaluation()
    """How the result is measured, and what it must reach."""
    export: Export = Export()
    """What is written beside the merged safetensors."""
    output: Output = Output()
    """The FineTunedModel that the job makes."""
    workspace: Workspace = Workspace()
    """Volume for downloads, prepared rows and checkpoints."""
    limits: Limits = Limits()
    """How long things may take."""
    suspend: bool = False
    """Pause: the running attempt writes a checkpoint and ends; false goes on from there."""
    cancel: bool = False
    """End the job for good; what was produced stays until the job is deleted."""
    queue_name: LabelValue | None = None
    """Kueue's LocalQueue for the stage Jobs."""


def spec_digest(spec: FineTuneJobSpec) -> str:
    """sha256 of what determines the model: two jobs with the same digest train the same model from the same sources.

    What has its default's value is left out, so that a field which a later version adds changes no digest.
    """
    decisive = {"task", "base", "dataset", "method", "hyperparameters", "evaluation", "export"}
    chosen = spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True, include=decisive)
    return hashlib.sha256(json.dumps(chosen, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def output_name(job: str, spec: FineTuneJobSpec) -> str:
    """Name of the FineTunedModel that the job makes."""
    return spec.output.model or job
