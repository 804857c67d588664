"""Contract 4: the result of a stage.

`<workspace>/results/<stage>.json` is the truth. The container's termination message holds the same document cut to
3 KB (the kubelet keeps the last 4096 bytes). A stage that finds its own finished result prints it again and exits 0.
"""

import json
from collections.abc import Iterator
from typing import Any, Literal, Self

from finetune_api import CONTRACT_VERSION
from finetune_api.bounded import Count, Real
from finetune_api.document import LenientDocument
from finetune_api.model_directory import Artifact, EvaluationReport, MissingArtifact, PublishedCheckpoint, SkewCheck
from finetune_api.progress import CheckpointFigures

Stage = Literal["prepare", "train", "publish", "inspect"]
TERMINATION_MESSAGE_LIMIT = 3072
TERMINATION_LOG = "/dev/termination-log"


class StageError(LenientDocument):
    """Why a stage failed, for the person who wrote the spec or the data."""

    code: str
    """CamelCase, stable: InvalidDataset, BaseModelNotFound, StorageFull, ..."""
    message: str
    """Names the object, the field or line, the value, and what to do next. Never a traceback."""
    param: str | None = None
    """The spec field to change, as a path: dataset.train.source."""
    details: list[str] = []
    """First findings, one line each: "line 17: messages[2].role is 'assitant', expected ..."."""


class StageWarning(LenientDocument):
    """What a stage that succeeded has to say against its own result."""

    code: str
    """CamelCase, stable: LossIncreased."""
    message: str
    """With the figures, and what to do next."""


def json_text(value: object) -> str:
    """A value as JSON, texts without quotes and whole numbers without a fraction."""
    if isinstance(value, str):
        return value
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)


class ResolvedParameter(LenientDocument):
    """A hyperparameter that prepare decided, and why."""

    value: Real | Count | str | bool
    reason: str

    @property
    def text(self) -> str:
        """The value as a spec would say it: true, 1, 0.0002, cosine."""
        return json_text(self.value)


class Quantiles(LenientDocument):
    """Of a number that every example has."""

    p50: Count
    p95: Count
    max: Count


class DatasetSummary(LenientDocument):
    """Counts of rows and tokens after validation and splitting; `finetune_api.dataset_report` has the rest."""

    train_examples: Count
    validation_examples: Count
    train_tokens: Count
    supervised_tokens: Count
    """Tokens in the training rows that the loss is computed on."""
    truncated_examples: Count = 0
    truncated_tokens: Count = 0
    """Tokens that the cuts removed."""
    invalid_rows: Count = 0
    """Rows that were dropped because they are invalid, within dataset.limits.maxInvalidFraction."""
    duplicates: Count = 0
    """Exact duplicates that were dropped."""
    near_duplicates: Count = 0
    """Rows that are nearly equal to an earlier one; kept, and on its side of a split."""
    in_both: Count = 0
    """Training rows that were dropped because the validation file holds them, too."""
    without_target: Count = 0
    """Examples that were dropped because nothing to learn was left within maxSequenceLength."""
    digest: str
    """sha256 of the canonical rows of both sides."""
    format: str = ""
    """What the training file was recognised as, for people: "JSONL, OpenAI chat"."""
    lengths: Quantiles | None = None
    """Tokens of the training examples before the cut."""
    turns: Quantiles | None = None
    """Messages of a conversation, for chat."""
    labels: dict[str, Count] = {}
    """Training examples of each label (token-classification: entities), the most frequent first, at most 20."""
    label_count: Count = 0
    notes: list[str] = []
    """What is worth a look, a sentence each: a label seen once, an imbalance, a default that was taken. At most 10."""


class Estimate(LenientDocument):
    """What the following stages will need, in bytes."""

    model_bytes: Count
    workspace_bytes: Count


class MemoryEstimate(LenientDocument):
    """Peak memory of one training process, in bytes: on a GPU, or of the pod where there is none."""

    weights: Count
    gradients: Count
    optimizer: Count
    activations: Count
    logits: Count
    runtime: Count
    """Libraries, CUDA context, fragmentation."""
    total: Count
    available: Count | None = None
    """Memory that is available; None if unknown."""
    available_from: str = ""
    """Who says so: "training.gpuMemory", "the nodes' label nvidia.com/gpu.memory", "training.resources.limits.memory"."""
    micro_batch_tokens: Count
    accumulation: Count
    """Micro-batches of an optimizer step on one process."""
    gradient_checkpointing: bool = False


