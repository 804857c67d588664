"""How the attempts in the status follow what is observed."""

from dataclasses import replace
from typing import Any

import pytest

from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_operator.objects.records import Pod
from finetune_operator.plan.common.clock import rfc3339
from finetune_operator.plan.common.conditions import find
from finetune_operator.plan.job.attempts import appended
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.plan.job.snapshots import DONE, active, attempt, observed, ready_message, running, shown, status, status_of
from tests.unit.operator.samples import (
    JOB_UID,
    T,
    batch,
    ended_pod,
    failure,
    meta,
    pod,
    result,
)

pytestmark = pytest.mark.unit


def test_an_attempt_whose_job_has_gone_is_not_created_again() -> None:
    """It is Interrupted, counts nothing, and the next number follows."""
    plan = plan_job(observed(status(active("prepare"))), T)
    assert plan.create == ()
    (gone,) = status_of(plan).attempts
    assert (gone.state, gone.reason, gone.counted) == ("Interrupted", "JobDeleted", False)


def test_a_namesake_of_another_uid_is_not_our_job() -> None:
    """A recreated Job with the recorded name is deleted, and the attempt ends."""
    other = replace(batch("tune-prepare-1"), meta=meta("tune-prepare-1", "another", owners=frozenset({JOB_UID})))
    plan = plan_job(observed(status(active("prepare")), jobs={"tune-prepare-1": other}), T)
    assert [ref.uid for ref in plan.delete] == ["another"]
    assert status_of(plan).attempts[0].state == "Interrupted"


@pytest.mark.parametrize(
    ("killed", "state", "counted", "phase"),
    [(0, "Interrupted", False, "Starting"), (1, "Interrupted", False, "Starting"), (2, "Failed", False, "Failed")],
)
def test_an_export_that_is_killed_costs_no_restart(killed: int, state: str, counted: bool, phase: str) -> None:
    """Twice: then publish goes without it. A training has used up all restarts, and its model is not lost for that."""
    number, name = killed + 1, f"tune-publish-{killed + 1}"
    before = (attempt("publish", n, "Interrupted", reason="OutOfMemory") for n in range(1, number))
    pods = (ended_pod(f"{name}-0-x", name, 137, exit_reason="OOMKilled"),)
    jobs = {name: batch(name, terminated=True, finished=T + 100, failure_reason="PodFailurePolicy")}
    found = status(*DONE[:2], *before, attempt("publish", number, "Running", finished_at=None), restarts=3)
    plan = plan_job(observed(found, jobs=jobs, pods=pods), T + 100)
    over = next(a for a in status_of(plan).attempts if (a.stage, a.number) == ("publish", number))
    assert (over.state, over.counted, over.reason) == (state, counted, "OutOfMemory")
    assert (status_of(plan).phase, status_of(plan).restarts) == (phase, 3)


@pytest.mark.parametrize(
    ("before", "code", "exit_reason", "limits", "state", "phase", "said"),
    [
        (0, 48, "Error", {}, "Interrupted", "Starting", "trying once more with half the micro-batch"),
        (0, 48, "Error", {"maxRestarts": 0}, "Interrupted", "Starting", "the same losses: training ran out of memory"),
        (0, 137, "OOMKilled", {}, "Interrupted", "Starting", "trying once more with half the micro-batch"),
        (0, 48, "Error", {"autoMicroBatch": False}, "Failed", "Failed", "training ran out of memory"),
        (0, 137, "OOMKilled", {"autoMicroBatch": False}, "Failed", "Failed", "was OOM-killed"),
        (0, 4, "Error", {}, "Failed", "Failed", "training ran out of memory"),
        (1, 48, "Error", {}, "Failed", "Failed", "(half the micro-batch was tried as well)"),
        (1, 137, "OOMKilled", {}, "Failed", "Failed", "(half the micro-batch was tried as well)"),
    ],
)
def test_a_training_that_runs_out_of_memory_is_halved_once(
    before: int, code: int, exit_reason: str, limits: dict[str, Any], state: str, phase: str, said: str
) -> None:
    """Where limits.autoMicroBatch allows it and the trainer does not say that a micro-batch is a single example; it is not counted."""
    number, name = before + 1, f"tune-train-{before + 1}"
    earlier = (attempt("train", 1, "Interrupted", reason="OutOfMemory"),)[:before]
    message = failure("train", "OutOfMemory", "training ran out of memory", code) if code != 137 else ""
    pods = (ended_pod(f"{name}-0-x", name, code, message, exit_reason=exit_reason),)
    jobs = {name: batch(name, terminated=True, finished=T + 100, failure_reason="PodFailurePolicy")}
    found = status(DONE[0], *earlier, attempt("train", number, "Running", finished_at=None))
    plan = plan_job(observed(found, {"limits": limits}, jobs=jobs, pods=pods), T + 100)
    over = status_of(plan).attempts[number]
    assert (over.state, over.counted, over.reason, status_of(plan).phase) == (state, False, "OutOfMemory", phase)
    assert (status_of(plan).restarts, said in (over.message or "")) == (0, True)
    assert any(said in note.message for note in plan.events)


