"""FineTuneJob: one training, from a data set to a registered model."""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import Field

from finetune_api.document import Document, LenientDocument
from finetune_api.resources.common import (
    Conditions,
    Credentials,
    Duration,
    ErrorStatus,
    LabelValue,
    Name,
    ObjectName,
    Pod,
    Resources,
    ShortText,
    VolumeClaim,
    rule,
    rules,
)
from finetune_api.resources.source import DataAddress, DataSource, ModelAddress

Task = Literal["chat"]


class ModelRef(Document):
    """A FineTunedModel of the same namespace."""

    name: Name
    """Name of the FineTunedModel."""


class Base(Document):
    """The model to start from: `source` (with `credentials` for s3://) or `fineTunedModel`, exactly one."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("has(self.source) != has(self.fineTunedModel)", "exactly one of source and fineTunedModel must be set"),
            rule(
                "!has(self.source) || !self.source.split('/').exists(p, p == '..')",
                "source must not contain '..'",
                fieldPath=".source",
            ),
            rule(
                "!has(self.credentials) || (has(self.source) && self.source.startsWith('s3://'))",
                "credentials are used with an s3:// source only",
                fieldPath=".credentials",
            ),
        )
    }
    source: ModelAddress | None = None
    """Folder with config.json, tokenizer.json and *.safetensors."""
    credentials: Credentials | None = None
    """For an s3:// source only."""
    fine_tuned_model: ModelRef | None = None
    """Continue from an earlier model: its merged weights are the base."""


class Split(Document):
    """Hold out a part of the training file. The same rows on every machine for the same seed."""

    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the rows that is held out."""
    seed: Annotated[int, Field(ge=0, le=2147483647)] = 42
    """Decides which rows."""


class Validation(Document):
    """The held-out rows: a share of the training file (`split`), or a file of their own (`source`)."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("has(self.split) != has(self.source)", "exactly one of split and source must be set"),
            rule(
                "!has(self.source) || !self.source.split('/').exists(p, p == '..')",
                "source must not contain '..'",
                fieldPath=".source",
            ),
            rule(
                "!has(self.credentials) || (has(self.source) && self.source.startsWith('s3://'))",
                "credentials are used with an s3:// source only",
                fieldPath=".credentials",
            ),
        )
    }
    split: Split | None = None
    """A share of the training file."""
    source: DataAddress | None = None
    """A file of its own: pvc://CLAIM/PATH, configmap://NAME/KEY or s3://BUCKET/KEY."""
    credentials: Credentials | None = None
    """For an s3:// source only."""


class Dataset(Document):
    """Rows to learn from and rows to measure on. A row is {"messages": [{"role": ..., "content": ...}, ...]}."""

    train: DataSource
    """The rows to learn from."""
    validation: Validation = Validation(split=Split())
    """The held-out rows; a tenth of the training file when left out."""


class Lora(Document):
    """Low-rank adapters (Hu et al. 2021), as in peft.LoraConfig."""

    rank: Annotated[int, Field(ge=1, le=512)] = 16
    """Inner dimension of the adapters."""
    alpha: Annotated[float, Field(gt=0, le=4096)] = 32
    """The adapters are scaled by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0
    """Dropout on the adapters' input."""
    target_modules: Annotated[list[Annotated[str, Field(max_length=128, min_length=1)]], Field(max_length=32, min_length=1)] = [
        "all-linear"
    ]
    """Names of the modules that get an adapter; ["all-linear"] is every linear layer but the head."""


class Method(Document):
    """How the weights change."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(rule("self.type == 'lora' || !has(self.lora)", "lora is used with type lora only", fieldPath=".lora"))
    }
    type: Literal["lora", "full"] = "lora"
    """lora trains adapters and merges them at the end; full trains all weights."""
    lora: Lora | None = None
    """Left out with type lora: rank 16, alpha 32, no dropout, all linear layers."""
    loss_on: Literal["assistant", "all"] = "assistant"
    """Learn the assistant's words only, or every token."""


class Hyperparameters(Document):
    """What is left out is decided by prepare; the value and its reason are shown in status.hyperparameters."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("!(has(self.epochs) && has(self.maxSteps))", "set epochs or maxSteps, not both"),
        )
    }
    epochs: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Passes over the training rows."""
    max_steps: Annotated[int, Field(ge=1, le=10000000)] | None = None
    """Optimizer steps, instead of epochs."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] | None = None
    """Examples per optimizer step over all processes (the global batch)."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Peak learning rate."""
    scheduler: Literal["linear", "cosine", "constant"] | None = None
    """How the learning rate falls after the warm-up."""
    warmup_ratio: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the steps in which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] | None = None
    """Decoupled weight decay (AdamW)."""
    max_grad_norm: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Gradients are clipped to this norm."""
    max_sequence_length: Annotated[int, Field(ge=8, le=1048576)] | None = None
    """Longer examples are cut at the end; status.dataset.truncatedExamples says how many."""
    precision: Literal["bf16", "fp32"] | None = None
    """Number format of the computation."""
    seed: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    """Decides the order of rows, dropout and new weights."""


class Preparation(Document):
    """The prepare stage: one pod without a GPU."""

    resources: Resources = Resources()
    """CPU and memory of the stage's container."""
    pod: Pod = Pod()
    """Of the stage's pod."""


