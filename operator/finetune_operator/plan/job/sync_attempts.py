"""Updates the current attempt in the status from what is observed: created, running, succeeded, failed, interrupted.

What happens next is decided in plan_job.py.
"""

from dataclasses import dataclass, replace

from finetune_api.exit_codes import ExitCode
from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.finetune_job_status import Attempt, FineTuneJobStatus, UsageStatus
from finetune_operator.build.run_config import WORKSPACE_MOUNT, workspace_path
from finetune_operator.build.stages import STAGES
from finetune_operator.objects.names import workspace_claim
from finetune_operator.objects.records import BatchJob, Pod
from finetune_operator.plan.common.advice import with_advice
from finetune_operator.plan.common.clock import LAG, epoch, rfc3339
from finetune_operator.plan.common.conditions import ConditionUpdate, short
from finetune_operator.plan.common.outcome import OUT_OF_MEMORY, Outcome, error_status, outcome_of, stage_result
from finetune_operator.plan.job.attempts import UNSCHEDULABLE, ran_out_of_memory, replaced
from finetune_operator.plan.job.results import result_conditions, with_result
from finetune_operator.plan.job.stop import stop_reason
from finetune_operator.plan.job.view import View

KILLS = 2
"""Times that publish may be OOM-killed before it skips the export."""
RESULT_LOST = "ResultLost"
GONE = {
    "Cancelled": "ended because spec.cancel is true",
    "DeadlineExceeded": "ended at limits.deadline",
    "Suspended": "paused: will resume from the latest checkpoint",
    "JobDeleted": "its Job was deleted by another client",
}


@dataclass(frozen=True, slots=True)
class Synced:
    """The status with up-to-date attempts, and the conditions that the end of a stage determines."""

    status: FineTuneJobStatus
    updates: tuple[ConditionUpdate, ...] = ()


def sync_attempts(view: View) -> Synced:
    """Updates the attempt that has not ended."""
    attempt, batch = view.attempt, view.batch
    if attempt is None:
        return Synced(view.status)
    if batch is None:
        return Synced(_without_job(view, attempt))
    if attempt.job_uid is None:
        attempt = attempt.model_copy(update={"job_uid": batch.meta.uid})
        view = view.with_status(replaced(view.status, attempt))
    if not (batch.complete or batch.terminated):
        return Synced(view.status if batch.failure_reason else _running(view, attempt, batch))
    if _pods_lag(view, batch):
        return Synced(view.status)
    return _completed(view, attempt, batch) if batch.complete else _failed(view, attempt, batch)


def _without_job(view: View, attempt: Attempt) -> FineTuneJobStatus:
    """The Job is not created yet, or deleted. In the second case the attempt ends with its pods: a pause leaves time for a checkpoint."""
    stop = stop_reason(view.spec, view.status, view.now)
    if attempt.job_uid is None and not stop:
        return view.status
    if any(not pod.ended and (stop in ("", "Suspended") or not pod.lost(view.now)) for pod in view.pods):
        return view.status
    reason = stop or "JobDeleted"
    change = {"state": "Interrupted", "reason": reason, "message": GONE[reason], "finished_at": rfc3339(view.now)}
    return _with_usage(view.spec, replaced(view.status, attempt.model_copy(update=change)), attempt, view.now)


def _ran(attempt: Attempt, pods: tuple[Pod, ...]) -> Attempt:
    """A short attempt may end before it is observed running."""
    begun = [pod.started for pod in pods if pod.started is not None]
    return attempt if attempt.running_at or not begun else attempt.model_copy(update={"running_at": rfc3339(max(begun))})


def _pods_lag(view: View, batch: BatchJob) -> bool:
    """The end of the Job may be observed before that of its pods, which have the result."""
    return not all(pod.ended for pod in view.pods) and batch.finished is not None and view.now - batch.finished < LAG


def _running(view: View, attempt: Attempt, batch: BatchJob) -> FineTuneJobStatus:
    wanted = STAGES[attempt.stage].pods(view.spec)
    if attempt.running_at is None and len(view.pods) >= wanted and all(pod.phase == "Running" or pod.ended for pod in view.pods):
        since = max((pod.started or view.now for pod in view.pods), default=view.now)
        running = attempt.model_copy(update={"state": "Running", "running_at": rfc3339(since)})
        return replaced(view.status, running).model_copy(update={"error": None, "progress_text": None})
    if attempt.running_at is not None and batch.suspended and all(pod.ended for pod in view.pods):
        queued = attempt.model_copy(update={"state": "Pending", "running_at": None, "started_at": rfc3339(view.now)})
        return _with_usage(view.spec, replaced(view.status, queued), attempt, view.now)
    return view.status


def _completed(view: View, attempt: Attempt, batch: BatchJob) -> Synced:
    attempt, ended_at = _ran(attempt, view.pods), batch.finished or view.now
    result = stage_result(attempt.stage, view.pods)
    if result is None and not _lost_before(view.status, attempt):
        # The stage keeps its result in the workspace, and the next attempt finds it there.
        change = {"state": "Interrupted", "reason": RESULT_LOST, "message": "the result of the pod was not observed"}
        lost = attempt.model_copy(update={**change, "finished_at": rfc3339(ended_at)})
        return Synced(_with_usage(view.spec, replaced(view.status, lost), attempt, ended_at))
    done = attempt.model_copy(update={"state": "Succeeded", "exit_code": 0, "finished_at": rfc3339(ended_at)})
    # The next stage has its own progress.
    progress = view.status.progress.model_copy(update={"activity": None}) if view.status.progress else None
    cleared = {"error": None, "progress": progress, "progress_text": None, "eta": None}
    status = _with_usage(view.spec, replaced(view.status, done), done, ended_at).model_copy(update=cleared)
    return Synced(with_result(status, result), result_conditions(result)) if result else Synced(status)