@pytest.mark.parametrize(("reason", "halved"), [("OutOfMemory", True), ("PeerLost", False)])
def test_all_attempts_after_it_have_half_the_micro_batch(reason: str, halved: bool) -> None:
    """The trainer gets a variable, also after a preemption, and however many attempts are dropped from the status."""
    preempted = [attempt("train", number, "Interrupted", reason="Preempted") for number in range(2, 70)]
    kept = status(DONE[0], attempt("train", 1, "Interrupted", reason=reason), *preempted)
    found = appended(kept, "train", T)
    assert len(found.attempts) == 64
    (job,) = (obj for obj in plan_job(observed(found), T).create if obj["kind"] == "Job")
    assert job["metadata"]["name"] == "tune-train-70"
    variable = {"name": "FINETUNE_HALVE_MICRO_BATCHES", "value": "1"}
    assert (variable in job["spec"]["template"]["spec"]["containers"][0]["env"]) == halved


def test_prepare_s_result_fills_the_status() -> None:
    """Counts, resolved hyperparameters with their reasons, the model's size."""
    found = status_of(plan_job(running("prepare", 0, result("prepare")), T + 101))
    assert found.dataset is not None
    assert (found.dataset.train_examples, found.model_bytes) == (90, 3 * 1024**3)
    assert found.hyperparameters[0].to_dict() == {"name": "learningRate", "value": "0.0002", "reason": "usual for LoRA"}
    assert [(a.stage, a.number, a.state) for a in found.attempts] == [("prepare", 1, "Succeeded"), ("train", 1, "Pending")]


def test_a_namesake_s_pod_has_no_part_in_an_attempt() -> None:
    """A recreated job may see pods of the deleted one, with an error that has been fixed."""
    seen = running("prepare", 0, result("prepare"))
    old = ended_pod("a", "tune-prepare-1", 3, failure("prepare", "InvalidDataset", "line 7", 3))
    foreign = replace(old, meta=replace(old.meta, owners=frozenset({"uid-of-then"})))
    assert status_of(plan_job(replace(seen, pods=(foreign, *seen.pods)), T + 60)).dataset is not None
    failed = running("prepare", 1)
    again = status_of(plan_job(replace(failed, pods=(foreign, *failed.pods)), T + 60))
    assert again.attempts[0].reason == "InternalError"


def test_a_success_without_a_result_is_looked_at_once_more() -> None:
    """The stage finds its result in the workspace and repeats it; without one again, the success stands."""
    first = status_of(plan_job(running("publish", 0, pods=()), T + 101))
    assert [(a.number, a.reason) for a in first.attempts if a.stage == "publish"] == [(1, "ResultLost"), (2, None)]
    lost = [*DONE[:2], attempt("publish", 1, "Interrupted", reason="ResultLost"), attempt("publish", 2, "Running", finished_at=None)]
    done = {"tune-publish-2": batch("tune-publish-2", complete=True, terminated=True)}
    again = status_of(plan_job(observed(status(*lost), jobs=done), T + 200))
    assert again.attempts[-1].state == "Succeeded"


def test_a_job_that_is_over_waits_a_moment_for_its_pods_last_news() -> None:
    """The Job's end may be seen before the pod's, which holds the result."""
    live = (pod("tune-prepare-1-0-x", "tune-prepare-1"),)
    plan = plan_job(running("prepare", 0, pods=live), T + 101)
    assert shown(plan) == ("Validating", "PodsEnding")
    assert status_of(plan_job(running("prepare", 0, pods=live), T + 120)).attempts[0].reason == "ResultLost"


