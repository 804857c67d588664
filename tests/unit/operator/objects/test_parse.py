"""From raw objects to records, with any field missing in the status."""

from typing import Any

import pytest

from finetune_operator.objects.parse import parse, timestamp, warning_event
from finetune_operator.objects.records import BatchJob, FineTuneJob, Pod, Presence, Workload
from finetune_operator.objects.resources import CLAIMS, CONFIG_MAPS, DEPLOYMENTS, FINETUNE_JOBS, JOBS, PODS
from tests.unit.operator import raw

pytestmark = pytest.mark.unit


def status_of(**container: Any) -> raw.Raw:
    return {"phase": "Pending", "containerStatuses": [{"name": "trainer", **container}]}


def parsed_pod(status: raw.Raw) -> Pod:
    record = parse(PODS, raw.pod("p", status=status))
    assert isinstance(record, Pod)
    return record


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, {"phase": "Pending", "exit_code": None, "waiting_reason": "", "started": None}),
        (
            status_of(state={"waiting": {"reason": "ErrImagePull", "message": "no such image"}}),
            {"waiting_reason": "ErrImagePull", "waiting_message": "no such image"},
        ),
        (
            status_of(state={"terminated": {"exitCode": 3, "reason": "Error", "message": "{}", "startedAt": "2026-01-01T00:00:10Z"}}),
            {"exit_code": 3, "exit_reason": "Error", "exit_message": "{}", "started": 1767225610.0},
        ),
        (
            status_of(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": {"exitCode": 1}}, restartCount=4),
            {"waiting_reason": "CrashLoopBackOff", "exit_code": 1},
        ),
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "message": "no room"},
                    {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"},
                ]
            },
            {"scheduling_message": "no room", "disruption": "PreemptionByScheduler"},
        ),
        (
            {**status_of(state={"waiting": {"reason": "PodInitializing"}}),
             "initContainerStatuses": [{"name": "mesh", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
            {"waiting_reason": "ImagePullBackOff"},
        ),
        (
            {"containerStatuses": [{"name": "istio-proxy", "state": {"running": {}}},
                                   {"name": "trainer", "state": {"terminated": {"exitCode": 42}}}]},
            {"exit_code": 42},
        ),
        ({"phase": "Failed", "reason": "Evicted", "message": "disk pressure"}, {"failure": "Evicted", "failure_message": "disk pressure"}),
    ],
)  # fmt: skip
def test_a_pod(status: raw.Raw, expected: dict[str, Any]) -> None:
    """The state of our container, not of one that a mesh added; waiting, ended, or ended before and waiting again."""
    pod = parsed_pod(status)
    assert {name: getattr(pod, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], (False, False, "")),
        ([{"type": "SuccessCriteriaMet", "status": "True"}], (False, False, "")),
        ([{"type": "Complete", "status": "True"}], (True, True, "")),
        ([{"type": "FailureTarget", "status": "True", "reason": "PodFailurePolicy"}], (False, False, "PodFailurePolicy")),
        ([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}], (False, True, "BackoffLimitExceeded")),
        ([{"type": "Failed", "status": "False", "reason": "Never"}], (False, False, "")),
    ],
)
def test_a_batch_job(conditions: list[raw.Raw], expected: tuple[bool, bool, str]) -> None:
    """complete, terminated (no pod is left), failure_reason (known before that)."""
    record = parse(JOBS, {"metadata": raw.metadata("j"), "spec": {}, "status": {"conditions": conditions}})
    assert isinstance(record, BatchJob)
    assert (record.complete, record.terminated, record.failure_reason) == expected


def test_bounds_of_variables_are_not_lowered() -> None:
    """A job with as many and as long variables as were ever allowed is read: with lower bounds an upgrade would stop it."""
    obj = raw.job()
    obj["spec"]["training"] = {"pod": {"env": [{"name": f"V{number}", "value": "x" * 4096} for number in range(64)]}}
    record = parse(FINETUNE_JOBS, obj)
    assert isinstance(record, FineTuneJob)
    assert record.spec_error == ""


def test_a_spec_that_this_operator_does_not_know() -> None:
    """With an unknown field of a newer CRD there is no spec, and the error names the field."""
    obj = raw.job()
    obj["spec"]["quantum"] = True
    record = parse(FINETUNE_JOBS, obj)
    assert isinstance(record, FineTuneJob)
    assert record.spec is None
    assert "spec.quantum" in record.spec_error


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        ({"phase": "Training", "fromTheFuture": 1}, "Training"),
        ({"phase": "Training", "attempts": [{"stage": "unknown"}]}, "Training"),
        ({"phase": "Dreaming", "restarts": 2}, None),
        ({"phase": "Training", "conditions": "none"}, "Training"),
    ],
)
def test_a_status_is_untrusted(status: raw.Raw, kept: str | None) -> None:
    """What cannot be read is dropped, the rest stays."""
    record = parse(FINETUNE_JOBS, raw.job(status=status))
    assert isinstance(record, FineTuneJob)
    assert record.status.phase == kept
    assert record.status.attempts == []


def test_metadata() -> None:
    """Only our own annotations are kept, owners are uids, deleting is the presence of a deletionTimestamp."""
    more: dict[str, Any] = {
        "annotations": {"finetune.dev/force-delete": "x", "kubectl.kubernetes.io/last-applied-configuration": "long"},
        "ownerReferences": [{"uid": "u1"}, {"uid": "u2"}],
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": 3,
    }
    meta = parse(PODS, raw.pod("p", version=77, **more)).meta
    assert (meta.resource_version, meta.generation, meta.created, meta.deleting) == (77, 3, 1767225600.0, True)
    assert (dict(meta.annotations), meta.owners) == ({"finetune.dev/force-delete": "x"}, frozenset({"u1", "u2"}))


def test_metadata_alone_is_a_presence() -> None:
    """Config maps and services are asked for without their content."""
    assert parse(CONFIG_MAPS, {"metadata": raw.metadata("run")}) == Presence(
        parse(CONFIG_MAPS, {"metadata": raw.metadata("run")}).meta, "ConfigMap"
    )


def test_a_claim_and_a_deployment_without_status() -> None:
    """Fresh objects have none."""
    claim = parse(CLAIMS, {"metadata": raw.metadata("c"), "spec": {"accessModes": ["ReadWriteOnce"]}})
    workload = parse(DEPLOYMENTS, {"metadata": raw.metadata("d"), "spec": {"replicas": 2}})
    assert getattr(claim, "phase", None) == "Pending"
    assert isinstance(workload, Workload)
    assert (workload.spec_replicas, workload.ready) == (2, 0)


@pytest.mark.parametrize(
    ("times", "seen"),
    [
        ({"lastTimestamp": "2026-01-01T00:00:05Z"}, 1767225605.0),
        ({"lastTimestamp": None, "eventTime": "2026-01-01T00:00:01.500000Z"}, 1767225601.5),
        ({"series": {"lastObservedTime": "2026-01-01T00:00:09.000000Z"}, "eventTime": "2026-01-01T00:00:01.500000Z"}, 1767225609.0),
    ],
)
def test_an_event_was_seen_last(times: raw.Raw, seen: float) -> None:
    """Old and new event writers put the time into different fields."""
    event = warning_event({"metadata": raw.metadata("e"), "involvedObject": {"kind": "Pod", "name": "p"}, "message": " x\n", **times})
    assert (event.last_seen, event.message) == (seen, "x")


def test_no_time_is_zero() -> None:
    """Kubernetes leaves times out."""
    assert timestamp(None) == 0.0
