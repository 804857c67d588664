"""What `kubectl get` shows of a job and of its model in every phase of their lives."""

from dataclasses import replace
from typing import Any

import pytest

from finetune_api.model_directory import GateResult
from finetune_api.progress import Progress
from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_api.result import PublishSummary
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.samples import REPORT, failure, job, result
from tests.unit.operator.world import World

pytestmark = pytest.mark.unit


def row(world: World) -> tuple[str | None, ...]:
    """PHASE, PROGRESS, LOSS, GATE."""
    status = world.job.status
    return status.phase, status.progress_text, status.loss_text, status.gate_text


def says(world: World, **line: Any) -> None:
    """The running stage prints a progress line, half a minute later."""
    world.tick()
    status = plan_job(replace(world.observed(), progress=Progress(**line)), world.now).status
    assert isinstance(status, FineTuneJobStatus)
    world.job = replace(world.job, status=status)


def test_the_columns_of_a_job_from_begin_to_end() -> None:
    """PROGRESS is the running stage's own, or why nothing runs; LOSS is the training's, at the end the model's on held-out rows."""
    world = World()
    world.reconcile()
    assert row(world) == ("Pending", "creating pods", None, None)
    world.tick()
    world.reconcile()
    assert row(world) == ("Starting", "pods are starting", None, None)
    world.run_pods()
    world.reconcile()
    assert row(world) == ("Validating", None, None, None)
    says(world, stage="prepare", activity="downloading the base model: 0 of 145 MB")
    assert row(world) == ("Validating", "downloading the base model: 0 of 145 MB", None, None)
    world.end_pods()
    world.tick()
    world.reconcile()
    assert row(world) == ("Starting", "creating pods", None, None)
    world.run_pods()
    world.reconcile()
    says(world, stage="train", activity="training", step=310, total_steps=500, loss=2.314)
    assert row(world) == ("Training", "62% (310/500)", "2.314", None)
    world.end_pods()
    world.tick()
    world.reconcile()
    world.run_pods()
    world.reconcile()
    says(world, stage="publish", activity="evaluating the base model", step=1, total_steps=4, loss=4.434)
    assert row(world) == ("Evaluating", "25% (1/4)", "2.400", None)
    gate = [GateResult(metric="loss", passed=False, text="loss 2.50 is above the maximum of 2")]
    report = REPORT.model_copy(update={"gate": gate, "gate_passed": False})
    world.end_pods(message=result("publish", publish=PublishSummary(evaluation=report, size_bytes=1, manifest_sha256="e" * 64)))
    world.tick()
    world.reconcile()
    assert row(world) == ("Evaluating", "registering the model", "2.500", "failed")
    world.do()
    assert row(world) == ("Succeeded", "100% (500/500)", "2.500", "failed")


@pytest.mark.parametrize(
    ("code", "message", "progress"),
    [
        (3, failure("prepare", "InvalidDataset", "line 1: ...", 3, "dataset.train"), "invalid dataset"),
        (137, "", "killed"),
        (28, "", "storage full"),
    ],
)
def test_a_failed_job_shows_why(code: int, message: str, progress: str) -> None:
    """Not what it was doing last."""
    world = World(job=job(limits={"maxRestarts": 0}))
    world.reconcile()
    world.run_pods()
    world.reconcile()
    says(world, stage="prepare", activity="downloading the base model: 0 of 145 MB")
    world.end_pods(code, message)
    world.tick()
    world.reconcile()
    assert row(world) == ("Failed", progress, None, None)


@pytest.mark.parametrize(
    ("pod", "shown"),
    [
        ({"scheduling_message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."}, ("Queued", "no node has room")),
        (
            {"node": "n1", "scheduled": True, "waiting_reason": "ErrImagePull", "waiting_message": 'pull image "registry/x:1": not found'},
            ("Starting", "image pull failed: registry/x:1"),
        ),
        (
            {"node": "n1", "scheduled": True, "waiting_reason": "CreateContainerConfigError", "waiting_message": 'secret "s3" not found'},
            ("Starting", "secret not found: s3"),
        ),
    ],
)
def test_a_job_that_waits_shows_what_for(pod: dict[str, Any], shown: tuple[str, str]) -> None:
    """A short text with the name of the object to create or fix, after the time that pods usually need to start."""
    world = World()
    world.reconcile()
    world.pods = {name: replace(found, **pod) for name, found in world.pods.items()}
    world.reconcile()
    assert row(world)[:2] == ("Pending", "creating pods")
    world.tick()
    world.reconcile()
    assert row(world)[:2] == shown


def test_a_paused_training_shows_how_far_it_is() -> None:
    """The phase says that it is paused."""
    world = World()
    world.do()
    world.run_pods()
    world.reconcile()
    says(world, stage="train", activity="training", step=310, total_steps=500, loss=2.314)
    world.set_spec(suspend=True)
    world.reconcile()
    assert row(world)[:2] == ("Training", "suspending")
    world.tick(200)
    world.reconcile()
    assert row(world)[:2] == ("Paused", "62% (310/500)")


def test_a_job_whose_spec_cannot_be_read() -> None:
    """It is Pending, and its progress says why."""
    world = World(job=replace(job(), spec=None, spec_error="spec.base: ..."))
    world.reconcile()
    assert row(world)[:2] == ("Pending", "invalid spec")
