"""The life of a FineTuneJob from creation to its end, with all kinds of failures."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from finetune_operator.plan.common.clock import epoch
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.samples import JOB_UID, claim, job, model
from tests.unit.operator.world import World, condition_of

pytestmark = pytest.mark.unit


def test_an_undisturbed_job_runs_three_stages_and_registers_its_model() -> None:
    """prepare, train and publish once each; the model owns its volume before the job is complete."""
    world = World()
    world.calm()
    assert [name for name in world.created if "inspect" not in name] == ["tune-prepare-1", "tune-train-1", "tune-publish-1"]
    assert world.model is not None
    assert world.claims["tune-model"].meta.owners == {world.model.meta.uid}
    assert world.claims["tune-workspace"].meta.owners == {JOB_UID}
    status = world.job.status
    assert (status.phase, status.progress_text, status.restarts, status.error) == ("Succeeded", "100% (500/500)", 0, None)
    kinds = ("Ready", "Reconciling", "Stalled", "Suspended", "DatasetValid", "Trained", "GatePassed", "Complete", "Failed")
    assert {kind: condition_of(world, kind) for kind in kinds} == {
        "Ready": ("True", "Complete"),
        "Reconciling": ("False", "Complete"),
        "Stalled": ("False", "Complete"),
        "Suspended": ("False", "NotSuspended"),
        "DatasetValid": ("True", "Validated"),
        "Trained": ("True", "Finished"),
        "GatePassed": ("True", "GatePassed"),
        "Complete": ("True", "Complete"),
        "Failed": None,
    }


def test_an_undisturbed_job_costs_eight_writes_of_its_status() -> None:
    """For each attempt: that it is recorded, together with the end of the one before, and that it runs; and two for the model."""
    world = World()
    for _ in range(20):
        world.reconcile()
        world.run_pods()
        world.reconcile()
        world.end_pods()
        world.tick(1.0)
    assert (world.job.status.phase, world.writes) == ("Succeeded", 8)


STAGE_JOBS = ["tune-prepare-1", "tune-publish-1", "tune-train-1"]


def stage_jobs(world: World) -> list[str]:
    return sorted(name for name in world.jobs if "inspect" not in name)


def test_a_complete_job_keeps_its_jobs_until_the_model_goes() -> None:
    """Their logs are kept; but the publish pod would block the volume of a deleted model. The headless Service is deleted."""
    world = World()
    world.do()
    world.reconcile()
    assert "Service/tune-train" in world.applied
    world.calm()
    world.reconcile()
    assert stage_jobs(world) == STAGE_JOBS
    assert world.service is None
    going = world.claims["tune-model"]
    world.claims["tune-model"] = replace(going, meta=replace(going.meta, deleting=True))
    world.model = None
    world.reconcile()
    assert stage_jobs(world) == ["tune-prepare-1", "tune-train-1"]


@pytest.mark.parametrize("failed", [False, True])
def test_a_job_that_is_over_is_cleaned_up_when_its_time_has_passed(failed: bool) -> None:
    """Stage Jobs with their pods, and the workspace; never the model, nor what the status says."""
    world = World(job=job(limits={"ttlAfterFinished": "1h"}))
    world.do()
    if failed:
        world.run_pods()
        world.end_pods(code=3)
        world.tick()
    world.calm()
    kept, status, model = stage_jobs(world), world.job.status, world.model
    plan = plan_job(world.observed(), world.now)
    assert (plan.delete, plan.requeue_after) == ((), 3600 - (world.now - (epoch(status.finished_at) or 0)))
    world.tick(3600)
    world.reconcile()
    assert (kept, stage_jobs(world)) == (["tune-prepare-1", "tune-train-1"] if failed else STAGE_JOBS, [])
    assert ("tune-workspace" in world.claims, "tune-model" in world.claims) == (False, not failed)
    assert (world.job.status, world.model) == (status, model)
    reported = [note.message for note in world.events if note.reason == "CleanedUp"]
    many = f"{len(kept)} stage Jobs with their pods"
    assert reported == [f"limits.ttlAfterFinished (1h) has passed: removed {many} and PersistentVolumeClaim tune-workspace"]


def test_a_workspace_that_somebody_brought_is_not_cleaned_up() -> None:
    """The job made no claim, and removes none."""
    world = World(job=job(limits={"ttlAfterFinished": "1h"}))
    world.calm()
    foreign = world.claims["tune-workspace"]
    world.claims["tune-workspace"] = replace(foreign, meta=replace(foreign.meta, owners=frozenset({"another"})))
    world.tick(3600)
    world.reconcile()
    assert (stage_jobs(world), "tune-workspace" in world.claims) == ([], True)


def test_a_finished_job_does_nothing_ever_again() -> None:
    """Suspending or cancelling a complete job changes nothing but the observed generation."""
    world = World()
    world.calm()
    before, created = world.job.status, len(world.created)
    world.set_spec(suspend=True, cancel=True)
    world.jobs.clear()
    world.pods.clear()
    world.reconcile()
    assert len(world.created) == created
    assert world.job.status.observed_generation == 2
    assert world.job.status.phase == before.phase
    assert [c for c in world.job.status.conditions if c.type == "Complete"] == [c for c in before.conditions if c.type == "Complete"]


@pytest.mark.parametrize("after", ["prepare", "train"])
def test_what_was_left_damaged_is_made_again(after: str) -> None:
    """A stage that finds it so ends once; the stages before it run again and so does it, and the job ends as if nothing had been, even
    where no restart is allowed."""
    world, order = World(job(limits={"maxRestarts": 0})), ["prepare", "train", "publish"]
    done = order[: order.index(after) + 1]
    for stage in done:
        world.reconcile()
        world.run_pods()
        world.end_pods()
        world.tick()
        assert f"tune-{stage}-1" in world.created
    world.damaged = True
    world.calm()
    found = order[len(done)]
    again = [f"tune-{stage}-2" for stage in (*done, found)]
    rest = [f"tune-{stage}-1" for stage in order[len(done) + 1 :]]
    assert [name for name in world.created if "inspect" not in name] == [f"tune-{stage}-1" for stage in (*done, found)] + again + rest
    assert (world.job.status.phase, world.job.status.restarts) == ("Succeeded", 0)


def test_a_volume_that_damages_everything_ends_the_job() -> None:
    """Stages run again once, then as often as limits.maxRestarts lets them, and then the job fails with what was found."""
    world = World(job(limits={"maxRestarts": 2}))
    for _ in range(40):
        world.reconcile()
        world.run_pods()
        world.reconcile()
        world.damaged = not any("prepare" in pod.meta.name for pod in world.pods.values() if pod.phase == "Running")
        world.end_pods()
        world.tick()
    assert (world.job.status.phase, condition_of(world, "Failed")) == ("Failed", ("True", "WorkspaceDamaged"))
    assert [name for name in world.created if "prepare" in name] == [f"tune-prepare-{number}" for number in range(1, 5)]


def _kill_operator(world: World, number: int) -> None:
    world.kill_after = number % 3


def _fail(world: World, number: int) -> None:
    world.end_pods(code=(1, 43, 45, 47, 137)[number % 5], message="it broke")


def _fail_for_good(world: World, number: int) -> None:
    world.end_pods(code=(3, 4, 28, 44)[number % 4])


def _evict(world: World, number: int) -> None:
    world.end_pods(code=137, disruption=("EvictionByEvictionAPI", "PreemptionByScheduler")[number % 2])


def _preempt(world: World, number: int) -> None:
    world.end_pods(code=(42, 143)[number % 2])


def _delete_job(world: World, number: int) -> None:
    batch = world.running_job()
    if batch:
        del world.jobs[batch.meta.name]
        for pod in list(world.pods.values()):
            if pod.meta.labels["batch.kubernetes.io/job-name"] == batch.meta.name:
                world.pods[pod.meta.name] = replace(pod, gone_by=world.now + 30)


def _lose_finished_pods(world: World, number: int) -> None:
    for pod in list(world.pods.values()):
        if pod.phase in ("Succeeded", "Failed"):
            del world.pods[pod.meta.name]


def _lose_workspace(world: World, number: int) -> None:
    if not any(pod.phase in ("Pending", "Running") for pod in world.pods.values()):  # the API server protects a mounted claim
        world.claims.pop("tune-workspace", None)


def _damage_workspace(world: World, number: int) -> None:
    world.damaged = True


def _take_the_name(world: World, number: int) -> None:
    """Somebody makes a model of the name by hand."""
    if world.model is None:
        world.foreign = model("tune")


def _pause(world: World, number: int) -> None:
    world.set_spec(suspend=True)


def _resume(world: World, number: int) -> None:
    world.set_spec(suspend=False)


def _succeed(world: World, number: int) -> None:
    world.end_pods()


def _start(world: World, number: int) -> None:
    world.run_pods()


def _wait(world: World, number: int) -> None:
    world.tick(float(number * 7))


def _reconcile(world: World, number: int) -> None:
    world.reconcile()


EVENTS: list[Callable[[World, int], None]] = [
    _kill_operator, _fail, _evict, _preempt, _take_the_name,
    _delete_job, _lose_finished_pods, _lose_workspace, _damage_workspace, _pause, _resume,
    _succeed, _start, _wait, _reconcile, _reconcile, _start, _succeed, _wait,
]  # fmt: skip
HISTORY = st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 20)), max_size=60)


@hypothesis_settings(max_examples=100, deadline=None, derandomize=True)
@given(HISTORY, st.integers(1, 3))
def test_no_history_starts_an_attempt_twice_or_leaves_a_job_unfinished(
    history: list[tuple[Callable[[World, int], None], int]], nodes: int
) -> None:
    """Whatever is killed, evicted, deleted, paused, taken or lost: one live attempt at a time, no number twice, and an end."""
    storage = {"storage": {"accessMode": "ReadWriteMany"}}
    world = World(job(training={"nodes": nodes}, workspace=storage))
    for event, number in history:
        event(world, number)
        world.tick(1.0)
    world.kill_after = None
    world.set_spec(suspend=False)
    world.calm()
    assert world.job.status.phase in ("Succeeded", "Failed")
    assert (condition_of(world, "Complete") is None) != (condition_of(world, "Failed") is None)
    if world.foreign and world.job.status.phase == "Succeeded":
        assert world.model is not None
        assert world.model.meta.name == "tune-11111111"
    numbers = [(attempt.stage, attempt.number) for attempt in world.job.status.attempts]
    assert len(numbers) == len(set(numbers))
    assert all(attempt.state not in ("Pending", "Running") for attempt in world.job.status.attempts)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("stage", ["prepare", "train", "publish"])
def test_what_cannot_be_mended_is_not_tried_again(stage: str, number: int) -> None:
    """Invalid input, no fit, a full volume and a diverging loss end the job with the attempt that met them."""
    world = World()
    for _ in range(30):
        world.reconcile()
        world.run_pods()
        world.reconcile()
        batch = world.running_job()
        if batch and f"-{stage}-" in batch.meta.name:
            _fail_for_good(world, number)
        else:
            world.end_pods()
        world.tick()
    assert world.job.status.phase == "Failed"
    assert [name for name in world.created if stage in name] == [f"tune-{stage}-1"]
    assert condition_of(world, "Stalled") == condition_of(world, "Failed")


@pytest.mark.parametrize(
    ("workspace", "file"),
    [
        ({}, "logs/train-1*.log on PersistentVolumeClaim tune-workspace"),
        ({"claimName": "scratch"}, "tune-11111111/logs/train-1*.log on PersistentVolumeClaim scratch"),
    ],
)
def test_a_failure_says_where_the_whole_log_is(workspace: dict[str, str], file: str) -> None:
    """In the workspace, where it outlives the pod."""
    world = World(job=job(workspace=workspace))
    world.claims["tune-workspace"] = claim("tune-workspace", owners=frozenset({JOB_UID}))
    world.do()
    world.run_pods()
    world.end_pods(code=3)
    world.tick()
    world.reconcile()
    assert world.job.status.error is not None
    assert world.job.status.error.log_file == file
