"""The rules of plan_job, one snapshot each."""

from dataclasses import replace
from typing import Any

import pytest

from finetune_api.progress import Progress
from finetune_api.resources.common import ErrorStatus
from finetune_api.resources.finetune_job_status import Attempt, FineTuneJobStatus, ProgressStatus, StageName
from finetune_api.run_config import RunConfig
from finetune_operator.objects.names import JOB_UID_ANNOTATION, MODEL_LABEL, SPEC_DIGEST_ANNOTATION
from finetune_operator.objects.records import FineTunedModel, Pod, WarningEvent
from finetune_operator.plan.common.clock import rfc3339
from finetune_operator.plan.common.conditions import find
from finetune_operator.plan.common.observed import ObservedJob
from finetune_operator.plan.common.plan import Plan
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.samples import (
    JOB_UID,
    SETTINGS,
    T,
    batch,
    claim,
    condition,
    ended_pod,
    failure,
    job,
    meta,
    model,
    pod,
    result,
)

pytestmark = pytest.mark.unit


def attempt(stage: str, number: int, state: str = "Succeeded", **more: Any) -> Attempt:
    shape = {"job_uid": f"uid-tune-{stage}-{number}", "started_at": rfc3339(T), "running_at": rfc3339(T), "finished_at": rfc3339(T)}
    return Attempt.model_validate({"stage": stage, "number": number, "state": state, **shape, **more})


def status(*attempts: Attempt, **more: Any) -> FineTuneJobStatus:
    conditions = [condition("Suspended", "False", "Running")]
    return FineTuneJobStatus(**{"attempts": list(attempts), "started_at": rfc3339(T), "image": "pinned", "conditions": conditions, **more})


def observed(state: FineTuneJobStatus, spec_: dict[str, Any] | None = None, **more: Any) -> ObservedJob:
    own = {"tune-workspace": claim("tune-workspace", owners=frozenset({JOB_UID}))}
    return ObservedJob(job(state, **(spec_ or {})), SETTINGS, **{"claims": own, **more})


def active(stage: str, number: int = 1, **more: Any) -> Attempt:
    return attempt(stage, number, "Pending", finished_at=None, **{"running_at": None, **more})


def shown(plan: Plan) -> tuple[str | None, str | None]:
    assert isinstance(plan.status, FineTuneJobStatus)
    return plan.status.phase, plan.status.reason


def status_of(plan: Plan) -> FineTuneJobStatus:
    assert isinstance(plan.status, FineTuneJobStatus)
    return plan.status


def created(plan: Plan) -> list[str]:
    return [obj["metadata"]["name"] for obj in plan.create if obj["kind"] == "Job"]


def ready_message(plan: Plan) -> str:
    found = find(status_of(plan).conditions, "Ready")
    assert found is not None
    return found.message


DONE = (attempt("prepare", 1), attempt("train", 1), attempt("publish", 1))


# ---- attempts


def test_first_sight_writes_conditions_and_records_the_attempt_only() -> None:
    """Nothing is created before the attempt is in the status; kstatus finds its conditions at once."""
    plan = plan_job(observed(FineTuneJobStatus()), T)
    assert not (plan.apply or plan.create or plan.delete)
    found = status_of(plan)
    assert [(a.stage, a.number, a.state, a.job_uid) for a in found.attempts] == [("prepare", 1, "Pending", None)]
    assert {c.type: c.status for c in found.conditions} == {
        "Ready": "False", "Reconciling": "True", "Stalled": "False", "Suspended": "False",
    }  # fmt: skip
    assert (found.observed_generation, found.model, found.base, found.image) == (1, "tune", "pvc://models/smol", "registry/trainer:1")


def test_a_recorded_attempt_is_created_with_its_children() -> None:
    """The Job and what its pods mount."""
    plan = plan_job(observed(status(active("prepare", job_uid=None)), claims={}), T)
    assert [obj["kind"] for obj in plan.create] == ["ConfigMap", "PersistentVolumeClaim", "Job"]
    assert created(plan) == ["tune-prepare-1"]


