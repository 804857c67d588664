"""Stages that must run again because their workspace is gone."""

import pytest

from finetune_api.resources.finetune_job_status import Attempt
from finetune_operator.plan.common.observed import ObservedJob
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.plan.job.snapshots import active, attempt, observed, ready_message, status, status_of
from tests.unit.operator.samples import (
    JOB_UID,
    SETTINGS,
    T,
    batch,
    claim,
    job,
)

pytestmark = pytest.mark.unit


def test_a_lost_workspace_starts_again_from_prepare() -> None:
    """A stage must not find an empty volume where the last one has left its work."""
    plan = plan_job(observed(status(attempt("prepare", 1), active("train", job_uid=None)), claims={}), T)
    assert plan.create == ()
    assert [(a.state, a.reason) for a in status_of(plan).attempts] == [("Interrupted", "WorkspaceLost")] * 2


def test_a_lost_workspace_with_copies_of_its_checkpoints() -> None:
    """prepare runs again, and the training is a new attempt: only later ones look for a copy in the store."""
    stored = {"checkpoints": {"store": {"uri": "s3://safe/team"}}}
    before = (attempt("prepare", 1), attempt("train", 1, "Failed", reason="NodeLost"), active("train", 2, job_uid=None))
    plan = plan_job(observed(status(*before), stored, claims={}), T)
    assert [(a.state, a.reason) for a in status_of(plan).attempts[-1:]] == [("Interrupted", "WorkspaceLost")]
    assert "the training resumes from the newest copy in checkpoints.store, if there is one" in ready_message(plan)
    again = status(*status_of(plan).attempts, attempt("prepare", 2))
    after = status_of(plan_job(observed(again, stored), T + 1000))
    assert (after.attempts[-1].stage, after.attempts[-1].number) == ("train", 3)


def test_ended_jobs_let_go_of_a_workspace_that_somebody_deletes() -> None:
    """Even an ended pod holds its claim, and a new workspace needs the old one gone."""
    going = {"tune-workspace": claim("tune-workspace", deleting=True, owners=frozenset({JOB_UID}))}
    state = status(attempt("prepare", 1), Attempt(stage="train", number=1))
    jobs = {"tune-prepare-1": batch("tune-prepare-1", complete=True, terminated=True)}
    plan = plan_job(ObservedJob(job(status=state), SETTINGS, jobs=jobs, claims=going), T)
    assert plan.create == ()
    assert [ref.name for ref in plan.delete] == ["tune-prepare-1"]
