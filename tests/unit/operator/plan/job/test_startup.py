"""Between a Job and its running pods."""

from dataclasses import replace
from typing import Any

import pytest

from finetune_api.resources.common import ErrorStatus
from finetune_operator.objects.records import WarningEvent
from finetune_operator.plan.common.clock import rfc3339
from finetune_operator.plan.common.conditions import find
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.plan.job.snapshots import active, attempt, observed, ready_message, shown, starting, status, status_of, waiting_pod
from tests.unit.operator.samples import (
    T,
    batch,
    condition,
    pod,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("begun", "shown_"), [(T, ("Failed", "Unschedulable")), (T + 60_000, ("Queued", "Unschedulable"))])
def test_the_schedule_timeout_bounds_all_attempts_without_room(begun: float, shown_: tuple[str, str]) -> None:
    """Attempts that follow each other wait for the same room."""
    before = attempt("train", 1, "Interrupted", reason="Unschedulable", started_at=rfc3339(begun), finished_at=rfc3339(T + 86_000))
    state = status(attempt("prepare", 1), before, active("train", 2, started_at=rfc3339(T + 86_030)))
    unplaced = pod("tune-train-2-0-x", "tune-train-2", **{"phase": "Pending", "started": None, **NO_ROOM})
    late = observed(state, jobs={"tune-train-2": batch("tune-train-2")}, pods=(unplaced,))
    assert shown(plan_job(late, T + 86_410)) == shown_


NO_SECRET = {"waiting_reason": "CreateContainerConfigError", "waiting_message": 'secret "s3" not found'}


NO_ROOM = {"scheduled": False, "node": "", "scheduled_at": None, "scheduling_message": "0/1 nodes are available: 1 Insufficient cpu."}


NO_CLAIM = {**NO_ROOM, "scheduling_message": 'persistentvolumeclaim "data" not found'}


def test_a_missing_secret_is_shown_while_it_is_waited_for() -> None:
    """Condition, error and column name the Secret; the job continues when it exists."""
    plan = starting((waiting_pod(**NO_SECRET),))
    assert shown(plan) == ("Starting", "SecretNotFound")
    error = status_of(plan).error
    assert error is not None
    assert (error.object, error.code) == ("Secret s3", "SecretNotFound")
    assert "create the Secret" in error.message
    assert find(status_of(plan).conditions, "Stalled") == condition("Stalled", "False", "SecretNotFound", at=T + 30).model_copy(
        update={"observed_generation": 1}
    )


def mounting(source: str) -> dict[str, Any]:
    """A dataset from this source, with a Secret."""
    return {"dataset": {"train": {"source": source, "credentials": {"secretRef": {"name": "s3"}}}}}


NO_KEY = 'MountVolume.SetUp failed for volume "source-train" : references non-existent config key: a.jsonl'


@pytest.mark.parametrize(
    ("source", "blocked", "events", "object_", "param"),
    [
        ("s3://bucket/a.jsonl", NO_SECRET, (), "Secret s3", "dataset.train.credentials.secretRef.name"),
        ("pvc://data/a.jsonl", NO_CLAIM, (), "PersistentVolumeClaim data", "dataset.train.source"),
        ("configmap://rows/a.jsonl", {}, (NO_KEY,), "ConfigMap rows", "dataset.train.source"),
        ("s3://bucket/a.jsonl", NO_CLAIM, (), "PersistentVolumeClaim data", None),
    ],
)
def test_what_is_missing_is_named_with_its_field(
    source: str, blocked: dict[str, Any], events: tuple[str, ...], object_: str, param: str | None
) -> None:
    """While the job waits and after it has failed; the message then says that a new job is needed."""
    found = waiting_pod(**blocked)
    warnings = tuple(WarningEvent("Pod", found.meta.name, "FailedMount", text, T + 900) for text in events)
    jobs = {"tune-prepare-1": batch("tune-prepare-1")}
    seen = observed(status(active("prepare")), mounting(source), jobs=jobs, pods=(found,), warnings=warnings)
    waits, failed = (status_of(plan_job(seen, now)).error for now in (T + 30, T + 901))
    assert waits is not None
    assert failed is not None
    assert [(error.object, error.param) for error in (waits, failed)] == [(object_, param)] * 2
    assert failed.message.endswith("delete the job and create it again")


