"""The progress of a running stage."""

from dataclasses import replace
from typing import Any

import pytest

from finetune_api.progress import CheckpointFigures, MicroBatches, Progress
from finetune_api.resources.finetune_job_status import MemoryStatus, ProgressStatus
from finetune_operator.plan.common.clock import rfc3339
from finetune_operator.plan.common.plan import Plan
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.plan.job.snapshots import attempt, observed, status, status_of
from tests.unit.operator.samples import (
    T,
    batch,
    pod,
)

pytestmark = pytest.mark.unit


def at_work(progress: Progress | None, old: dict[str, Any], now: float) -> Plan:
    state = status(attempt("prepare", 1), attempt("train", 1, "Running", finished_at=None), **old)
    jobs = {"tune-train-1": batch("tune-train-1")}
    pods = (pod("tune-train-1-0-x", "tune-train-1"),)
    settled = replace(observed(state, jobs=jobs, pods=pods))
    first = status_of(plan_job(settled, now))
    return plan_job(replace(settled, job=replace(settled.job, status=first), progress=progress), now)


STEP = Progress(stage="train", activity="training", step=310, total_steps=500, loss=2.5031, eta_seconds=4320.0, checkpoint_step=300)


def test_progress_is_shown_as_people_read_it() -> None:
    """Percent and steps, the time left, the loss."""
    found = status_of(at_work(STEP, {}, T + 60))
    assert (found.progress_text, found.eta, found.loss_text) == ("62% (310/500)", "1h12m", "2.503")


def test_the_micro_batches_in_effect_are_shown() -> None:
    """They replace what prepare planned, and its estimate stays; a line that says nothing of them changes nothing."""
    planned = MemoryStatus(text="21.3 GiB", total_bytes=5, micro_batch_tokens=4096, accumulation=1, gradient_checkpointing=True)
    halved = STEP.model_copy(update={"micro_batches": MicroBatches(tokens=2048, accumulation=2)})
    expected = planned.model_copy(update={"micro_batch_tokens": 2048, "accumulation": 2, "gradient_checkpointing": False})
    assert status_of(at_work(halved, {"memory": planned}, T + 60)).memory == expected
    assert status_of(at_work(STEP, {"memory": planned}, T + 60)).memory == planned


@pytest.mark.parametrize(
    ("text", "age", "written"),
    [("60% (300/500)", 14, False), ("60% (300/500)", 15, True), ("62% (310/500)", 600, False)],
)
def test_progress_is_written_seldom(text: str, age: int, written: bool) -> None:
    """At most once in 15 s, and only when the text differs."""
    old = {"progress_text": text, "eta": "1h12m", "loss_text": "2.503", "progress": ProgressStatus(updated_at=rfc3339(T + 60 - age))}
    assert (at_work(STEP, old, T + 60).status is not None) is written


def test_the_latest_validation_loss_is_shown_beside_the_training_loss() -> None:
    """It is kept while lines say nothing of it, and a new one is written although nothing else has changed."""
    validated = STEP.model_copy(update={"validation_loss": 2.7184, "validation_accuracy": 0.5})
    found = status_of(at_work(validated, {}, T + 60))
    assert (found.loss_text, found.validation_loss_text, found.progress.validation_accuracy) == ("2.503", "2.718", 0.5)
    old = {"progress_text": "62% (310/500)", "eta": "1h12m", "loss_text": "2.503", "validation_loss_text": "2.9"}
    assert status_of(at_work(validated, old, T + 60)).validation_loss_text == "2.718"
    assert at_work(STEP, old, T + 60).status is None


def test_overfitting_is_a_condition_and_an_event_while_the_training_runs() -> None:
    """Once, with the figures; without validations nothing is said of it."""
    rising = STEP.model_copy(update={"validation_loss": 2.7, "overfitting": "the validation loss rose from 2.1 to 2.7"})
    plan = at_work(rising, {}, T + 60)
    (found,) = [condition for condition in status_of(plan).conditions if condition.type == "Overfitting"]
    assert (found.status, found.reason, found.message) == ("True", "ValidationLossRises", rising.overfitting)
    assert [note.message for note in plan.events if note.reason == "ValidationLossRises"] == [rising.overfitting]
    assert not [condition for condition in status_of(at_work(STEP, {}, T + 60)).conditions if condition.type == "Overfitting"]


def test_checkpoints_are_listed() -> None:
    """As many as a status can hold, the best one among them; a line that says nothing of them keeps them."""
    figures = [CheckpointFigures(step=step, validation_loss=1.0 + step, best=step == 1) for step in range(300, 0, -1)]
    listed = status_of(at_work(STEP.model_copy(update={"checkpoints": figures}), {}, T + 60)).checkpoints
    assert (len(listed), listed[0].step, listed[-1].step, listed[-1].best) == (20, 300, 1, True)
    assert status_of(at_work(STEP, {"checkpoints": listed}, T + 60)).checkpoints == listed


def test_another_stage_s_line_is_passed_over() -> None:
    """The log of the last stage's pod may still be read."""
    assert at_work(STEP.model_copy(update={"stage": "prepare"}), {}, T + 60).status is None