def test_what_the_administrator_allows_is_in_the_run_config() -> None:
    """It comes from the operator's settings when the job begins."""
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


def test_an_attempt_whose_job_has_gone_is_not_created_again() -> None:
    """It is Interrupted, counts nothing, and the next number follows."""
    plan = plan_job(observed(status(active("prepare"))), T)
    assert plan.create == ()
    (gone,) = status_of(plan).attempts
    assert (gone.state, gone.reason, gone.counted) == ("Interrupted", "JobDeleted", False)


def test_a_namesake_of_another_uid_is_not_our_job() -> None:
    """A Job that was made again under the recorded name is deleted, and the attempt is over."""
    other = replace(batch("tune-prepare-1"), meta=meta("tune-prepare-1", "another", owners=frozenset({JOB_UID})))
    plan = plan_job(observed(status(active("prepare")), jobs={"tune-prepare-1": other}), T)
    assert [ref.uid for ref in plan.delete] == ["another"]
    assert status_of(plan).attempts[0].state == "Interrupted"


@pytest.mark.parametrize("state", ["Succeeded", "Failed", "Interrupted"])
def test_a_job_of_a_finished_attempt_is_deleted_when_it_runs(state: str) -> None:
    """There are never two live attempts."""
    old, new = batch("tune-train-1"), batch("tune-train-2")
    attempts = status(attempt("prepare", 1), attempt("train", 1, state, counted=True), active("train", 2))
    plan = plan_job(observed(attempts, jobs={"tune-train-1": old, "tune-train-2": new}), T)
    assert [ref.name for ref in plan.delete] == ["tune-train-1"]


def test_the_next_attempt_waits_for_the_last_one_s_pods() -> None:
    """Two ranks of one number must never write at once."""
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
    """An attempt that ran for a while is followed at once; one that a node turns away at once is not a hot loop."""
    over = attempt("train", 1, "Interrupted", reason=reason, running_at=rfc3339(T - ran))
    plan = plan_job(observed(status(attempt("prepare", 1), over)), T)
    assert len(status_of(plan).attempts) == (2 if waits else 3)


def test_old_attempts_give_way_to_new_ones() -> None:
    """The list is bounded; the numbers go on and the other stages' newest stay."""
    tries = [attempt("train", n, "Interrupted", reason="Suspended") for n in range(1, 90)]
    found = status_of(plan_job(observed(status(attempt("prepare", 1), *tries)), T)).attempts
    assert len(found) == 64
    assert (found[0].stage, found[-1].number) == ("prepare", 90)


def test_a_lost_workspace_starts_again_from_prepare() -> None:
    """A stage must not find an empty volume where the last one has left its work."""
    plan = plan_job(observed(status(attempt("prepare", 1), active("train", job_uid=None)), claims={}), T)
    assert plan.create == ()
    assert [(a.state, a.reason) for a in status_of(plan).attempts] == [("Interrupted", "WorkspaceLost")] * 2


# ---- results and failures


def running(stage: str, code: int, message: str = "", **more: Any) -> ObservedJob:
    """A stage's first attempt whose pod has ended."""
    name = f"tune-{stage}-1"
    before = {"prepare": (), "train": DONE[:1], "publish": DONE[:2]}[stage]
    state = status(*before, attempt(stage, 1, "Running", finished_at=None), **more.pop("status", {}))
    over = {"complete": True} if code == 0 else {"failure_reason": "PodFailurePolicy"}
    jobs = {name: batch(name, terminated=True, finished=T + 100, **over)}
    pods = more.pop("pods", (ended_pod(f"{name}-0-x", name, code, message),))
    return observed(state, jobs=jobs, pods=pods, **more)


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


def test_prepare_s_result_fills_the_status() -> None:
    """Counts, resolved hyper-parameters with their reasons, the model's size."""
    found = status_of(plan_job(running("prepare", 0, result("prepare")), T + 101))
    assert found.dataset is not None
    assert (found.dataset.train_examples, found.model_bytes) == (90, 3 * 1024**3)
    assert found.hyperparameters[0].to_dict() == {"name": "learningRate", "value": "0.0002", "reason": "usual for LoRA"}
    assert [(a.stage, a.number, a.state) for a in found.attempts] == [("prepare", 1, "Succeeded"), ("train", 1, "Pending")]


