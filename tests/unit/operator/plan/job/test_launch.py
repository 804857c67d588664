"""The Job of an attempt, and the next attempt."""

from dataclasses import replace

import pytest

from finetune_api.resources.common import ErrorStatus
from finetune_api.run_config import RunConfig
from finetune_operator.objects.records import WarningEvent
from finetune_operator.plan.common.clock import rfc3339
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.plan.job.snapshots import active, attempt, created, observed, ready_message, shown, status, status_of
from tests.unit.operator.samples import (
    JOB_UID,
    SETTINGS,
    T,
    claim,
    pod,
)

pytestmark = pytest.mark.unit


def test_a_recorded_attempt_is_created_with_its_children() -> None:
    """The Job and what its pods mount."""
    plan = plan_job(observed(status(active("prepare", job_uid=None)), claims={}), T)
    assert [obj["kind"] for obj in plan.create] == ["ConfigMap", "PersistentVolumeClaim", "Job"]
    assert created(plan) == ["tune-prepare-1"]


def test_what_the_administrator_allows_is_in_the_run_config() -> None:
    """It is taken from the operator's settings when the job starts."""
    settings = replace(SETTINGS, allowed_private=("10.0.0.0/8", "data.internal"))
    plan = plan_job(replace(observed(status(active("prepare", job_uid=None)), claims={}), settings=settings), T)
    (written,) = (thing for thing in plan.create if thing["kind"] == "ConfigMap")
    assert RunConfig.from_json(written["data"]["run.json"]).network.allowed_private == ["10.0.0.0/8", "data.internal"]


def test_children_that_exist_are_not_applied_again() -> None:
    """The run config keeps its content for the job's life."""
    there = frozenset({"ConfigMap/tune-run", "Service/tune-train"})
    plan = plan_job(observed(status(attempt("prepare", 1), active("train", job_uid=None)), applied=there), T)
    assert plan.apply == ()
    assert created(plan) == ["tune-train-1"]


def test_the_model_volume_is_made_when_publish_starts() -> None:
    """Sized from prepare's estimate and a fifth, owned by the job for now."""
    there = frozenset({"ConfigMap/tune-run"})
    state = status(attempt("prepare", 1), attempt("train", 1), active("publish", job_uid=None), model_bytes=3 * 1024**3)
    plan = plan_job(observed(state, applied=there), T)
    (volume,) = plan.apply
    assert volume["metadata"]["name"] == "tune-model"
    assert volume["metadata"]["labels"]["finetune.dev/model"] == "tune"
    assert volume["metadata"]["ownerReferences"][0]["uid"] == JOB_UID
    assert volume["spec"]["resources"]["requests"]["storage"] == "4Gi"


def test_the_next_attempt_waits_for_the_last_one_s_pods() -> None:
    """Two pods with the same rank must never write at the same time."""
    left = pod("tune-train-1-0-x", "tune-train-1", gone_by=T + 100)
    state = status(attempt("prepare", 1), attempt("train", 1, "Interrupted", running_at=rfc3339(T - 600)))
    plan = plan_job(observed(state, pods=(left,)), T + 50)
    assert shown(plan) == ("Starting", "PodsEnding")
    assert len(status_of(plan).attempts) == 2


def test_a_pod_on_a_lost_node_holds_the_next_attempt_back_and_says_so() -> None:
    """Nobody can tell whether it still writes, until its Node is gone or marked out of service."""
    left = pod("tune-train-1-0-x", "tune-train-1", gone_by=T)
    state = status(attempt("prepare", 1), attempt("train", 1, "Interrupted", running_at=rfc3339(T - 600)))
    plan = plan_job(observed(state, pods=(left,)), T + 500)
    assert shown(plan) == ("Starting", "NodeLost")
    assert status_of(plan).error == ErrorStatus(code="NodeLost", message=ready_message(plan), object="Node n1")
    assert "out-of-service" in ready_message(plan)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 10), (2, 20), (3, 40), (6, 300)])
def test_counted_retries_back_off(failures: int, seconds: int) -> None:
    """Ten seconds, doubled with each failure in a row, five minutes at most."""
    tries = [attempt("train", n, "Failed", counted=True, reason="Stalled") for n in range(1, failures + 1)]
    state = status(attempt("prepare", 1), *tries, restarts=failures)
    early = plan_job(observed(state, {"limits": {"maxRestarts": 9}}), T + seconds - 1)
    assert len(status_of(early).attempts) == failures + 1
    assert early.requeue_after == 1.0
    late = plan_job(observed(state, {"limits": {"maxRestarts": 9}}), T + seconds)
    assert len(status_of(late).attempts) == failures + 2


@pytest.mark.parametrize(
    ("reason", "ran", "waits"),
    [("Preempted", 600, False), ("Preempted", 5, True), ("Suspended", 5, False)],
)
def test_an_interruption_that_came_at_once_backs_off(reason: str, ran: int, waits: bool) -> None:
    """The next attempt starts immediately after one that ran for a while, but not after one that a node rejected immediately."""
    over = attempt("train", 1, "Interrupted", reason=reason, running_at=rfc3339(T - ran))
    plan = plan_job(observed(status(attempt("prepare", 1), over)), T)
    assert len(status_of(plan).attempts) == (2 if waits else 3)


def test_old_attempts_give_way_to_new_ones() -> None:
    """The list is bounded; numbers are not reused, and the newest attempt of each stage is kept."""
    tries = [attempt("train", n, "Interrupted", reason="Suspended") for n in range(1, 90)]
    found = status_of(plan_job(observed(status(attempt("prepare", 1), *tries)), T)).attempts
    assert len(found) == 64
    assert (found[0].stage, found[-1].number) == ("prepare", 90)


def test_a_refused_child_is_shown_and_tried_again() -> None:
    """Admission policies and quotas on claims speak at creation."""
    refusal = WarningEvent("Job", "tune-prepare-1", "Refused", "denied by policy no-jobs", T)
    state = status(active("prepare", job_uid=None))
    plan = plan_job(observed(state, refusal=refusal), T + 5)
    assert shown(plan) == ("Pending", "Refused")
    assert created(plan) == ["tune-prepare-1"]
    late = plan_job(observed(state, refusal=refusal), T + 901)
    assert (shown(late), late.create) == (("Failed", "Refused"), ())


def test_a_claim_of_another_owner_is_not_taken() -> None:
    """What an earlier job of the same name has left is waited for."""
    foreign = {"tune-workspace": claim("tune-workspace", owners=frozenset({"old"}))}
    plan = plan_job(observed(status(active("prepare", job_uid=None)), claims=foreign), T + 5)
    assert (shown(plan), plan.create, plan.apply) == (("Pending", "NameTaken"), (), ())
