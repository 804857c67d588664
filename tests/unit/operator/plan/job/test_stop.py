"""Pause, cancel and deadline."""

import json
from dataclasses import replace
from typing import Any

import pytest

from finetune_api.resources.finetune_job_status import FineTuneJobStatus, ProgressStatus, StageName
from finetune_operator.objects.names import MODEL_LABEL
from finetune_operator.objects.records import Pod
from finetune_operator.plan.common.plan import Plan
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.plan.job.snapshots import attempt, observed, shown, status, status_of
from tests.unit.operator.samples import (
    JOB_UID,
    T,
    batch,
    claim,
    condition,
    pod,
)

pytestmark = pytest.mark.unit


def stopping(change: dict[str, Any], pods: tuple[Pod, ...], with_job: bool, now: float = T + 60, **more: Any) -> Plan:
    state = status(attempt("prepare", 1), attempt("train", 1, "Running", finished_at=None), **more)
    jobs = {"tune-train-1": batch("tune-train-1")} if with_job else {}
    return plan_job(observed(state, change, jobs=jobs, pods=pods), now)


RANK = pod("tune-train-1-0-x", "tune-train-1")


SUSPEND = {"suspend": True}


CANCEL = {"cancel": True}


DEADLINE = {"limits": {"deadline": "30s"}}


@pytest.mark.parametrize(("change", "reason"), [(SUSPEND, "Suspending"), (CANCEL, "Cancelling"), (DEADLINE, "DeadlineExceeded")])
def test_a_stop_deletes_the_job_and_waits_for_its_pods(change: dict[str, Any], reason: str) -> None:
    """SIGTERM leaves training the time for a checkpoint."""
    plan = stopping(change, (RANK,), with_job=True)
    assert ([ref.name for ref in plan.delete], shown(plan)) == (["tune-train-1"], ("Training", reason))
    after = stopping(change, (replace(RANK, gone_by=T + 180),), with_job=False)
    assert (after.delete, shown(after)) == ((), ("Training", reason))


@pytest.mark.parametrize(
    ("change", "phase", "reason", "ready", "stalled"),
    [
        (SUSPEND, "Paused", "Suspended", None, "False"),
        (CANCEL, "Cancelled", "Cancelled", "False", "True"),
        (DEADLINE, "Failed", "DeadlineExceeded", "False", "True"),
    ],
)
def test_a_stop_is_over_when_the_pods_have_gone(change: dict[str, Any], phase: str, reason: str, ready: str | None, stalled: str) -> None:
    """Paused is neither reconciling nor stalled, and without Ready current for kstatus; cancelled and late are failed."""
    plan = stopping(change, (), with_job=False)
    found = status_of(plan)
    assert shown(plan) == (phase, reason)
    kinds = {c.type: c.status for c in found.conditions}
    assert (kinds.get("Ready"), kinds["Reconciling"], kinds["Stalled"]) == (ready, "False", stalled)
    assert (found.attempts[-1].state, found.attempts[-1].counted, found.restarts) == ("Interrupted", False, 0)
    assert found.active_seconds == 60


def test_a_job_suspended_from_its_creation_makes_no_pods() -> None:
    """Not even a claim."""
    plan = plan_job(observed(FineTuneJobStatus(), SUSPEND, claims={}), T)
    assert shown(plan) == ("Paused", "Suspended")
    assert (plan.apply, plan.create, status_of(plan).attempts) == ((), (), [])


def test_a_pause_does_not_promise_an_older_checkpoint() -> None:
    """SIGTERM makes a checkpoint after the last progress line that was read."""
    state = status(attempt("prepare", 1), attempt("train", 1, state="Interrupted"))
    state = state.model_copy(update={"progress": ProgressStatus(step=28, total_steps=45, checkpoint_step=25)})
    plan = plan_job(observed(state, SUSPEND), T)
    assert "resume from the latest checkpoint (step 25 or later)" in json.dumps(status_of(plan).to_dict())


def test_the_pause_is_not_counted() -> None:
    """activeSeconds grows while the job may run only; the deadline goes by it."""
    state = status(attempt("prepare", 1), conditions=[condition("Suspended", "False", at=T)])
    paused = status_of(plan_job(observed(state, SUSPEND), T + 100))
    assert paused.active_seconds == 100
    later = plan_job(observed(paused, SUSPEND), T + 5000)
    assert later.status is None
    resumed = status_of(plan_job(observed(paused, {"limits": {"deadline": "200s"}}), T + 5000))
    assert resumed.phase == "Starting"
    over = plan_job(observed(resumed, {"limits": {"deadline": "200s"}}), T + 5101)
    assert shown(over) == ("Failed", "DeadlineExceeded")


@pytest.mark.parametrize(
    ("done", "phase", "reason"),
    [(("prepare", "train"), "Failed", "DeadlineExceeded"), (("prepare", "train", "publish"), "Evaluating", "Registering")],
)
def test_a_deadline_does_not_throw_a_finished_model_away(done: tuple[StageName, ...], phase: str, reason: str) -> None:
    """All that is left to do is to register it and to verify its files."""
    state = status(*(attempt(stage, 1) for stage in done))
    volume = claim("tune-model", owners=frozenset({JOB_UID}), labels={MODEL_LABEL: "tune"})
    claims = {"tune-workspace": claim("tune-workspace", owners=frozenset({JOB_UID})), "tune-model": volume}
    plan = plan_job(observed(state, DEADLINE, claims=claims), T + 60)
    assert shown(plan) == (phase, reason)
    assert [obj["kind"] for obj in plan.create] == (["FineTunedModel"] if reason == "Registering" else [])
    assert plan.requeue_after is None or plan.requeue_after >= 5


def test_resuming_is_a_new_attempt_that_does_not_count() -> None:
    """It resumes from the newest checkpoint."""
    state = status(attempt("prepare", 1), attempt("train", 1, "Interrupted", reason="Suspended"))
    found = status_of(plan_job(observed(state), T))
    assert (found.attempts[-1].number, found.restarts) == (2, 0)


def test_cancelling_does_not_wait_for_a_lost_node() -> None:
    """A pause does: its pod may still write what the next attempt reads."""
    left = (replace(RANK, gone_by=T - 600),)
    assert shown(stopping(CANCEL, left, with_job=False)) == ("Cancelled", "Cancelled")
    assert shown(stopping(SUSPEND, left, with_job=False)) == ("Training", "Suspending")