def test_a_namesake_s_pod_has_no_part_in_an_attempt() -> None:
    """A job that was deleted and made again may meet the pods of its earlier self, with an error that has been mended."""
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


def test_a_bad_data_set_ends_the_job_with_the_stage_s_words() -> None:
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


@pytest.mark.parametrize(("begun", "shown_"), [(T, ("Failed", "Unschedulable")), (T + 60_000, ("Queued", "Unschedulable"))])
def test_the_schedule_timeout_bounds_all_attempts_without_room(begun: float, shown_: tuple[str, str]) -> None:
    """Attempts that follow each other wait for the same room."""
    before = attempt("train", 1, "Interrupted", reason="Unschedulable", started_at=rfc3339(begun), finished_at=rfc3339(T + 86_000))
    state = status(attempt("prepare", 1), before, active("train", 2, started_at=rfc3339(T + 86_030)))
    unplaced = pod("tune-train-2-0-x", "tune-train-2", **{"phase": "Pending", "started": None, **NO_ROOM})
    late = observed(state, jobs={"tune-train-2": batch("tune-train-2")}, pods=(unplaced,))
    assert shown(plan_job(late, T + 86_410)) == shown_


def test_the_log_s_tail_is_shown_where_the_stage_had_no_words() -> None:
    """Twenty lines at most; a stage with a result of its own speaks for itself."""
    plain = status_of(plan_job(running("train", 1, "boom", log_tail=("a", "b")), T + 101)).error
    assert plain is not None
    assert (plain.last_log_lines, plain.object) == (["a", "b"], "Pod tune-train-1-0-x")
    told = status_of(plan_job(running("train", 1, failure("train", "X", "said", 1), log_tail=("a",)), T + 101)).error
    assert told is not None
    assert told.last_log_lines == []


def test_gpu_seconds_count_from_running_to_the_end() -> None:
    """Times the GPUs of all nodes."""
    seen = running("train", 0, result("train"))
    assert seen.job.spec is not None
    training = seen.job.spec.training.model_copy(update={"gpus_per_node": 4})
    seen = replace(seen, job=replace(seen.job, spec=seen.job.spec.model_copy(update={"training": training})))
    usage = status_of(plan_job(seen, T + 101)).usage
    assert usage is not None
    assert usage.gpu_seconds == 400


# ---- start


def starting(found: tuple[Pod, ...] = (), now: float = T + 30, limits: dict[str, Any] | None = None, **more: Any) -> Plan:
    state = status(active("prepare"), **more.pop("status", {}))
    jobs = {"tune-prepare-1": batch("tune-prepare-1", **more.pop("batch", {}))}
    return plan_job(observed(state, {"limits": limits or {}}, jobs=jobs, pods=found, **more), now)


def waiting_pod(**more: Any) -> Pod:
    return pod("tune-prepare-1-0-x", "tune-prepare-1", **{"phase": "Pending", "started": None, **more})


NO_SECRET = {"waiting_reason": "CreateContainerConfigError", "waiting_message": 'secret "s3" not found'}
NO_ROOM = {"scheduled": False, "node": "", "scheduled_at": None, "scheduling_message": "0/1 nodes are available: 1 Insufficient cpu."}
NO_CLAIM = {**NO_ROOM, "scheduling_message": 'persistentvolumeclaim "data" not found'}


def test_a_missing_secret_is_shown_while_it_is_waited_for() -> None:
    """Condition, error and column name the Secret; the job goes on as soon as it is there."""
    plan = starting((waiting_pod(**NO_SECRET),))
    assert shown(plan) == ("Starting", "SecretNotFound")
    error = status_of(plan).error
    assert error is not None
    assert (error.object, error.code) == ("Secret s3", "SecretNotFound")
    assert "create the Secret" in error.message
    assert find(status_of(plan).conditions, "Stalled") == condition("Stalled", "False", "SecretNotFound", at=T + 30).model_copy(
        update={"observed_generation": 1}
    )


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


