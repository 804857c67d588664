"""What prepare found, as a job's status shows it."""

from typing import Any

import pytest

from finetune_api.progress import CheckpointFigures
from finetune_api.resources.finetune_job_status import CheckpointStatus, FineTuneJobStatus
from finetune_api.result import (
    DatasetSummary,
    Expectation,
    MemoryEstimate,
    PublishSummary,
    Quantiles,
    StageResult,
    StageWarning,
    TrainSummary,
    ValidationSummary,
)
from finetune_operator.plan.common.models import evaluation_status, score_text
from finetune_operator.plan.job.results import (
    dataset_status,
    dataset_text,
    expected_status,
    finished_progress,
    memory_status,
    result_conditions,
    with_result,
)
from tests.unit.operator.samples import PREPARED, REPORT

GIB = 1 << 30
ROWS = DatasetSummary(train_examples=9000, validation_examples=1000, train_tokens=900_000, supervised_tokens=300_000, digest="d" * 64)
MEMORY = MemoryEstimate(
    weights=15 * GIB, gradients=GIB // 10, optimizer=GIB // 5, activations=4 * GIB, logits=GIB, runtime=GIB, total=21 * GIB,
    available=80 * GIB, available_from="training.gpuMemory", micro_batch_tokens=4096, accumulation=2,
)  # fmt: skip


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, "9,000 training examples, 1,000 validation examples, 900,000 tokens"),
        ({"label_count": 3}, "9,000 training examples, 1,000 validation examples, 900,000 tokens, 3 labels"),
        (
            {"invalid_rows": 1, "duplicates": 20, "without_target": 2},
            "9,000 training examples, 1,000 validation examples, 900,000 tokens; left out: 1 invalid row and 20 duplicates and 2 "
            "examples without supervised tokens",
        ),
        (
            {"truncated_examples": 1},
            "9,000 training examples, 1,000 validation examples, 900,000 tokens; 1 example truncated to maxSequenceLength",
        ),
    ],
)
def test_a_valid_dataset_in_one_line(more: dict[str, Any], text: str) -> None:
    """What is learnt from, and what was left out of it."""
    assert dataset_text(ROWS.model_copy(update=more)) == text


def test_a_dataset_in_the_status() -> None:
    """All counts; what is long is cut to what the schema lets through, which parsing it again proves."""
    rows = ROWS.model_copy(
        update={
            "format": "JSONL, OpenAI chat",
            "lengths": Quantiles(p50=10, p95=20, max=30),
            "labels": {f"{number}{'x' * 300}": number for number in range(30)},
            "label_count": 30,
            "notes": ["n" * 2000] * 12,
        }
    )
    found = FineTuneJobStatus.from_json(FineTuneJobStatus(dataset=dataset_status(rows)).to_json()).dataset
    assert found is not None
    assert found.lengths is not None
    assert (found.format, found.lengths.p95, found.label_count, len(found.labels), len(found.notes)) == (
        "JSONL, OpenAI chat",
        20,
        30,
        20,
        10,
    )
    assert (found.turns, found.truncated_tokens, found.invalid_rows, found.near_duplicates) == (None, 0, 0, 0)


def test_memory_in_one_line() -> None:
    """Needed and available memory, where that is known from, and the parts; or that the available memory is unknown."""
    assert memory_status(MEMORY).text == (
        "21.0 GiB of 80.0 GiB (training.gpuMemory): weights 15.0 GiB, gradients 102 MiB, optimizer 205 MiB, activations 4.0 GiB, "
        "logits 1.0 GiB, runtime 1.0 GiB"
    )
    unknown = memory_status(MEMORY.model_copy(update={"available": None}))
    assert unknown.available_bytes is None
    assert (unknown.text or "").startswith("21.0 GiB, available memory unknown; set training.gpuMemory")


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({"tokens": 1_234_000, "hours": 1.4, "cost": 8.4, "currency": "USD"}, "500 steps, 1.23 M tokens, about 1.4 h, about 8.40 USD"),
        ({"tokens": 999, "hours": 0.2}, "500 steps, 999 tokens, about 12 min"),
        ({"tokens": 2_000, "hours": 0.001}, "500 steps, 2 k tokens, less than a minute"),
        ({"tokens": 2_000, "basis": "the GPU X is unknown"}, "500 steps, 2 k tokens (the GPU X is unknown)"),
    ],
)
def test_the_expectation_in_one_line(found: dict[str, Any], text: str) -> None:
    """What is not known is not there."""
    assert expected_status(500, Expectation(**found)).text == text


