"""What a finished job releases, on a real API server with its garbage collector: the Service at once, pods and workspace after its TTL."""

import json

import pytest

from tests.cluster.operator.conftest import Start
from tests.cluster.operator.simulation import Object, Space, simulated_job

pytestmark = pytest.mark.cluster

WORKSPACE, MODEL_VOLUME = "tune-workspace", "tune-model"
LOG_LINES = ["loss 2.7 at step 9", "RuntimeError: out of ideas"]


def phase(space: Space) -> str:
    """Of the job tune."""
    return str(((space.get("finetunejob", "tune") or {}).get("status") or {}).get("phase", ""))


def record(space: Space) -> Object:
    """Status of the job tune without what is counted up by writing it."""
    job = space.get("finetunejob", "tune")
    assert job
    status: Object = job["status"]
    return status


def nothing_runs(space: Space) -> bool:
    """No stage Job, no stage pod, no workspace and no Service of the job are left."""
    kinds = ("jobs", "pods", "services")
    return not any(space.list(kind, "finetune.dev/job=tune") for kind in kinds) and space.get("pvc", WORKSPACE) is None


def test_a_succeeded_job_keeps_its_model(space: Space, start: Start) -> None:
    """After limits.ttlAfterFinished the stage Jobs, pods and workspace are gone; model, model volume and the job's status are unchanged."""
    start()
    space.apply(simulated_job(space.name, "tune", limits={"ttlAfterFinished": "10s"}))
    space.wait("the job has succeeded", lambda: phase(space) == "Succeeded")
    before = record(space)
    assert space.list("jobs", "finetune.dev/job=tune"), "removed before the TTL"
    assert space.get("pvc", WORKSPACE)
    space.wait("pods and workspace are gone", lambda: nothing_runs(space))
    assert record(space) == before
    model, volume = space.get("finetunedmodel", "tune"), space.get("pvc", MODEL_VOLUME)
    assert model
    assert volume
    assert "deletionTimestamp" not in model["metadata"]
    assert "deletionTimestamp" not in volume["metadata"]
    events = space.kubectl("get", "events", "--field-selector", "reason=CleanedUp", "-o", "jsonpath={.items[*].message}")
    assert events.endswith(f"removed 3 stage Jobs with their pods and PersistentVolumeClaim {WORKSPACE}")


def test_a_failed_job_keeps_its_last_log_lines(space: Space, start: Start) -> None:
    """A failure can still be read when its pods have gone: code, message, last log lines and attempts stay in the status."""
    start()
    broken = {"kwok.finetune.dev/exit-code": "44", "kwok.finetune.dev/message": "\n".join(LOG_LINES)}
    space.apply(simulated_job(space.name, "tune", train=broken, limits={"ttlAfterFinished": "10s"}))
    space.wait("the job has failed", lambda: phase(space) == "Failed")
    # Simulated nodes serve no logs: what the operator would have read from one is written here.
    lines = json.dumps({"status": {"error": {"lastLogLines": LOG_LINES}}})
    space.kubectl("patch", "finetunejob", "tune", "--subresource=status", "--type=merge", "-p", lines)
    before = record(space)
    space.wait("pods and workspace are gone", lambda: nothing_runs(space))
    after = record(space)
    assert after == before
    assert after["error"]["code"] == "Diverged"
    assert LOG_LINES[-1] in after["error"]["message"]
    assert after["error"]["lastLogLines"] == LOG_LINES
    assert [(attempt["stage"], attempt["state"]) for attempt in after["attempts"]] == [("prepare", "Succeeded"), ("train", "Failed")]


def test_a_workspace_of_the_user_stays(space: Space, start: Start) -> None:
    """workspace.claimName names a claim that the operator did not create: the TTL removes the pods only."""
    start()
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "mine", "namespace": space.name}
    space.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
    space.apply(simulated_job(space.name, "tune", workspace={"claimName": "mine"}, limits={"ttlAfterFinished": "2s"}))
    space.wait("the job has succeeded", lambda: phase(space) == "Succeeded")
    space.wait("the pods are gone", lambda: nothing_runs(space))
    claim = space.get("pvc", "mine")
    assert claim
    assert "deletionTimestamp" not in claim["metadata"]


def test_the_service_lives_as_long_as_the_training(space: Space, start: Start) -> None:
    """The headless Service is there while the ranks need it, and is deleted with the job's end; without a TTL all else stays."""
    start()
    space.apply(simulated_job(space.name, "tune", train={"kwok.finetune.dev/run-for": "3s"}))
    space.wait("train runs", lambda: phase(space) == "Training")
    service = space.get("service", "tune-train")
    assert service
    assert service["spec"]["clusterIP"] == "None"
    space.wait("the job has succeeded", lambda: phase(space) == "Succeeded")
    space.wait("the Service is gone", lambda: space.get("service", "tune-train") is None)
    assert len(space.list("jobs", "finetune.dev/job=tune")) == 3
    assert space.get("pvc", WORKSPACE)