# ---- progress


def at_work(progress: Progress | None, old: dict[str, Any], now: float) -> Plan:
    state = status(attempt("prepare", 1), attempt("train", 1, "Running", finished_at=None), **old)
    jobs = {"tune-train-1": batch("tune-train-1")}
    pods = (pod("tune-train-1-0-x", "tune-train-1"),)
    settled = replace(observed(state, jobs=jobs, pods=pods))
    first = status_of(plan_job(settled, now))
    return plan_job(replace(settled, job=replace(settled.job, status=first), progress=progress), now)


STEP = Progress(stage="train", activity="training", step=310, total_steps=500, loss=2.5031, eta_seconds=4320.0, checkpoint_step=300)


def test_progress_is_shown_as_people_read_it() -> None:
    """Percent and steps, the time left, the loss."""
    found = status_of(at_work(STEP, {}, T + 60))
    assert (found.progress_text, found.eta, found.loss_text) == ("62% (310/500)", "1h12m", "2.503")


@pytest.mark.parametrize(
    ("text", "age", "written"),
    [("60% (300/500)", 14, False), ("60% (300/500)", 15, True), ("62% (310/500)", 600, False)],
)
def test_progress_is_written_seldom(text: str, age: int, written: bool) -> None:
    """At most once in 15 s, and only when the text differs."""
    old = {"progress_text": text, "eta": "1h12m", "loss_text": "2.503", "progress": ProgressStatus(updated_at=rfc3339(T + 60 - age))}
    assert (at_work(STEP, old, T + 60).status is not None) is written


def test_another_stage_s_line_is_passed_over() -> None:
    """The log of the last stage's pod may still be read."""
    assert at_work(STEP.model_copy(update={"stage": "prepare"}), {}, T + 60).status is None


# ---- pause, cancel, deadline


def stopping(change: dict[str, Any], pods: tuple[Pod, ...], with_job: bool, now: float = T + 60, **more: Any) -> Plan:
    state = status(attempt("prepare", 1), attempt("train", 1, "Running", finished_at=None), **more)
    jobs = {"tune-train-1": batch("tune-train-1")} if with_job else {}
    return plan_job(observed(state, change, jobs=jobs, pods=pods), now)


RANK = pod("tune-train-1-0-x", "tune-train-1")
SUSPEND = {"suspend": True}
CANCEL = {"cancel": True}
DEADLINE = {"limits": {"deadline": "30s"}}


@pytest.mark.parametrize(("change", "reason"), [(SUSPEND, "Suspending"), (CANCEL, "Cancelling"), (DEADLINE, "DeadlineExceeded")])
def test_a_stop_deletes_the_job_and_waits_for_its_pods(change: dict[str, Any], reason: str) -> None:
    """SIGTERM leaves training the time for a checkpoint."""
    plan = stopping(change, (RANK,), with_job=True)
    assert ([ref.name for ref in plan.delete], shown(plan)) == (["tune-train-1"], ("Training", reason))
    after = stopping(change, (replace(RANK, gone_by=T + 180),), with_job=False)
    assert (after.delete, shown(after)) == ((), ("Training", reason))


@pytest.mark.parametrize(
    ("change", "phase", "reason", "ready", "stalled"),
    [
        (SUSPEND, "Paused", "Suspended", None, "False"),
        (CANCEL, "Cancelled", "Cancelled", "False", "True"),
        (DEADLINE, "Failed", "DeadlineExceeded", "False", "True"),
    ],
)
def test_a_stop_is_over_when_the_pods_have_gone(change: dict[str, Any], phase: str, reason: str, ready: str | None, stalled: str) -> None:
    """Paused is neither reconciling nor stalled, and without Ready current for kstatus; cancelled and late are failed."""
    plan = stopping(change, (), with_job=False)
    found = status_of(plan)
    assert shown(plan) == (phase, reason)
    kinds = {c.type: c.status for c in found.conditions}
    assert (kinds.get("Ready"), kinds["Reconciling"], kinds["Stalled"]) == (ready, "False", stalled)
    assert (found.attempts[-1].state, found.attempts[-1].counted, found.restarts) == ("Interrupted", False, 0)
    assert found.active_seconds == 60


