"""The chain of policies, and the plan of a job that is over."""

from dataclasses import replace

import pytest

from finetune_api.resources.finetune_job_status import Attempt, FineTuneJobStatus
from finetune_operator.plan.common.conditions import find
from finetune_operator.plan.common.observed import ObservedJob
from finetune_operator.plan.common.plan import Plan
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.plan.job.snapshots import active, attempt, observed, starting, status, status_of, waiting_pod
from tests.unit.operator.samples import (
    JOB_UID,
    SETTINGS,
    T,
    batch,
    condition,
    job,
    meta,
)

pytestmark = pytest.mark.unit


def test_first_sight_writes_conditions_and_records_the_attempt_only() -> None:
    """Nothing is created before the attempt is in the status; the conditions for kstatus are there from the start."""
    plan = plan_job(observed(FineTuneJobStatus()), T)
    assert not (plan.apply or plan.create or plan.delete)
    found = status_of(plan)
    assert [(a.stage, a.number, a.state, a.job_uid) for a in found.attempts] == [("prepare", 1, "Pending", None)]
    assert {c.type: c.status for c in found.conditions} == {
        "Ready": "False", "Reconciling": "True", "Stalled": "False", "Suspended": "False",
    }  # fmt: skip
    assert (found.observed_generation, found.model, found.base, found.image) == (1, "tune", "pvc://models/smol", "registry/trainer:1")


@pytest.mark.parametrize("state", ["Succeeded", "Failed", "Interrupted"])
def test_a_job_of_a_finished_attempt_is_deleted_when_it_runs(state: str) -> None:
    """There are never two live attempts."""
    old, new = batch("tune-train-1"), batch("tune-train-2")
    attempts = status(attempt("prepare", 1), attempt("train", 1, state, counted=True), active("train", 2))
    plan = plan_job(observed(attempts, jobs={"tune-train-1": old, "tune-train-2": new}), T)
    assert [ref.name for ref in plan.delete] == ["tune-train-1"]


def test_a_spec_that_cannot_be_read_is_stalled() -> None:
    """A CRD newer than the operator; nothing is touched."""
    broken = replace(job(), spec=None, spec_error="spec.task: unknown value 'video'")
    plan = plan_job(ObservedJob(broken, SETTINGS), T)
    assert (find(status_of(plan).conditions, "Stalled") or condition("x", "False")).reason == "InvalidSpec"
    assert (plan.apply, plan.create, plan.delete) == ((), (), ())


def test_a_job_that_is_being_deleted_is_left_alone() -> None:
    """Its children are collected."""
    going = replace(job(), meta=meta("tune", JOB_UID, deleting=True))
    assert plan_job(ObservedJob(going, SETTINGS), T) == Plan()


def test_the_same_snapshot_gives_the_same_plan_and_then_none() -> None:
    """Writing the planned status leaves nothing to write."""
    seen = observed(status(active("prepare")), jobs={"tune-prepare-1": batch("tune-prepare-1")})
    plan = plan_job(seen, T + 5)
    assert plan == plan_job(seen, T + 5)
    assert plan_job(replace(seen, job=replace(seen.job, status=status_of(plan))), T + 6).status is None


def test_a_job_that_waits_for_its_first_attempt_takes_the_operator_s_image() -> None:
    """Its run config will be of this operator's version, which an earlier image might not read."""
    plan = plan_job(observed(status()), T)
    assert isinstance(plan.status, FineTuneJobStatus)
    assert plan.status.image == "registry/trainer:1"
    later = plan_job(observed(status(attempt("prepare", 1))), T).status
    assert isinstance(later, FineTuneJobStatus) and later.image == "pinned"


def test_the_image_is_pinned_for_the_job_s_life() -> None:
    """A chart upgrade under a running job changes no pod."""
    plan = plan_job(observed(status(active("prepare", job_uid=None))), T)
    assert plan.create[-1]["spec"]["template"]["spec"]["containers"][0]["image"] == "pinned"


def test_a_status_that_others_have_written_does_not_break_the_plan() -> None:
    """Times that are none, an attempt of a number from nowhere."""
    odd = status(Attempt(stage="train", number=7, state="Failed", finished_at="yesterday"), started_at="never", conditions=[])
    plan = plan_job(observed(odd), T)
    assert status_of(plan).attempts[-1].stage == "prepare"


def test_every_status_fits_the_schema() -> None:
    """However long the kubelet's words are."""
    long = waiting_pod(waiting_reason="CreateContainerError", waiting_message="x" * 50_000)
    found = status_of(starting((long,), now=T + 901))
    assert FineTuneJobStatus.from_json(found.to_json()) == found