def test_the_status_after_prepare() -> None:
    """All fields together, and the condition."""
    summary = PREPARED.model_copy(update={"memory": MEMORY, "expected": Expectation(tokens=5)})
    result = StageResult(stage="prepare", prepare=summary)
    status = with_result(FineTuneJobStatus(), result)
    assert status.memory is not None
    assert status.expected is not None
    assert (status.memory.micro_batch_tokens, status.memory.accumulation, status.expected.steps) == (4096, 2, 500)
    (update,) = result_conditions(result)
    assert (update.type, update.holds, update.message) == ("DatasetValid", True, "90 training examples, 10 validation examples, 900 tokens")


def test_scores_of_a_classifier() -> None:
    """Accuracy says more than a loss."""
    report = REPORT.model_copy(
        update={"base": {"loss": 1.1, "accuracy": 0.51, "f1": 0.4}, "tuned": {"loss": 0.2, "accuracy": 0.934, "f1": 0.92}}
    )
    assert score_text(report) == "accuracy 0.93 (base 0.51)"
    tuned = evaluation_status(report).tuned
    assert tuned is not None
    assert tuned == {"loss": 0.2, "accuracy": 0.934, "f1": 0.92}
    assert score_text(REPORT) == "loss 2.50 (base 4.03)"


def test_the_status_after_a_validated_training() -> None:
    """Both losses, and the step at which the validation loss was lowest."""
    validation = ValidationSummary(examples=32, step=500, loss=2.25, accuracy=0.5, best_step=400, best_loss=2.125)
    result = StageResult(stage="train", train=TrainSummary(steps=500, loss=1.5, tokens=9000, seconds=60, validation=validation))
    status = with_result(FineTuneJobStatus(), result)
    assert (status.loss_text, status.validation_loss_text) == ("1.500", "2.250")
    update, overfitting = result_conditions(result)
    assert (overfitting.type, overfitting.holds) == ("Overfitting", False)
    assert update.message == "500 steps, training loss 1.500, validation loss 2.250, lowest 2.125 at step 400"


def test_a_training_that_stopped_early() -> None:
    """The steps that it made of those that were planned, why it ended, which step is published, and the checkpoints."""
    validation = ValidationSummary(examples=32, step=120, loss=2.25, accuracy=0.5, best_step=90, best_loss=2.125)
    summary = TrainSummary(
        steps=120, loss=1.5, tokens=9000, seconds=60, validation=validation, stopped_early="the validation loss has not improved",
        published_step=90, checkpoints=[CheckpointFigures(step=90, validation_loss=2.125, best=True)],
        warnings=[StageWarning(code="Overfitting", message="the validation loss rose")],
    )  # fmt: skip
    result = StageResult(stage="train", train=summary)
    status = with_result(FineTuneJobStatus(total_steps=500), result)
    assert (status.progress_text, status.trained_steps, status.published_step) == ("stopped early (120/500)", 120, 90)
    assert [(found.step, found.validation_loss, found.best) for found in status.checkpoints] == [(90, 2.125, True)]
    assert finished_progress(status).progress_text == "stopped early (120/500)"
    trained, overfitting = result_conditions(result)
    assert (trained.holds, trained.reason) == (True, "StoppedEarly")
    assert trained.message.endswith("the weights of step 90 are published; stopped early: the validation loss has not improved")
    assert (overfitting.type, overfitting.holds, overfitting.message) == ("Overfitting", True, "the validation loss rose")


@pytest.mark.parametrize(("code", "uri"), [(None, None), ("CheckpointCopiesLeft", "s3://safe/1"), ("TrackerUnavailable", None)])
def test_the_addresses_of_copies_stay_as_long_as_the_copies(code: str | None, uri: str | None) -> None:
    """publish deletes them; where it could not, the user has to."""
    warnings = [StageWarning(code=code, message="because")] if code else []
    summary = PublishSummary(evaluation=REPORT, size_bytes=1, manifest_sha256="e" * 64, warnings=warnings)
    status = FineTuneJobStatus(checkpoints=[CheckpointStatus(step=10, uri="s3://safe/1")])
    assert [found.uri for found in with_result(status, StageResult(stage="publish", publish=summary)).checkpoints] == [uri]