def test_a_job_suspended_from_its_creation_makes_no_pods() -> None:
    """Not even a claim."""
    plan = plan_job(observed(FineTuneJobStatus(), SUSPEND, claims={}), T)
    assert shown(plan) == ("Paused", "Suspended")
    assert (plan.apply, plan.create, status_of(plan).attempts) == ((), (), [])


def test_the_pause_is_not_counted() -> None:
    """activeSeconds grows while the job may run only; the deadline goes by it."""
    state = status(attempt("prepare", 1), conditions=[condition("Suspended", "False", at=T)])
    paused = status_of(plan_job(observed(state, SUSPEND), T + 100))
    assert paused.active_seconds == 100
    later = plan_job(observed(paused, SUSPEND), T + 5000)
    assert later.status is None
    resumed = status_of(plan_job(observed(paused, {"limits": {"deadline": "200s"}}), T + 5000))
    assert resumed.phase == "Starting"
    over = plan_job(observed(resumed, {"limits": {"deadline": "200s"}}), T + 5101)
    assert shown(over) == ("Failed", "DeadlineExceeded")


@pytest.mark.parametrize(
    ("done", "phase", "reason"),
    [(("prepare", "train"), "Failed", "DeadlineExceeded"), (("prepare", "train", "publish"), "Evaluating", "Registering")],
)
def test_a_deadline_does_not_throw_a_finished_model_away(done: tuple[StageName, ...], phase: str, reason: str) -> None:
    """All that is left to do is to register it and to verify its files."""
    state = status(*(attempt(stage, 1) for stage in done))
    volume = claim("tune-model", owners=frozenset({JOB_UID}), labels={MODEL_LABEL: "tune"})
    claims = {"tune-workspace": claim("tune-workspace", owners=frozenset({JOB_UID})), "tune-model": volume}
    plan = plan_job(observed(state, DEADLINE, claims=claims), T + 60)
    assert shown(plan) == (phase, reason)
    assert [obj["kind"] for obj in plan.create] == (["FineTunedModel"] if reason == "Registering" else [])
    assert plan.requeue_after is None or plan.requeue_after >= 5


def test_resuming_is_a_new_attempt_that_does_not_count() -> None:
    """It goes on from the newest checkpoint."""
    state = status(attempt("prepare", 1), attempt("train", 1, "Interrupted", reason="Suspended"))
    found = status_of(plan_job(observed(state), T))
    assert (found.attempts[-1].number, found.restarts) == (2, 0)


def test_cancelling_does_not_wait_for_a_lost_node() -> None:
    """A pause does: its pod may still write what the next attempt reads."""
    left = (replace(RANK, gone_by=T - 600),)
    assert shown(stopping(CANCEL, left, with_job=False)) == ("Cancelled", "Cancelled")
    assert shown(stopping(SUSPEND, left, with_job=False)) == ("Training", "Suspending")


# ---- output and base


def named(annotations: dict[str, str], **more: Any) -> FineTunedModel:
    return model("tune", annotations=annotations, **more)


def digest() -> str:
    found = status_of(plan_job(observed(FineTuneJobStatus()), T)).spec_digest
    assert found is not None
    return found


def test_a_model_of_the_same_spec_is_not_trained_again() -> None:
    """Complete without a pod."""
    there = named({SPEC_DIGEST_ANNOTATION: digest(), JOB_UID_ANNOTATION: "another"})
    plan = plan_job(observed(FineTuneJobStatus(), output_model=there), T)
    assert shown(plan) == ("Succeeded", "AlreadyTrained")
    assert (plan.apply, plan.create, status_of(plan).attempts) == ((), (), [])