class Expectation(LenientDocument):
    """What the training will come to, before it starts."""

    tokens: Count
    """To be trained on, all epochs together."""
    hours: Real | None = None
    """Rough: computed from the model's size and the peak speed of the device; None for a device that is not known."""
    cost: Real | None = None
    """hours x GPUs x the price of a GPU hour in the chart's values."""
    currency: str = ""
    """Of the cost."""
    basis: str = ""
    """What the hours were computed from, for people."""


class PrepareSummary(LenientDocument):
    """What prepare found and decided."""

    dataset: DatasetSummary
    hyperparameters: dict[str, ResolvedParameter]
    total_steps: Count
    estimate: Estimate
    base_digest: str
    """sha256 over the base model's files."""
    base_parameters: Count
    memory: MemoryEstimate | None = None
    expected: Expectation | None = None


class ValidationSummary(LenientDocument):
    """Validations during the training, on a sample of the validation rows."""

    examples: Count
    """Rows in the sample."""
    step: Count
    """Step of the latest validation."""
    loss: Real
    """Of the latest validation, nats per supervised token."""
    accuracy: Real
    """Share of supervised tokens (of a classifier: labels) predicted correctly."""
    best_step: Count
    """Step with the lowest validation loss."""
    best_loss: Real


class TrainSummary(LenientDocument):
    """What training came to."""

    steps: Count
    loss: Real
    """Training loss of the last step, nats per supervised token."""
    tokens: Count
    seconds: Real
    """Wall time of the last attempt."""
    validation: ValidationSummary | None = None
    stopped_early: str = ""
    """Why, if it ended before its last step because of hyperparameters.earlyStopping."""
    published_step: Count | None = None
    """The step whose weights were taken; None: the last one."""
    checkpoints: list[CheckpointFigures] = []
    warnings: list[StageWarning] = []


class PublishSummary(LenientDocument):
    """What was measured and written."""

    evaluation: EvaluationReport
    size_bytes: Count
    manifest_sha256: str
    missing_artifacts: list[MissingArtifact] = []
    skew_check: SkewCheck | None = None
    warnings: list[StageWarning] = []


class InspectSummary(LenientDocument):
    """What a model directory says about itself, after its checksums were verified."""

    task: str
    type: str
    base: str
    artifacts: list[Artifact]
    """Without their file lists."""
    missing_artifacts: list[MissingArtifact] = []
    step: Count | None = None
    checkpoints: list[PublishedCheckpoint] = []
    size_bytes: Count
    evaluation: EvaluationReport | None = None
    job: str = ""
    spec_digest: str = ""
    dataset_digest: str = ""
    manifest_sha256: str = ""


class StageResult(LenientDocument):
    """One finished stage. Exactly one of `error` and the stage's own summary is set."""

    contract_version: int = CONTRACT_VERSION
    stage: Stage
    spec_digest: str = ""
    attempt: Count = 1
    exit_code: Count = 0
    error: StageError | None = None
    prepare: PrepareSummary | None = None
    train: TrainSummary | None = None
    publish: PublishSummary | None = None
    inspect: InspectSummary | None = None

    def termination_message(self) -> str:
        """The result as JSON of at most TERMINATION_MESSAGE_LIMIT bytes.

        What a person can do without goes first: an error's details, then its message's end; of a success the older checkpoints, the
        rarer labels and the later notes, then the reasons of hyperparameters, then the single results of parity, the
        intervals and the words of the gate, then checksums
        and losses of published checkpoints, then the ends of what is said of missing artifacts and in warnings, then the later warnings
        and missing artifacts.
        """
        texts = (smaller.to_json() for smaller in self._ever_smaller())
        return next(text for text in texts if len(text.encode()) <= TERMINATION_MESSAGE_LIMIT)

    def _ever_smaller(self) -> Iterator[Self]:
        yield self
        if self.error:
            yield from (self.model_copy(update={"error": error}) for error in _smaller_errors(self.error))
        if self.prepare:
            yield from (self.model_copy(update={"prepare": summary}) for summary in _smaller_summaries(self.prepare))
        if self.train:
            yield from (self.model_copy(update={"train": summary}) for summary in _smaller_trainings(self.train))
        for part in ("publish", "inspect"):
            summary = getattr(self, part)
            if summary:
                yield from (self.model_copy(update={part: smaller}) for smaller in _smaller_models(summary))
        raise ValueError(f"the result of {self.stage} does not fit into {TERMINATION_MESSAGE_LIMIT} bytes: {self.to_json()[:200]}...")


