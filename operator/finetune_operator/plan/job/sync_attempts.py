"""Brings the attempts in the status up to what is observed: seen, running, succeeded, failed, interrupted.

It decides nothing about what comes next; `job.py` does.
"""

from dataclasses import dataclass, replace

from finetune_api.exit_codes import ExitCode
from finetune_api.resources.common import ErrorStatus
from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.finetune_job_status import Attempt, FineTuneJobStatus, UsageStatus
from finetune_operator.build.run_config import WORKSPACE_MOUNT, workspace_path
from finetune_operator.build.stage_job import stage_gpus
from finetune_operator.objects.names import workspace_claim
from finetune_operator.objects.records import BatchJob, Pod
from finetune_operator.plan.common.advice import with_advice
from finetune_operator.plan.common.clock import epoch, rfc3339
from finetune_operator.plan.common.conditions import ConditionUpdate, short
from finetune_operator.plan.common.observed import ObservedJob
from finetune_operator.plan.common.outcome import OUT_OF_MEMORY, Outcome, outcome_of, stage_result
from finetune_operator.plan.job.attempts import UNSCHEDULABLE, active, ended, job_of, living, lost, pods_of, replaced
from finetune_operator.plan.job.results import result_conditions, with_result
from finetune_operator.plan.job.time_limits import stop_reason

LAG = 10.0
"""Seconds for which a Job that is over waits for the last news of its pods."""
KILLS = 2
RESULT_LOST = "ResultLost"
GONE = {
    "Cancelled": "ended because spec.cancel is true",
    "DeadlineExceeded": "ended at limits.deadline",
    "Suspended": "paused: will resume from the latest checkpoint",
    "JobDeleted": "its Job was deleted by another client",
}


@dataclass(frozen=True, slots=True)
class Synced:
    """The status with up-to-date attempts, and what a stage's end settled."""

    status: FineTuneJobStatus
    updates: tuple[ConditionUpdate, ...] = ()


def sync_attempts(observed: ObservedJob, spec: FineTuneJobSpec, status: FineTuneJobStatus, now: float) -> Synced:
    """Looks after the one attempt that is not over."""
    attempt = active(status)
    if attempt is None:
        return Synced(status)
    batch, pods = job_of(observed, attempt), pods_of(observed, attempt)
    if batch is None:
        return Synced(_without_job(spec, status, attempt, pods, now))
    attempt = attempt if attempt.job_uid else attempt.model_copy(update={"job_uid": batch.meta.uid})
    status = replaced(status, attempt)
    if batch.complete or batch.terminated:
        if _pods_lag(batch, pods, now):
            return Synced(status)
        if batch.complete:
            return _completed(spec, status, _ran(attempt, pods), batch, pods, now)
        return _failed(observed, spec, status, attempt, batch, pods, now)
    if batch.failure_reason:
        return Synced(status)
    return Synced(_running(spec, status, attempt, batch, pods, now))


def _without_job(
    spec: FineTuneJobSpec, status: FineTuneJobStatus, attempt: Attempt, pods: tuple[Pod, ...], now: float
) -> FineTuneJobStatus:
    """Not yet created, or gone. One that has gone is over when its pods are: a pause leaves them time for a checkpoint."""
    stop = stop_reason(spec, status, now)
    if attempt.job_uid is None and not stop:
        return status
    waited_for = living(pods) if stop in ("", "Suspended") else [pod for pod in living(pods) if not lost(pod, now)]
    if waited_for:
        return status
    reason = stop or "JobDeleted"
    change = {"state": "Interrupted", "reason": reason, "message": GONE[reason], "finished_at": rfc3339(now)}
    return _used(spec, replaced(status, attempt.model_copy(update=change)), attempt, now)


def _ran(attempt: Attempt, pods: tuple[Pod, ...]) -> Attempt:
    """A short attempt may be over before it was ever seen running."""
    begun = [pod.started for pod in pods if pod.started is not None]
    return attempt if attempt.running_at or not begun else attempt.model_copy(update={"running_at": rfc3339(max(begun))})