def test_a_bad_dataset_ends_the_job_with_the_stage_s_words() -> None:
    """Failed, Stalled, DatasetValid=False; the error names the parameter."""
    message = failure("prepare", "InvalidDataset", "line 3: no messages", 3, param="dataset.train.source")
    plan = plan_job(running("prepare", 3, message), T + 101)
    found = status_of(plan)
    assert shown(plan) == ("Failed", "InvalidDataset")
    assert found.error is not None
    assert (found.error.code, found.error.param, found.error.message) == ("InvalidDataset", "dataset.train.source", "line 3: no messages")
    assert {c.type for c in found.conditions if c.status == "True"} == {"Stalled", "Failed"}
    assert {c.type for c in found.conditions if c.status == "False"} == {"Ready", "Reconciling", "DatasetValid", "Suspended"}
    assert found.finished_at == rfc3339(T + 101)
    assert [(note.type, note.reason, note.message) for note in plan.events] == [("Warning", "InvalidDataset", "line 3: no messages")]


def test_a_failure_uses_up_the_budget_and_then_ends_the_job() -> None:
    """status.restarts counts; the last failure's reason is the job's, with the number of restarts."""
    once = plan_job(running("train", 43, status={"restarts": 2}), T + 101)
    assert (status_of(once).restarts, status_of(once).attempts[-1].counted, shown(once)) == (3, True, ("Starting", "Stalled"))
    last = plan_job(running("train", 43, status={"restarts": 3}), T + 101)
    assert shown(last) == ("Failed", "Stalled")
    assert "after 3 restarts" in ready_message(last)
    assert find(status_of(last).conditions, "Trained") is not None


@pytest.mark.parametrize("code", [42, 143])
def test_an_interruption_uses_up_nothing(code: int) -> None:
    """Preemption is not the job's fault, even when no restart is left."""
    found = status_of(plan_job(running("train", code, status={"restarts": 3}), T + 101))
    assert (found.restarts, found.attempts[1].state, found.attempts[1].counted) == (3, "Interrupted", False)
    assert found.phase == "Starting"


def gang(*pods: Pod, failed: int) -> FineTuneJobStatus:
    """A training of two nodes whose Job has failed before both ran."""
    two = {"training": {"nodes": 2}, "workspace": {"storage": {"accessMode": "ReadWriteMany"}}}
    over: dict[str, Any] = {"failure_reason": "PodFailurePolicy", "terminated": True, "finished": T + 100, "failed": failed}
    state = status(attempt("prepare", 1), active("train"))
    return status_of(plan_job(observed(state, two, jobs={"tune-train-1": batch("tune-train-1", **over)}, pods=pods), T + 101))


RANK_ALONE = ended_pod("tune-train-1-0-x", "tune-train-1", 45)


NO_NODE = {"node": "", "scheduled": False, "scheduled_at": None, "started": None}


@pytest.mark.parametrize(
    ("other", "failed", "state", "reason", "restarts"),
    [
        ((pod("tune-train-1-1-x", "tune-train-1", phase="Failed", **NO_NODE),), 2, "Interrupted", "Unschedulable", 0),
        ((), 2, "Interrupted", "Unschedulable", 0),
        ((), 1, "Failed", "PeerLost", 1),
        ((ended_pod("tune-train-1-1-x", "tune-train-1", 45),), 2, "Failed", "PeerLost", 1),
    ],
)
def test_a_rank_that_never_got_a_node_is_lack_of_room(other: tuple[Pod, ...], failed: int, state: str, reason: str, restarts: int) -> None:
    """Not counted; a pod that was never made, for a quota perhaps, is another matter."""
    found = gang(RANK_ALONE, *other, failed=failed)
    assert (found.attempts[1].state, found.attempts[1].reason, found.restarts) == (state, reason, restarts)
    assert len(found.attempts) == 2  # the back-off


def test_the_log_s_tail_is_shown_where_the_stage_had_no_words() -> None:
    """At most twenty lines, and only if the stage reported no error itself."""
    plain = status_of(plan_job(running("train", 1, "boom", log_tail=("a", "b")), T + 101)).error
    assert plain is not None
    assert (plain.last_log_lines, plain.object) == (["a", "b"], "Pod tune-train-1-0-x")
    reported = status_of(plan_job(running("train", 1, failure("train", "X", "said", 1), log_tail=("a",)), T + 101)).error
    assert reported is not None
    assert reported.last_log_lines == []


def test_gpu_seconds_count_from_running_to_the_end() -> None:
    """Times the GPUs of all nodes."""
    seen = running("train", 0, result("train"))
    assert seen.job.spec is not None
    training = seen.job.spec.training.model_copy(update={"gpus_per_node": 4})
    seen = replace(seen, job=replace(seen.job, spec=seen.job.spec.model_copy(update={"training": training})))
    usage = status_of(plan_job(seen, T + 101)).usage
    assert usage is not None
    assert usage.gpu_seconds == 400