def test_a_missing_secret_fails_the_job_at_the_start_deadline() -> None:
    """And takes the Job away."""
    plan = starting((waiting_pod(**NO_SECRET),), now=T + 901)
    assert shown(plan) == ("Failed", "SecretNotFound")
    assert "limits.startDeadline (15m)" in ready_message(plan)
    assert [ref.name for ref in plan.delete] == ["tune-prepare-1"]
    assert status_of(plan).attempts[0].state == "Failed"


def test_the_start_deadline_counts_from_when_the_pod_got_its_node() -> None:
    """Hours in the queue are not held against the image."""
    late = waiting_pod(scheduled_at=T + 7200.0, waiting_reason="ContainerCreating")
    assert shown(starting((late,), now=T + 7260)) == ("Starting", "PodsStarting")
    assert shown(starting((late,), now=T + 7200 + 901)) == ("Failed", "StartDeadlineExceeded")


def test_lack_of_room_is_queued_and_bounded_by_the_schedule_timeout() -> None:
    """Autoscalers take their time."""
    assert shown(starting((waiting_pod(**NO_ROOM),), now=T + 80_000)) == ("Queued", "Unschedulable")
    assert shown(starting((waiting_pod(**NO_ROOM),), now=T + 86_401)) == ("Failed", "Unschedulable")
    assert status_of(starting((waiting_pod(**NO_ROOM),))).error is None


def test_a_missing_claim_counts_to_the_start_deadline() -> None:
    """It is not a matter of room."""
    assert shown(starting((waiting_pod(**NO_CLAIM),))) == ("Starting", "VolumeClaimNotFound")
    assert shown(starting((waiting_pod(**NO_CLAIM),), now=T + 901)) == ("Failed", "VolumeClaimNotFound")


def test_a_job_that_kueue_holds_is_queued() -> None:
    """And resumes its clock when Kueue lets it go."""
    assert shown(starting(batch={"suspended": True}, now=T + 5000)) == ("Queued", "QueuedByKueue")
    assert shown(starting(batch={"started": T + 5000}, now=T + 5100)) == ("Starting", "PodsStarting")


def test_a_quota_is_shown_from_the_job_s_events() -> None:
    """No pod exists to say so."""
    event = WarningEvent("Job", "tune-prepare-1", "FailedCreate", "exceeded quota: gpus, requested", T + 20)
    plan = starting(warnings=(event,))
    assert shown(plan) == ("Starting", "QuotaExceeded")


def test_all_pods_must_run() -> None:
    """Starting until the last rank runs; then the stage's own phase."""
    state = status(attempt("prepare", 1), active("train"))
    jobs = {"tune-train-1": batch("tune-train-1")}
    two = {"training": {"nodes": 2}, "workspace": {"storage": {"accessMode": "ReadWriteMany"}}}
    first, second = pod("tune-train-1-0-x", "tune-train-1"), pod("tune-train-1-1-x", "tune-train-1")
    half = plan_job(observed(state, two, jobs=jobs, pods=(first, replace(second, phase="Pending"))), T + 15)
    assert shown(half) == ("Starting", "PodsStarting")
    full = plan_job(observed(state, two, jobs=jobs, pods=(first, second)), T + 15)
    assert shown(full) == ("Training", "Training")
    assert status_of(full).attempts[-1].state == "Running"


def test_a_job_that_its_queue_takes_back_begins_its_wait_anew() -> None:
    """Kueue may evict days later: the limit counts from then on, and the GPU seconds until then are recorded."""
    state = status(attempt("prepare", 1), attempt("train", 1, "Running", finished_at=None))
    jobs = {"tune-train-1": batch("tune-train-1", suspended=True)}
    plan = plan_job(observed(state, {"training": {"gpusPerNode": 1}}, jobs=jobs), T + 500_000)
    assert shown(plan) == ("Queued", "QueuedByKueue")
    usage = status_of(plan).usage
    assert usage is not None
    assert usage.gpu_seconds == 500_000
    assert status_of(plan).attempts[-1].started_at == rfc3339(T + 500_000)


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ("pod p: failed to pull: not found", 'Back-off pulling image "x:1"', True),
        ("pod p: failed to pull: not found", "unauthorized", False),
    ],
)
def test_a_pull_s_cause_stays_while_the_kubelet_backs_off(old: str, new: str, kept: bool) -> None:
    """The status does not alternate with the kubelet's words."""
    error = ErrorStatus(code="ImagePullFailed", message=old)
    plan = starting((waiting_pod(waiting_reason="ImagePullBackOff", waiting_message=new),), status={"error": error})
    assert (ready_message(plan) == old) is kept