def _pods_lag(batch: BatchJob, pods: tuple[Pod, ...], now: float) -> bool:
    """The Job's end may be seen before that of its pods, which holds the result."""
    return bool(living(pods)) and batch.finished is not None and now - batch.finished < LAG


def _running(
    spec: FineTuneJobSpec, status: FineTuneJobStatus, attempt: Attempt, batch: BatchJob, pods: tuple[Pod, ...], now: float
) -> FineTuneJobStatus:
    wanted = spec.training.nodes if attempt.stage == "train" else 1
    if attempt.running_at is None and len(pods) >= wanted and all(pod.phase == "Running" or ended(pod) for pod in pods):
        since = max((pod.started or now for pod in pods), default=now)
        change = {"state": "Running", "running_at": rfc3339(since)}
        return replaced(status, attempt.model_copy(update=change)).model_copy(update={"error": None, "progress_text": None})
    if attempt.running_at is not None and batch.suspended and not living(pods):
        back = attempt.model_copy(update={"state": "Pending", "running_at": None, "started_at": rfc3339(now)})
        return _used(spec, replaced(status, back), attempt, now)
    return status


def _completed(
    spec: FineTuneJobSpec, status: FineTuneJobStatus, attempt: Attempt, batch: BatchJob, pods: tuple[Pod, ...], now: float
) -> Synced:
    result = stage_result(attempt.stage, pods)
    ended_at = batch.finished or now
    if result is None and not _lost_before(status, attempt):
        # The stage keeps its result in the workspace, and the next attempt finds it there.
        unseen = attempt.model_copy(
            update={
                "state": "Interrupted",
                "reason": RESULT_LOST,
                "message": "the result of the pod was not observed",
                "finished_at": rfc3339(ended_at),
            }
        )
        return Synced(_used(spec, replaced(status, unseen), attempt, ended_at))
    done = attempt.model_copy(update={"state": "Succeeded", "exit_code": 0, "finished_at": rfc3339(ended_at)})
    # The next stage has progress of its own to show.
    progress = status.progress.model_copy(update={"activity": None}) if status.progress else None
    fresh = {"error": None, "progress": progress, "progress_text": None, "eta": None}
    status = _used(spec, replaced(status, done), done, ended_at).model_copy(update=fresh)
    return Synced(with_result(status, result), result_conditions(result)) if result else Synced(status)


def _lost_before(status: FineTuneJobStatus, attempt: Attempt) -> bool:
    return any(a.reason == RESULT_LOST and a.stage == attempt.stage and a.number == attempt.number - 1 for a in status.attempts)


def _failed(
    observed: ObservedJob,
    spec: FineTuneJobSpec,
    status: FineTuneJobStatus,
    attempt: Attempt,
    batch: BatchJob,
    pods: tuple[Pod, ...],
    now: float,
) -> Synced:
    """Counts the failure against the budget while there is one; an uncounted Failed attempt is the end of the job."""
    outcome, ended_at = outcome_of(attempt.stage, batch, pods), batch.finished or now
    if outcome.retryable and outcome.counts and _without_room(spec, attempt, batch, pods):
        message = with_advice(
            f"not all pods were scheduled, so the others were terminated: {outcome.message}", UNSCHEDULABLE, attempt.stage
        )
        outcome = replace(outcome, reason=UNSCHEDULABLE, message=message, counts=False)
    else:
        attempt = _ran(attempt, pods)
    if _spared(status, attempt, outcome):
        outcome = replace(outcome, counts=False)
    interrupted = outcome.retryable and not outcome.counts
    counted = outcome.retryable and outcome.counts and status.restarts < spec.limits.max_restarts
    over = attempt.model_copy(
        update={
            "state": "Interrupted" if interrupted else "Failed",
            "counted": counted,
            "exit_code": outcome.exit_code,
            "reason": short(outcome.reason, 128),
            "message": short(outcome.message),
            "finished_at": rfc3339(ended_at),
        }
    )
    status = _used(spec, replaced(status, over), attempt, ended_at)
    error = error_of(outcome, observed.log_tail).model_copy(update={"log_file": _log_file(observed, spec, attempt, outcome)})
    status = status.model_copy(update={"restarts": status.restarts + counted, "error": error})
    return Synced(status, _dataset_conditions(attempt, outcome))