def test_a_model_that_appears_before_the_job_of_an_attempt_is_not_trained_again() -> None:
    """Two jobs of one spec: the second one ends with the first one's model, and nothing of it runs."""
    there = named({SPEC_DIGEST_ANNOTATION: digest(), JOB_UID_ANNOTATION: "another"})
    plan = plan_job(observed(status(active("prepare", job_uid=None)), output_model=there), T)
    assert (shown(plan), plan.create) == (("Succeeded", "AlreadyTrained"), ())
    assert [(a.state, a.reason) for a in status_of(plan).attempts] == [("Interrupted", "OutputTaken")]


def test_a_model_of_another_spec_is_never_overwritten() -> None:
    """Failed before any pod, and says how to go on."""
    plan = plan_job(observed(FineTuneJobStatus(), output_model=named({SPEC_DIGEST_ANNOTATION: "f" * 64})), T)
    assert shown(plan) == ("Failed", "OutputExists")
    error = status_of(plan).error
    assert error is not None
    assert (error.param, error.object) == ("output.model", "FineTunedModel tune")


def test_a_model_that_goes_is_waited_for() -> None:
    """Its name is free after that."""
    plan = plan_job(observed(FineTuneJobStatus(), output_model=named({}, deleting=True)), T)
    assert shown(plan) == ("Pending", "ModelTerminating")


BASE = {"base": {"fineTunedModel": {"name": "bot"}}}


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        (None, "BaseModelNotFound"),
        (model(deleting=True), "BaseModelNotFound"),
        (replace(model(), status=model().status.model_copy(update={"conditions": []})), "BaseModelNotReady"),
    ],
)
def test_a_base_model_must_be_there_and_verified(base: FineTunedModel | None, reason: str) -> None:
    """It is waited for, named, for limits.scheduleTimeout."""
    plan = plan_job(observed(FineTuneJobStatus(), BASE, base_model=base), T)
    assert shown(plan) == ("Pending", reason)
    error = status_of(plan).error
    assert error is not None
    assert error.object == "FineTunedModel bot"
    late = plan_job(observed(status_of(plan), BASE, base_model=base), T + 90_000)
    assert shown(late) == ("Failed", reason)


def test_a_base_model_that_is_ready_is_mounted() -> None:
    """In each stage."""
    plan = plan_job(observed(status(active("prepare", job_uid=None)), BASE, base_model=model()), T)
    volumes = plan.create[-1]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "source-base", "persistentVolumeClaim": {"claimName": "bot-model"}} in volumes


# ---- the end


def finishing(**more: Any) -> Plan:
    volume = {"tune-model": claim("tune-model", owners=frozenset({JOB_UID}))}
    workspace = {"tune-workspace": claim("tune-workspace", owners=frozenset({JOB_UID}))}
    return plan_job(observed(status(*DONE), **{"claims": {**workspace, **volume}, **more}), T + 60)


OURS = {JOB_UID_ANNOTATION: JOB_UID}


def test_the_model_is_created_after_publish() -> None:
    """Not owned by the job, so that it outlives it."""
    (made,) = finishing().create
    assert (made["kind"], made["metadata"]["name"]) == ("FineTunedModel", "tune")
    assert "ownerReferences" not in made["metadata"]


def test_the_volume_goes_over_to_the_model_before_the_job_is_complete() -> None:
    """The model is its only owner then."""
    plan = finishing(output_model=named(OURS))
    assert shown(plan) == ("Evaluating", "Registering")
    (volume,) = plan.apply
    assert [owner["kind"] for owner in volume["metadata"]["ownerReferences"]] == ["FineTunedModel"]


HANDED_OVER = {"tune-model": claim("tune-model", owners=frozenset({"uid-tune"}))}


@pytest.mark.parametrize(
    ("conditions", "phase", "reason"),
    [
        ([condition("Ready", "True", "Verified")], "Succeeded", "Complete"),
        ([condition("Ready", "False", "Inspecting")], "Evaluating", "Registering"),
        ([condition("Ready", "False", "Bad"), condition("Stalled", "True", "Bad")], "Failed", "ModelInvalid"),
    ],
)
def test_the_job_is_complete_when_its_model_has_been_verified(conditions: list[Any], phase: str, reason: str) -> None:
    """By the model's own inspection."""
    found = named(OURS)
    found = replace(found, status=found.status.model_copy(update={"conditions": conditions}))
    assert shown(finishing(output_model=found, claims=HANDED_OVER)) == (phase, reason)


