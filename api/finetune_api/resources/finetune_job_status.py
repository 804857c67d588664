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
    """One attempt of a stage; its Job is named <job>-<stage>-<number>. Recorded before the Job is created."""

    stage: StageName
    number: int
    """Counted from 1 within the stage."""
    state: AttemptState = "Pending"
    job_uid: Annotated[str, Field(max_length=64)] | None = None
    """uid of the Job, once it was observed. A deleted Job is never created again."""
    counted: bool = False
    """Whether the attempt counts against limits.maxRestarts."""
    exit_code: int | None = None
    reason: Annotated[str, Field(max_length=128)] | None = None
    message: ShortText | None = None
    started_at: Annotated[str, Field(max_length=64)] | None = None
    """Time at which the attempt was recorded, right before its Job was created, or was requeued."""
    running_at: Annotated[str, Field(max_length=64)] | None = None
    """Time at which all of its pods were running."""
    finished_at: Annotated[str, Field(max_length=64)] | None = None


class ProgressStatus(LenientDocument):
    """The latest progress of the running stage."""

    activity: ShortText | None = None
    step: int | None = None
    total_steps: int | None = None
    epoch: float | None = None
    loss: float | None = None
    validation_loss: float | None = None
    """Of the latest validation; see evaluation.everySteps."""
    validation_accuracy: float | None = None
    """Share of supervised tokens (of a classifier: labels) predicted correctly in the latest validation."""
    reward_accuracy: float | None = None
    """Share of the latest step's pairs whose preferred answer has the higher reward, with dpo and orpo; with kto, share of its answers that
    the model finds more likely than the base if their label is true, less likely if not."""
    reward_margin: float | None = None
    """Mean difference between the rewards of the answers of the latest step's pairs; with kto, difference between the mean rewards of its
    answers with label true and false."""
    kl: float | None = None
    """With kto, an estimate of the divergence from the base model in the latest step, in nats."""
    grad_norm: float | None = None
    """Norm of the latest step's gradient, before clipping."""
    tokens_per_second: float | None = None
    mfu: float | None = None
    """Model FLOPs utilization: the share of the GPUs' peak speed that the training reaches. Not set if the GPU is not known."""
    gpu_utilization: float | None = None
    """Share of the last second in which the GPU of rank 0 computed anything, as NVML reports it."""
    gpu_memory_bytes: int | None = None
    """Peak of the memory that PyTorch has reserved on the GPU of rank 0."""
    host_memory_bytes: int | None = None
    """Peak of the resident memory of rank 0's process."""
    checkpoint_step: int | None = None
    updated_at: Annotated[str, Field(max_length=64)] | None = None


class QuantilesStatus(LenientDocument):
    """Quantiles over the training examples."""

    p50: int
    p95: int
    max: int


class LabelCount(LenientDocument):
    """Number of occurrences of a label."""

    label: Annotated[str, Field(max_length=256)]
    count: int


class DatasetStatus(LenientDocument):
    """Results of validating and tokenizing the dataset."""

    format: Annotated[str, Field(max_length=128)] | None = None
    """Detected format of the training file."""
    train_examples: int | None = None
    validation_examples: int | None = None
    train_tokens: int | None = None
    supervised_tokens: int | None = None
    """Number of tokens in the loss (for sequence-classification: of labels)."""
    lengths: QuantilesStatus | None = None
    """Tokens per training example."""
    turns: QuantilesStatus | None = None
    """Messages per conversation."""
    labels: Annotated[list[LabelCount], Field(max_length=20)] = []
    """The most frequent labels of the training examples."""
    label_count: int | None = None
    truncated_examples: int | None = None
    """Number of examples that were longer than maxSequenceLength and were truncated."""
    truncated_tokens: int | None = None
    invalid_rows: int | None = None
    """Number of invalid rows that were dropped, within dataset.limits.maxInvalidFraction."""
    duplicates: int | None = None
    """Number of exact duplicates that were dropped."""
    near_duplicates: int | None = None
    """Number of rows that are nearly equal to another row."""
    notes: Annotated[list[ShortText], Field(max_length=10)] = []
    """Observations about the dataset that may need attention."""
    digest: Annotated[str, Field(max_length=80)] | None = None


class MemoryStatus(LenientDocument):
    """Estimated peak memory of one training process, and the available memory. While the training runs, microBatchTokens, accumulation
    and gradientCheckpointing are those in effect, for example after limits.autoMicroBatch has halved the micro-batch."""

    text: ShortText | None = None
    """"21.3 GiB of 80.0 GiB: weights 14.2, optimizer 0.6, ..."."""
    total_bytes: int | None = None
    available_bytes: int | None = None
    micro_batch_tokens: int | None = None
    accumulation: int | None = None
    gradient_checkpointing: bool | None = None


class ExpectedStatus(LenientDocument):
    """Expected duration and cost of the training, computed before its GPUs start."""

    text: ShortText | None = None
    """"500 steps, 1.2 M tokens, about 1.4 h, about 8.40 USD"."""
    steps: int | None = None
    tokens: int | None = None
    hours: float | None = None
    cost: float | None = None