def _spared(status: FineTuneJobStatus, attempt: Attempt, outcome: Outcome) -> bool:
    """True where another attempt is all that it takes, so that what was trained is not lost to a limits.maxRestarts that is 0 or used up:
    publish goes without an export that it died of KILLS times, and what an earlier stage left damaged is made again, once for each."""
    earlier = [a for a in status.attempts if a.stage == attempt.stage and a.number < attempt.number]
    if outcome.exit_code == ExitCode.WORKSPACE_DAMAGED:
        return not any(a.exit_code == outcome.exit_code for a in earlier)
    killed = sum(a.reason == OUT_OF_MEMORY for a in earlier)
    return attempt.stage == "publish" and outcome.reason == OUT_OF_MEMORY and killed < KILLS


def _log_file(observed: ObservedJob, spec: FineTuneJobSpec, attempt: Attempt, outcome: Outcome) -> str | None:
    """Of a container that ran: what its stage wrote into the workspace."""
    if outcome.exit_code is None:
        return None
    meta = observed.job.meta
    folder = workspace_path(meta, spec).removeprefix(WORKSPACE_MOUNT).lstrip("/")
    name = f"logs/{attempt.stage}-{attempt.number}{'*' if attempt.stage == 'train' else ''}.log"
    claim = spec.workspace.claim_name or workspace_claim(meta.name)
    return f"{folder}{'/' if folder else ''}{name} on PersistentVolumeClaim {claim}"


def _without_room(spec: FineTuneJobSpec, attempt: Attempt, batch: BatchJob, pods: tuple[Pod, ...]) -> bool:
    """True when all pods were made and one never got a node. Such a pod goes with its Job, and is in the Job's counts only."""
    nodes = spec.training.nodes
    if attempt.stage != "train" or attempt.running_at is not None or not pods:
        return False
    placed = sum(pod.scheduled or bool(pod.node) for pod in pods)
    return placed < nodes <= max(len(pods), batch.failed + batch.succeeded)


def error_of(outcome: Outcome, log_tail: tuple[str, ...]) -> ErrorStatus:
    """The failure for people; the log's tail only where the stage had no words of its own."""
    said = outcome.error
    return ErrorStatus(
        code=short(outcome.reason, 128),
        message=short(outcome.message, 8192),
        param=short(said.param, 256) if said and said.param else None,
        object=f"Pod {outcome.pod}" if outcome.pod and not said else None,
        details=[short(line) for line in said.details[:50]] if said else [],
        last_log_lines=[] if said else [short(line) for line in log_tail[-20:]],
    )


def _dataset_conditions(attempt: Attempt, outcome: Outcome) -> tuple[ConditionUpdate, ...]:
    said = outcome.error
    if attempt.stage != "prepare" or said is None or not (said.param or "").startswith("dataset") or outcome.retryable:
        return ()
    return (ConditionUpdate("DatasetValid", False, said.code, said.message),)


def _used(spec: FineTuneJobSpec, status: FineTuneJobStatus, attempt: Attempt, until: float) -> FineTuneJobStatus:
    """Adds the GPU seconds from the moment when all pods ran."""
    since, gpus = epoch(attempt.running_at), stage_gpus(spec, attempt.stage)
    if since is None or not gpus:
        return status
    before = status.usage.gpu_seconds if status.usage else 0
    return status.model_copy(update={"usage": UsageStatus(gpu_seconds=before + round(max(0.0, until - since) * gpus))})