@pytest.mark.parametrize(("owners", "reason"), [({JOB_UID, "uid-tune"}, "Registering"), ({"uid-tune", "uid-backup"}, "Complete")])
def test_the_volume_is_handed_over_when_the_job_owns_it_no_more(owners: set[str], reason: str) -> None:
    """What somebody else adds to the owners is not fought over."""
    volume = {"tune-model": claim("tune-model", owners=frozenset(owners))}
    found = replace(named(OURS), status=named(OURS).status.model_copy(update={"conditions": [condition("Ready", "True")]}))
    assert shown(finishing(output_model=found, claims=volume))[1] == reason


def test_a_model_volume_that_has_gone_fails_the_job() -> None:
    """Rather than register a model without bytes."""
    plan = finishing(claims={})
    assert (shown(plan), plan.create) == (("Failed", "ModelVolumeLost"), ())


GOING = {"tune-model": claim("tune-model", deleting=True, labels={"finetune.dev/model": "tune"}, owners=frozenset({"uid-tune"}))}
PREPARE, PUBLISH = "tune-prepare-1", "tune-publish-1"


@pytest.mark.parametrize(
    ("over", "spec_", "more", "released"),
    [
        ("Complete", {}, {}, []),
        ("Complete", {}, {"claims": GOING}, [PUBLISH]),
        ("Complete", {}, {"service": meta("tune-train")}, ["tune-train"]),
        ("Complete", {}, {"service": meta("tune-train", deleting=True)}, []),
        ("Complete", {"base": {"fineTunedModel": {"name": "bot"}}}, {"base_model": model()}, []),
        ("Complete", {"base": {"fineTunedModel": {"name": "bot"}}}, {"base_model": model(deleting=True)}, [PREPARE, PUBLISH]),
        ("Failed", {}, {}, []),
        ("Failed", {}, {"claims": GOING}, [PUBLISH]),
        ("Failed", {"base": {"fineTunedModel": {"name": "bot"}}}, {"base_model": model()}, []),
        ("Failed", {"base": {"fineTunedModel": {"name": "bot"}}}, {"base_model": model(deleting=True)}, [PREPARE, PUBLISH]),
        ("Failed", {"base": {"fineTunedModel": {"name": "bot"}}}, {}, [PREPARE, PUBLISH]),
    ],
)
def test_a_job_that_is_over_lets_go_of_models(over: str, spec_: dict[str, Any], more: dict[str, Any], released: list[str]) -> None:
    """An ended pod that mounts a deleted model's claim would keep its bytes."""
    jobs = {}
    for name in (PREPARE, PUBLISH):
        found = batch(name, complete=True, terminated=True)
        jobs[name] = replace(found, meta=replace(found.meta, labels={"finetune.dev/stage": name.split("-")[1]}))
    state = status(conditions=[condition(over, "True")], observed_generation=1)
    plan = plan_job(observed(state, spec_, jobs=jobs, **more), T)
    assert [ref.name for ref in plan.delete] == released


def test_ended_jobs_let_go_of_a_workspace_that_somebody_deletes() -> None:
    """Even an ended pod holds its claim, and a new workspace needs the old one gone."""
    going = {"tune-workspace": claim("tune-workspace", deleting=True, owners=frozenset({JOB_UID}))}
    state = status(attempt("prepare", 1), Attempt(stage="train", number=1))
    jobs = {"tune-prepare-1": batch("tune-prepare-1", complete=True, terminated=True)}
    plan = plan_job(ObservedJob(job(status=state), SETTINGS, jobs=jobs, claims=going), T)
    assert plan.create == ()
    assert [ref.name for ref in plan.delete] == ["tune-prepare-1"]


# ---- the rest


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


def test_a_job_that_its_queue_takes_back_begins_its_wait_anew() -> None:
    """Kueue evicts days later: that is no reason to be out of time, and the GPUs are paid for until then."""
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
