"""Cancel, deadline and pause: the running Job is deleted gracefully, and the job ends or pauses when its pods are gone."""

from finetune_api.resources.common import seconds
from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_operator.build.stages import STAGES
from finetune_operator.plan.common.clock import epoch
from finetune_operator.plan.common.conditions import find
from finetune_operator.plan.common.plan import ObjectRef, job_ref
from finetune_operator.plan.job.attempts import latest, own_jobs
from finetune_operator.plan.job.view import Step, View, failure, resting_phase


def unpaused_since(status: FineTuneJobStatus) -> float | None:
    """When the job was first seen, or last resumed; None while it is paused."""
    suspended = find(status.conditions, "Suspended")
    if suspended is None:
        return epoch(status.started_at)
    return epoch(suspended.last_transition_time) if suspended.status == "False" else None


def waiting_since(status: FineTuneJobStatus) -> float | None:
    """When the job was first seen or last resumed, or when its last attempt ended, if that was later; None while it is paused."""
    since = unpaused_since(status)
    ended = (epoch(attempt.finished_at) for attempt in status.attempts)
    return None if since is None else max(since, *(time for time in ended if time is not None), since)


def schedule_timeout_over(view: View, since: float | None) -> bool:
    """Whether the job has waited for another object for longer than limits.scheduleTimeout."""
    return since is not None and view.now - since > seconds(view.spec.limits.schedule_timeout)


def given_up(view: View, reason: str, message: str, *, param: str, object: str) -> Step:
    """The job fails, as what it has waited for has not come within limits.scheduleTimeout."""
    text = f"{message}: limits.scheduleTimeout ({view.spec.limits.schedule_timeout}) is over"
    return failure(view, reason, text, param=param, object=object, status=view.status.model_copy(update={"error": None}))


def active_seconds(status: FineTuneJobStatus, now: float) -> float:
    """Seconds in which the job was not paused."""
    since = unpaused_since(status)
    return status.active_seconds + (max(0.0, now - since) if since is not None else 0.0)


def deadline_left(spec: FineTuneJobSpec, status: FineTuneJobStatus, now: float) -> float | None:
    """Seconds until limits.deadline; None without a deadline."""
    return seconds(spec.limits.deadline) - active_seconds(status, now) if spec.limits.deadline else None


def stop_reason(spec: FineTuneJobSpec, status: FineTuneJobStatus, now: float) -> str:
    """Cancelled, DeadlineExceeded or Suspended; empty when the job may run."""
    if spec.cancel:
        return "Cancelled"
    left = deadline_left(spec, status, now)
    if left is not None and left <= 0:
        return "DeadlineExceeded"
    return "Suspended" if spec.suspend else ""


def stopped(view: View) -> Step | None:
    """Ends or pauses the job. After publish, the deadline no longer applies: the model is registered."""
    reason = stop_reason(view.spec, view.status, view.now)
    if not reason or (reason == "DeadlineExceeded" and view.stage is None):
        return None
    ending = _ending(view, reason)
    if ending:
        return ending
    if reason == "Cancelled":
        step = failure(view, reason, "spec.cancel is true")
        return Step(step.status, "Cancelled", reason, step.message, end="Failed")
    if reason == "DeadlineExceeded":
        message = f"the job was not finished within limits.deadline ({view.spec.limits.deadline}), pauses not counted"
        return failure(view, reason, message, param="limits.deadline")
    return Step(view.status, "Paused", reason, _paused_message(view))


def claim_holders(view: View) -> tuple[ObjectRef, ...]:
    """All Jobs of the job when none of them runs: a deleted claim is not removed while pods that mount it exist, even ended ones."""
    return tuple(job_ref(batch) for batch in own_jobs(view.observed) if not batch.meta.deleting)


def _ending(view: View, reason: str) -> Step | None:
    """While Jobs or pods still exist. A pause also waits for pods on lost nodes, which may still write."""
    jobs = [batch for batch in own_jobs(view.observed) if not (batch.complete or batch.terminated)]
    pods = [pod for pod in view.observed.pods if not pod.ended and (reason == "Suspended" or not pod.lost(view.now))]
    if not jobs and not pods:
        return None
    phase = STAGES[view.stage].phase if view.stage and pods else resting_phase(view.status)
    word = {"Suspended": "Suspending", "Cancelled": "Cancelling"}.get(reason, reason)
    message = f"waiting for {len(pods)} pod{'s' * (len(pods) != 1)} to terminate" if pods else "deleting the running Job"
    delete = tuple(job_ref(batch) for batch in jobs if not batch.meta.deleting)
    return Step(view.status, phase, word, message, delete=delete, requeue_after=10.0)


def _paused_message(view: View) -> str:
    progress = view.status.progress
    if latest(view.status, "train") and progress and progress.checkpoint_step:
        # The checkpoint that SIGTERM caused may be newer than the last progress line that was read.
        return f"spec.suspend is true; set it to false to resume from the latest checkpoint (step {progress.checkpoint_step} or later)"
    return "spec.suspend is true; set it to false to resume"