def _smaller_errors(error: StageError) -> Iterator[StageError]:
    for kept in range(len(error.details) - 1, -1, -1):
        yield error.model_copy(update={"details": error.details[:kept]})
    message = error.message
    while message:
        message = message[: len(message) * 3 // 4]
        yield error.model_copy(update={"details": [], "message": f"{message}..."})


def _smaller_trainings(summary: TrainSummary) -> Iterator[TrainSummary]:
    for kept in (10, 3, 0):
        checkpoints = [found for place, found in enumerate(summary.checkpoints) if place < kept or found.best]
        yield (summary := summary.model_copy(update={"checkpoints": checkpoints}))
    for length in (400, 100):
        warnings = [warning.model_copy(update={"message": _cut(warning.message, length)}) for warning in summary.warnings]
        yield (summary := summary.model_copy(update={"warnings": warnings, "stopped_early": _cut(summary.stopped_early, length)}))
    for kept in range(len(summary.warnings) - 1, -1, -1):
        yield summary.model_copy(update={"warnings": summary.warnings[:kept]})


def _smaller_models(summary: PublishSummary | InspectSummary) -> Iterator[PublishSummary | InspectSummary]:
    report = summary.evaluation
    cuts: list[dict[str, Any]] = [{"parity": []}, {"intervals": None}, {"gate": []}]
    for without in cuts:
        report = report.model_copy(update=without) if report else None
        yield (summary := summary.model_copy(update={"evaluation": report}))
    for fields in (("manifest_sha256",), ("loss", "validation_loss")):
        if isinstance(summary, InspectSummary):
            bare = [checkpoint.model_copy(update=dict.fromkeys(fields)) for checkpoint in summary.checkpoints]
            yield (summary := summary.model_copy(update={"checkpoints": bare}))
    for length in (800, 400, 100):
        cut = [missing.model_copy(update={"message": _cut(missing.message, length)}) for missing in summary.missing_artifacts]
        texts: dict[str, Any] = {"missing_artifacts": cut}
        if isinstance(summary, PublishSummary):
            warned = [warning.model_copy(update={"message": _cut(warning.message, length)}) for warning in summary.warnings]
            texts["warnings"] = warned
        if isinstance(summary, PublishSummary) and summary.skew_check and summary.skew_check.difference:
            texts["skew_check"] = summary.skew_check.model_copy(update={"difference": _cut(summary.skew_check.difference, length)})
        yield (summary := summary.model_copy(update=texts))
    for kept in (8, 4, 2):
        yield summary.model_copy(update={"missing_artifacts": summary.missing_artifacts[:kept]})


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


def _smaller_summaries(summary: PrepareSummary) -> Iterator[PrepareSummary]:
    bare = {name: found.model_copy(update={"reason": ""}) for name, found in summary.hyperparameters.items()}
    for labels, notes, parameters in ((10, 10, None), (5, 5, None), (5, 3, None), (5, 3, bare), (3, 1, bare), (0, 0, bare)):
        rows = summary.dataset
        fewer = {"labels": dict(list(rows.labels.items())[:labels]), "notes": rows.notes[:notes]}
        kept = {"dataset": rows.model_copy(update=fewer), "hyperparameters": parameters or summary.hyperparameters}
        yield summary.model_copy(update=kept)


def result_path(workspace: str, stage: Stage) -> str:
    """Where a stage leaves its result."""
    return f"{workspace}/results/{stage}.json"