class Training(Document):
    """The train stage: `nodes` pods with `gpusPerNode` processes each, one process where there is no GPU."""

    nodes: Annotated[int, Field(ge=1, le=1024)] = 1
    """Pods that train together, one on each node."""
    gpus_per_node: Annotated[int, Field(ge=0, le=64)] = 0
    """GPUs of each pod; 0 trains on the CPU."""
    gpu_resource_name: Annotated[str, Field(min_length=1, max_length=317, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[-._a-zA-Z0-9]+$")] = (
        "nvidia.com/gpu"
    )
    """Extended resource that counts the GPUs."""
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


class Checkpoints(Document):
    """Complete states to resume from, in the workspace."""

    every_steps: Annotated[int, Field(ge=1, le=10000000)] | None = None
    """Left out: a tenth of the run."""
    keep: Annotated[int, Field(ge=1, le=100)] = 2
    """How many of the newest are kept."""


class GateCondition(Document):
    """One condition that the tuned model must meet to be deployed; betterThanBase, maximum, or both."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(rule("has(self.betterThanBase) || has(self.maximum)", "set betterThanBase, maximum, or both"))
    }
    metric: Literal["loss", "perplexity"]
    """Which mean over the held-out rows."""
    better_than_base: bool | None = None
    """True: lower than the base's."""
    maximum: Annotated[float, Field(gt=0)] | None = None
    """At most this."""


class Evaluation(Document):
    """How the tuned model is measured against its base on the held-out rows. Loss and perplexity are always measured."""

    gate: Annotated[list[GateCondition], Field(max_length=8)] = []
    """All must hold. A model that fails its gate is registered, but a deployment needs allowUngated."""
    max_examples: Annotated[int, Field(ge=1, le=1000000)] = 500
    """Measure on the first so many held-out rows."""


class OnnxExport(Document):
    """Export for the ONNX engine, with proof that it answers as PyTorch does."""

    precisions: Annotated[list[Literal["fp32"]], Field(min_length=1, max_length=1)] = ["fp32"]
    """Which number formats are exported."""
    parity_prompts: Annotated[int, Field(ge=1, le=64)] = 4
    """Held-out prompts whose greedy continuation must be equal, token for token."""


class Export(Document):
    """What is written beside the merged safetensors."""

    onnx: OnnxExport | None = None
    """For the onnx engine; left out: no ONNX file."""


class Output(Document):
    """The model that the job makes."""

    model: Name | None = None
    """Name of the FineTunedModel; the job's own name when left out."""
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
    """For a training that runs but makes no progress. Fixed when the job begins: a later change does not reach its pods."""
    max_restarts: Annotated[int, Field(ge=0, le=100)] = 3
    """New attempts after failures of a pod or a process. Preemption, eviction and pause do not count."""


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
                "self.training.nodes == 1 || has(self.workspace.claimName) || self.workspace.storage.accessMode == 'ReadWriteMany'",
                "training.nodes > 1 needs a workspace that several pods can mount: set workspace.storage.accessMode to ReadWriteMany",
                fieldPath=".workspace.storage.accessMode",
            ),
        )
    }
    task: Task = "chat"
    """What the model learns: chat is a conversation in the form of OpenAI messages."""
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


Phase = Literal["Pending", "Validating", "Queued", "Starting", "Training", "Paused", "Evaluating", "Succeeded", "Failed", "Cancelled"]
AttemptState = Literal["Pending", "Running", "Succeeded", "Failed", "Interrupted"]
StageName = Literal["prepare", "train", "publish"]


class Attempt(LenientDocument):
    """One try of one stage; its Job is named <job>-<stage>-<number>. Written before the Job is created."""

    stage: StageName
    number: int
    """Counted from 1 within the stage."""
    state: AttemptState = "Pending"
    job_uid: Annotated[str, Field(max_length=64)] | None = None
    """Set once the Job was seen; an attempt whose Job has gone is never created again."""
    counted: bool = False
    """True when it used up one of limits.maxRestarts."""
    exit_code: int | None = None
    reason: Annotated[str, Field(max_length=128)] | None = None
    message: ShortText | None = None
    started_at: Annotated[str, Field(max_length=64)] | None = None
    """When it was recorded, right before its Job was created, or when a queue took it back."""
    running_at: Annotated[str, Field(max_length=64)] | None = None
    """When all of its pods were running."""
    finished_at: Annotated[str, Field(max_length=64)] | None = None