class ResolvedStatus(LenientDocument):
    """A hyperparameter in effect, and the reason for its value."""

    name: Annotated[str, Field(max_length=64)]
    value: Annotated[str, Field(max_length=128)]
    reason: ShortText = ""


ScoresStatus = Annotated[dict[str, float], Field(max_length=64)]


class IntervalStatus(LenientDocument):
    """A 95 % confidence interval."""

    low: float
    high: float


IntervalsByMetric = Annotated[dict[str, IntervalStatus], Field(max_length=64)]


class IntervalsStatus(LenientDocument):
    """95 % confidence intervals by metric: percentiles over resampled validation rows, the same for both models (paired bootstrap)."""

    base: IntervalsByMetric = {}
    """Of the base model's scores."""
    tuned: IntervalsByMetric = {}
    """Of the tuned model's scores."""
    difference: IntervalsByMetric = {}
    """Of tuned minus base."""


class EvaluationStatus(LenientDocument):
    """Scores of the base model and the tuned model on the same rows."""

    examples: int | None = None
    base: ScoresStatus | None = None
    """Scores on the validation rows by metric; metrics that the task does not have are omitted."""
    tuned: ScoresStatus | None = None
    """Scores of the tuned model on the same rows."""
    intervals: IntervalsStatus | None = None
    """How far the choice of the validation rows may have moved the scores. Not set for fewer than ten rows."""
    gate: Annotated[list[ShortText], Field(max_length=8)] = []


class CheckpointStatus(LenientDocument):
    """A complete checkpoint in the workspace."""

    step: int
    loss: float | None = None
    """Training loss of its step."""
    validation_loss: float | None = None
    """Validation loss after its step; see evaluation.everySteps."""
    size_bytes: int | None = None
    best: bool = False
    """True for the checkpoint with the lowest validation loss."""
    uri: Annotated[str, Field(max_length=1024)] | None = None
    """Address of its copy; see checkpoints.store."""


class UsageStatus(LenientDocument):
    """Resources that the job has used."""

    gpu_seconds: int = 0


class FineTuneJobStatus(LenientDocument):
    """Observed state of a FineTuneJob. It can be rebuilt from the Jobs, the results of their pods and the workspace, except for the number
    of restarts."""

    observed_generation: int | None = None
    phase: Phase | None = None
    """Summary of where the job is in its lifecycle, derived from the conditions."""
    conditions: Conditions = []
    progress_text: ShortText | None = None
    """Progress of the running stage, such as "62% (310/500)", or the reason why the job is waiting or has failed."""
    eta: Annotated[str, Field(max_length=32)] | None = None
    """"1h12m"."""
    loss_text: Annotated[str, Field(max_length=32)] | None = None
    """Latest training loss; for a finished job, the loss of the tuned model on the validation rows."""
    validation_loss_text: Annotated[str, Field(max_length=32)] | None = None
    """Latest validation loss of the training."""
    gate_text: Annotated[str, Field(max_length=32)] | None = None
    """passed, failed, or none without evaluation.gate."""
    reason: Annotated[str, Field(max_length=128)] | None = None
    """Why the job is in this phase: the reason of the condition that decides it."""
    attempt_text: Annotated[str, Field(max_length=64)] | None = None
    """"train 2"."""
    model: Annotated[str, Field(max_length=40)] | None = None
    """Name of the FineTunedModel that the job creates."""
    base: Annotated[str, Field(max_length=1024)] | None = None
    """The base as given in the spec."""
    spec_digest: Annotated[str, Field(max_length=80)] | None = None
    """sha256 of the parts of the spec that determine the model."""
    image: Annotated[str, Field(max_length=512)] | None = None
    """The trainer image that the job uses; fixed when the job starts."""
    progress: ProgressStatus | None = None
    total_steps: int | None = None
    """Planned number of optimizer steps of the training."""
    trained_steps: int | None = None
    """Number of optimizer steps that the training made. It is below totalSteps if hyperparameters.earlyStopping ended it."""
    published_step: int | None = None
    """Step whose weights are published: the last one, or with hyperparameters.loadBestModelAtEnd the one with the lowest validation
    loss."""
    checkpoints: Annotated[list[CheckpointStatus], Field(max_length=20)] = []
    """The most recent checkpoints, newest first."""
    dataset: DatasetStatus | None = None
    hyperparameters: Annotated[list[ResolvedStatus], Field(max_length=32)] = []
    """All hyperparameters in effect."""
    memory: MemoryStatus | None = None
    """Estimated memory of a training process."""
    expected: ExpectedStatus | None = None
    """Expected duration and cost of the training."""
    evaluation: EvaluationStatus | None = None
    model_bytes: int | None = None
    """Estimated size of the finished model, used to size its volume."""
    attempts: Annotated[list[Attempt], Field(max_length=256)] = []
    """Every attempt of every stage, oldest first."""
    restarts: int = 0
    """Number of attempts that counted against limits.maxRestarts."""
    active_seconds: int = 0
    """Time during which the job was not paused, counted against limits.deadline."""
    error: ErrorStatus | None = None
    usage: UsageStatus | None = None
    started_at: Annotated[str, Field(max_length=64)] | None = None
    """Time at which the first pod was created."""
    finished_at: Annotated[str, Field(max_length=64)] | None = None
    """Time at which the job finished."""
