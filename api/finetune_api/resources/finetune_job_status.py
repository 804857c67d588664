"""What the operator says of a FineTuneJob: its phase, its attempts, its progress and what its stages found."""

from typing import Annotated, Literal

from pydantic import Field

from finetune_api.document import LenientDocument
from finetune_api.resources.common import (
    Conditions,
    ErrorStatus,
    ShortText,
)

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


class QuantilesStatus(LenientDocument):
    """Of a number that every example has."""

    p50: int
    p95: int
    max: int


class LabelCount(LenientDocument):
    """How often a label occurs."""

    label: Annotated[str, Field(max_length=256)]
    count: int


class DatasetStatus(LenientDocument):
    """What prepare counted."""

    format: Annotated[str, Field(max_length=128)] | None = None
    """What the training file was recognised as."""
    train_examples: int | None = None
    validation_examples: int | None = None
    train_tokens: int | None = None
    supervised_tokens: int | None = None
    """Tokens that the loss is computed on (sequence-classification: labels)."""
    lengths: QuantilesStatus | None = None
    """Tokens of a training example."""
    turns: QuantilesStatus | None = None
    """Messages of a conversation."""
    labels: Annotated[list[LabelCount], Field(max_length=20)] = []
    """The most frequent labels of the training examples."""
    label_count: int | None = None
    truncated_examples: int | None = None
    """Examples longer than maxSequenceLength, which were cut."""
    truncated_tokens: int | None = None
    invalid_rows: int | None = None
    """Dropped because they are invalid, within dataset.limits.maxInvalidFraction."""
    duplicates: int | None = None
    """Exact duplicates that were dropped."""
    near_duplicates: int | None = None
    """Rows nearly equal to another one."""
    notes: Annotated[list[ShortText], Field(max_length=10)] = []
    """What is worth a look."""
    digest: Annotated[str, Field(max_length=80)] | None = None


class MemoryStatus(LenientDocument):
    """Peak memory of one training process, estimated from the model's config, and what it has."""

    text: ShortText | None = None
    """"21.3 GiB of 80.0 GiB: weights 14.2, optimizer 0.6, ..."."""
    total_bytes: int | None = None
    available_bytes: int | None = None
    micro_batch_tokens: int | None = None
    accumulation: int | None = None
    gradient_checkpointing: bool | None = None


class ExpectedStatus(LenientDocument):
    """What the training will come to, said before its GPUs start."""

    text: ShortText | None = None
    """"500 steps, 1.2 M tokens, about 1.4 h, about 8.40 USD"."""
    steps: int | None = None
    tokens: int | None = None
    hours: float | None = None
    cost: float | None = None


class ResolvedStatus(LenientDocument):
    """A hyper-parameter in force, and why it has this value."""

    name: Annotated[str, Field(max_length=64)]
    value: Annotated[str, Field(max_length=128)]
    reason: ShortText = ""


class ScoresStatus(LenientDocument):
    """Measured on the held-out rows; what the task does not have is left out."""

    loss: float
    perplexity: float | None = None
    accuracy: float | None = None
    f1: float | None = None


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
    """"62% (310/500)" of a running stage; of a job that waits or has failed the reason in a few words."""
    eta: Annotated[str, Field(max_length=32)] | None = None
    """"1h12m"."""
    loss_text: Annotated[str, Field(max_length=32)] | None = None
    """Newest training loss; of a finished job the tuned model's loss on the held-out rows."""
    gate_text: Annotated[str, Field(max_length=32)] | None = None
    """passed, failed, or none where evaluation.gate asks for nothing."""
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
    memory: MemoryStatus | None = None
    """What prepare expects a training process to need."""
    expected: ExpectedStatus | None = None
    """What prepare expects the training to come to."""
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