def _lost_before(status: FineTuneJobStatus, attempt: Attempt) -> bool:
    return any(a.reason == RESULT_LOST and a.stage == attempt.stage and a.number == attempt.number - 1 for a in status.attempts)


def _failed(view: View, attempt: Attempt, batch: BatchJob) -> Synced:
    """Counts the failure against limits.maxRestarts while restarts are left; an uncounted Failed attempt ends the job."""
    outcome, ended_at = outcome_of(attempt.stage, batch, view.pods), batch.finished or view.now
    if outcome.retryable and outcome.counts and _unscheduled(view, attempt, batch):
        outcome = _without_capacity(outcome, attempt)
    else:
        attempt = _ran(attempt, view.pods)
    outcome = _once_more(view, attempt, outcome)
    counted = outcome.retryable and outcome.counts and view.status.restarts < view.spec.limits.max_restarts
    status = replaced(view.status, _ended(attempt, outcome, counted, ended_at))
    error = error_status(outcome, view.observed.log_tail).model_copy(update={"log_file": _log_file(view, attempt, outcome)})
    status = status.model_copy(update={"restarts": status.restarts + counted, "error": error})
    return Synced(_with_usage(view.spec, status, attempt, ended_at), _dataset_conditions(attempt, outcome))


def _ended(attempt: Attempt, outcome: Outcome, counted: bool, at: float) -> Attempt:
    return attempt.model_copy(
        update={
            "state": "Interrupted" if outcome.retryable and not outcome.counts else "Failed",
            "counted": counted,
            "exit_code": outcome.exit_code,
            "reason": short(outcome.reason, 128),
            "message": short(outcome.message),
            "finished_at": rfc3339(at),
        }
    )


def _once_more(view: View, attempt: Attempt, outcome: Outcome) -> Outcome:
    """Not counted when one more attempt is expected to succeed, so that no work is lost because limits.maxRestarts is 0 or used up:
    publish skips an export, or the checkpoints, after KILLS OOM kills, a training runs out of memory once and is halved, and damaged files
    of an earlier stage are created again, once for each stage."""
    if outcome.exit_code == ExitCode.WORKSPACE_DAMAGED:
        earlier = (a for a in view.status.attempts if a.stage == attempt.stage and a.number < attempt.number)
        return outcome if any(a.exit_code == outcome.exit_code for a in earlier) else replace(outcome, counts=False)
    if outcome.reason != OUT_OF_MEMORY:
        return outcome
    before = ran_out_of_memory(view.status, attempt)
    if attempt.stage == "train":
        return _halved(view.spec, outcome, before)
    return replace(outcome, counts=False) if attempt.stage == "publish" and before < KILLS else outcome


def _halved(spec: FineTuneJobSpec, outcome: Outcome, before: int) -> Outcome:
    """A training that ran out of memory: once more with half the micro-batch, unless the trainer says that it cannot be divided."""
    if before:
        return replace(outcome, message=f"{outcome.message} (half the micro-batch was tried as well)")
    if not spec.limits.auto_micro_batch or outcome.exit_code == ExitCode.DOES_NOT_FIT:
        return outcome
    message = f"trying once more with half the micro-batch and the same losses: {outcome.message}"
    return replace(outcome, message=message, retryable=True, counts=False)


def _unscheduled(view: View, attempt: Attempt, batch: BatchJob) -> bool:
    """True when all pods were created and one was never scheduled. The Job controller deletes such a pod with the Job, so only the counts
    of the Job include it."""
    if not STAGES[attempt.stage].distributed or attempt.running_at is not None or not view.pods:
        return False
    scheduled = sum(pod.scheduled or bool(pod.node) for pod in view.pods)
    return scheduled < view.spec.training.nodes <= max(len(view.pods), batch.failed + batch.succeeded)


def _without_capacity(outcome: Outcome, attempt: Attempt) -> Outcome:
    text = f"not all pods were scheduled, so the others were terminated: {outcome.message}"
    return replace(outcome, reason=UNSCHEDULABLE, message=with_advice(text, UNSCHEDULABLE, attempt.stage), counts=False)


def _log_file(view: View, attempt: Attempt, outcome: Outcome) -> str | None:
    """Where the log of a container that ran is in the workspace."""
    if outcome.exit_code is None:
        return None
    folder = workspace_path(view.meta, view.spec).removeprefix(WORKSPACE_MOUNT).lstrip("/")
    name = f"logs/{attempt.stage}-{attempt.number}{'*' if STAGES[attempt.stage].distributed else ''}.log"
    claim = view.spec.workspace.claim_name or workspace_claim(view.meta.name)
    return f"{folder}{'/' if folder else ''}{name} on PersistentVolumeClaim {claim}"


def _dataset_conditions(attempt: Attempt, outcome: Outcome) -> tuple[ConditionUpdate, ...]:
    reported = outcome.error
    if attempt.stage != "prepare" or reported is None or not (reported.param or "").startswith("dataset") or outcome.retryable:
        return ()
    return (ConditionUpdate("DatasetValid", False, reported.code, reported.message),)


def _with_usage(spec: FineTuneJobSpec, status: FineTuneJobStatus, attempt: Attempt, until: float) -> FineTuneJobStatus:
    """Adds the GPU seconds of an attempt, from the moment when all of its pods ran."""
    since, gpus = epoch(attempt.running_at), STAGES[attempt.stage].gpus(spec)
    if since is None or not gpus:
        return status
    before = status.usage.gpu_seconds if status.usage else 0
    return status.model_copy(update={"usage": UsageStatus(gpu_seconds=before + round(max(0.0, until - since) * gpus))})
