"""A workspace that was bound out of the training's reach."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from finetune_api.progress import Progress
from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_operator.plan.common.plan import ObjectRef
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.samples import T, claim, job
from tests.unit.operator.world import World

pytestmark = pytest.mark.unit

GPU_POOL: dict[str, Any] = {"pod": {"nodeSelector": {"pool": "gpu"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]}}
CONFLICT = "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) didn't match PersistentVolume's node affinity."


@dataclass
class Zones(World):
    """Nodes of two pools, each with volumes of its own: prepare binds the workspace to the pool that its selector chooses."""

    selectors: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of the Jobs by name."""
    claims_deleted: int = 0
    out_of_reach: bool = True
    """As long as the workspace lies where the first prepare was."""

    def _create(self, obj: dict[str, Any]) -> None:
        super()._create(obj)
        if obj["kind"] == "Job":
            self.selectors[obj["metadata"]["name"]] = obj["spec"]["template"]["spec"].get("nodeSelector", {})
            self.out_of_reach &= "prepare" not in obj["metadata"]["name"] or self.selectors[obj["metadata"]["name"]] != {"pool": "gpu"}

    def delete(self, ref: ObjectRef) -> None:
        before = len(self.claims)
        super().delete(ref)
        self.claims_deleted += before - len(self.claims)

    def run_pods(self) -> None:
        """No node takes a training that cannot mount its volume."""
        waiting = {name: pod for name, pod in self.pods.items() if "-train-" in name and pod.phase == "Pending" and self.out_of_reach}
        for name in waiting:
            del self.pods[name]
        super().run_pods()
        self.pods |= {name: replace(pod, scheduling_message=CONFLICT) for name, pod in waiting.items()}


def test_prepare_runs_again_beside_the_training() -> None:
    """Once, as nothing was trained yet; the job needs no hand and ends as any other."""
    world = Zones(job(training=GPU_POOL))
    world.calm()
    stages = [name for name in world.created if "inspect" not in name]
    assert stages == ["tune-prepare-1", "tune-train-1", "tune-prepare-2", "tune-train-2", "tune-publish-1"]
    assert [world.selectors[name] for name in ("tune-prepare-1", "tune-prepare-2")] == [{}, {"pool": "gpu"}]
    assert world.claims_deleted == 1
    assert (world.job.status.phase, world.job.status.restarts) == ("Succeeded", 0)
    reasons = {(a.stage, a.number): a.reason for a in world.job.status.attempts if a.state == "Interrupted"}
    assert reasons == {("prepare", 1): "WorkspaceLost", ("train", 1): "WorkspaceMisplaced"}


@pytest.mark.parametrize(
    ("spec", "seconds", "phase", "reason"),
    [
        ({"training": GPU_POOL}, 15, "Queued", "VolumeElsewhere"),
        ({"training": GPU_POOL}, 60, "Starting", "WorkspaceMisplaced"),
        ({}, 600, "Queued", "VolumeElsewhere"),
        ({"training": GPU_POOL, "workspace": {"claimName": "mine"}}, 600, "Queued", "VolumeElsewhere"),
    ],
    ids=["a moment", "a minute", "beside the training is where it was", "somebody's claim"],
)
def test_when_the_workspace_is_made_again(spec: dict[str, Any], seconds: float, phase: str, reason: str) -> None:
    """After a minute, if prepare can be put elsewhere and the volume is the job's own."""
    world = Zones(job(**spec))
    if "workspace" in spec:
        world.claims["tune-workspace"] = claim("tune-workspace")
    world.reconcile()
    world.run_pods()
    world.end_pods()
    world.tick()
    world.reconcile()
    world.run_pods()
    world.now += seconds
    plan = plan_job(world.observed(), world.now)
    assert isinstance(plan.status, FineTuneJobStatus)
    assert (plan.status.phase, plan.status.reason) == (phase, reason)
    assert [ref.kind for ref in plan.delete] == (["Job"] if reason == "WorkspaceMisplaced" else [])


@pytest.mark.parametrize("gpus", [1, 0])
def test_a_workspace_with_checkpoints_is_never_made_again(gpus: int) -> None:
    """A training that its queue has taken back waits for its volume, with all that it has learnt, however it was paid for."""
    world = Zones(job(training=GPU_POOL | {"gpusPerNode": gpus}))
    world.out_of_reach = False
    world.reconcile()
    world.run_pods()
    world.end_pods()
    world.tick()
    world.reconcile()
    world.run_pods()
    world.tick()
    world.progress = Progress(stage="train", activity="training", step=100, total_steps=500, loss=2.5, checkpoint_step=90)
    world.reconcile()
    world.progress, world.out_of_reach = None, True
    batch = world.jobs["tune-train-1"]
    world.jobs[batch.meta.name], world.pods = replace(batch, suspended=True), {}
    world.tick()
    world.reconcile()
    assert world.job.status.phase == "Queued"
    world.jobs[batch.meta.name] = batch
    world._create_pod(batch.meta.name, 0)
    world.run_pods()
    world.tick(600)
    world.reconcile()
    assert (world.job.status.phase, world.job.status.reason, world.claims_deleted) == ("Queued", "VolumeElsewhere", 0)


def test_a_new_prepare_is_kept_whatever_the_clock_of_the_controllers_says() -> None:
    """The end of the Job comes from another clock, which may be an hour behind."""
    world = Zones(job(training=GPU_POOL))
    for _ in range(40):
        world.reconcile()
        world.run_pods()
        world.end_pods()
        world.tick()
        world.jobs = {
            name: replace(batch, finished=T) if batch.finished and "prepare" in name else batch for name, batch in world.jobs.items()
        }
    assert (world.job.status.phase, world.claims_deleted) == ("Succeeded", 1)