class ProgressStatus(LenientDocument):
    """The newest progress line of the running stage."""

    activity: ShortText | None = None
    step: int | None = None
    total_steps: int | None = None
    epoch: float | None = None
    loss: float | None = None
    tokens_per_second: float | None = None
    checkpoint_step: int | None = None
    updated_at: Annotated[str, Field(max_length=64)] | None = None


class DatasetStatus(LenientDocument):
    """What prepare counted."""

    train_examples: int | None = None
    validation_examples: int | None = None
    train_tokens: int | None = None
    supervised_tokens: int | None = None
    truncated_examples: int | None = None
    duplicates: int | None = None
    digest: Annotated[str, Field(max_length=80)] | None = None


class ResolvedStatus(LenientDocument):
    """A hyper-parameter in force, and why it has this value."""

    name: Annotated[str, Field(max_length=64)]
    value: Annotated[str, Field(max_length=128)]
    reason: ShortText = ""


class ScoresStatus(LenientDocument):
    """Means over the supervised tokens of the held-out rows."""

    loss: float
    perplexity: float


class EvaluationStatus(LenientDocument):
    """Base against tuned on the same rows."""

    examples: int | None = None
    base: ScoresStatus | None = None
    tuned: ScoresStatus | None = None
    gate: Annotated[list[ShortText], Field(max_length=8)] = []


class UsageStatus(LenientDocument):
    """What the job has used."""

    gpu_seconds: int = 0


class FineTuneJobStatus(LenientDocument):
    """Everything in it can be rebuilt from the Jobs, the pods' results and the workspace, but for the attempts' budget."""

    observed_generation: int | None = None
    phase: Phase | None = None
    """Where the job stands, for people; derived from the conditions."""
    conditions: Conditions = []
    progress_text: ShortText | None = None
    """"62% (310/500)"."""
    eta: Annotated[str, Field(max_length=32)] | None = None
    """"1h12m"."""
    loss_text: Annotated[str, Field(max_length=32)] | None = None
    """Newest training loss."""
    reason: Annotated[str, Field(max_length=128)] | None = None
    """Why the job is in this phase: the reason of the condition that decides it."""
    attempt_text: Annotated[str, Field(max_length=64)] | None = None
    """"train 2"."""
    model: Annotated[str, Field(max_length=40)] | None = None
    """The FineTunedModel that the job makes."""
    base: Annotated[str, Field(max_length=1024)] | None = None
    """The base as it was asked for, for the column."""
    spec_digest: Annotated[str, Field(max_length=80)] | None = None
    """sha256 of the parts of the spec that determine the model."""
    image: Annotated[str, Field(max_length=512)] | None = None
    """The trainer image that the job is pinned to."""
    progress: ProgressStatus | None = None
    total_steps: int | None = None
    """Optimizer steps of the whole training, as prepare has planned them."""
    dataset: DatasetStatus | None = None
    hyperparameters: Annotated[list[ResolvedStatus], Field(max_length=32)] = []
    """All hyper-parameters in force."""
    evaluation: EvaluationStatus | None = None
    model_bytes: int | None = None
    """prepare's estimate of the finished model, which sizes its volume."""
    attempts: Annotated[list[Attempt], Field(max_length=256)] = []
    """Every attempt of every stage, oldest first."""
    restarts: int = 0
    """How much of limits.maxRestarts is used up."""
    active_seconds: int = 0
    """Time in which the job was not paused, for limits.deadline."""
    error: ErrorStatus | None = None
    usage: UsageStatus | None = None
    started_at: Annotated[str, Field(max_length=64)] | None = None
    """When the first pod was created."""
    finished_at: Annotated[str, Field(max_length=64)] | None = None
    """When the job ended."""


def spec_digest(spec: FineTuneJobSpec) -> str:
    """sha256 of what determines the model: two jobs with the same digest train the same model from the same sources."""
    decisive = ("task", "base", "dataset", "method", "hyperparameters", "evaluation", "export")
    chosen = {key: value for key, value in spec.to_dict().items() if key in decisive}
    return hashlib.sha256(json.dumps(chosen, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def output_name(job: str, spec: FineTuneJobSpec) -> str:
    """Name of the FineTunedModel that the job makes."""
    return spec.output.model or job
