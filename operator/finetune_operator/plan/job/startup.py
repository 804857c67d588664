"""The time between the Job of an attempt and its running pods: reports what blocks them, and fails the job at the limits."""

from dataclasses import replace

from finetune_api.resources.common import ErrorStatus, seconds
from finetune_api.resources.finetune_job_status import Attempt, FineTuneJobStatus, Phase
from finetune_operator.build.sources import field_naming, mounted_config_map
from finetune_operator.build.stages import STAGES
from finetune_operator.objects.records import BatchJob
from finetune_operator.plan.common.advice import with_advice
from finetune_operator.plan.common.blocked import Blocker, job_blocker, same_but_shorter
from finetune_operator.plan.common.clock import POLL, SETTLING, epoch, rfc3339, soonest
from finetune_operator.plan.common.conditions import short
from finetune_operator.plan.job.attempts import active, queued_since, replaced
from finetune_operator.plan.job.view import Step, View, failure, node_lost, resting_phase


def creating(view: View, attempt: Attempt) -> Step:
    """The first seconds of an attempt, in which its pods are created, scheduled and started: one status for all of it saves writes."""
    message = f"creating the pods of {attempt.stage} {attempt.number}"
    wait = _settling_left(attempt, view.now)
    return Step(view.status, resting_phase(view.status), "CreatingPods", message, requeue_after=wait if wait > 0 else SETTLING)


def nothing_new(old: FineTuneJobStatus, new: FineTuneJobStatus, now: float) -> bool:
    """True when only the uid of a new Job has become known: it is written together with the next change.

    If the Job is deleted before that, the attempt is handled as if its Job had not been created.
    """
    attempt, before = active(new), active(old)
    if attempt is None or before is None or before.job_uid or _settling_left(attempt, now) <= 0:
        return new == old
    return replaced(new, attempt.model_copy(update={"job_uid": None})) == old


def start_left(view: View, attempt: Attempt) -> float:
    """Seconds until limits.startDeadline of an attempt whose Job does not exist yet."""
    recorded = epoch(attempt.started_at)
    return seconds(view.spec.limits.start_deadline) - (view.now - (view.now if recorded is None else recorded))


def not_started(view: View, attempt: Attempt, reason: str, message: str, blocker: Blocker | None = None) -> Step:
    """Fails the job with what blocked the attempt, naming the limit that was exceeded."""
    queued = blocker is not None and blocker.queued
    limits = view.spec.limits
    limit = f"limits.scheduleTimeout ({limits.schedule_timeout})" if queued else f"limits.startDeadline ({limits.start_deadline})"
    text = f"{attempt.stage} did not start within {limit}: {message}; after that, delete the job and create it again"
    over = {"state": "Failed", "reason": short(reason, 128), "message": short(text), "finished_at": rfc3339(view.now)}
    status = replaced(view.status, attempt.model_copy(update=over)).model_copy(update={"error": None})
    if blocker is None:
        return failure(view, reason, text, status=status)
    return failure(view, reason, text, param=param_of(view, attempt, blocker), object=blocker.object or None, status=status)


def param_of(view: View, attempt: Attempt, blocker: Blocker) -> str | None:
    """The field of the spec that names what is missing; None where no field does."""
    field = STAGES[attempt.stage].field
    if blocker.reason in ("ImagePullFailed", "ServiceAccountNotFound"):
        return f"{field}.pod.{'image' if blocker.reason == 'ImagePullFailed' else 'serviceAccountName'}"
    return field_naming(view.spec, blocker.object)


def ending(view: View) -> Step | None:
    """The Job of the attempt has failed or was deleted; sync_attempts.py ends the attempt when its pods have ended."""
    attempt, batch = view.attempt, view.batch
    if attempt is None or (batch and not (batch.failure_reason or batch.complete or batch.terminated or batch.meta.deleting)):
        return None
    phase = STAGES[attempt.stage].phase
    if view.lost_pods:
        return node_lost(view, phase, view.lost_pods[0])
    message = f"waiting for the pods of {attempt.stage} {attempt.number} to terminate"
    return Step(view.status, phase, "PodsEnding", message, requeue_after=2.0)


def starting(view: View) -> Step | None:
    """Until all pods of the attempt have run."""
    attempt, batch = view.attempt, view.batch
    if attempt is None or batch is None or attempt.running_at is not None:
        return None
    blocker = job_blocker(batch, view.pods, view.observed.warnings, view.now)
    if blocker and blocker.reason == "ConfigMapKeyNotFound" and not blocker.object:
        blocker = replace(blocker, object=mounted_config_map(view.spec, blocker.message))
    left = _time_left(view, attempt, batch, blocker)
    if left <= 0:
        return _given_up(view, attempt, blocker)
    if _settling_left(attempt, view.now) > 0 and not batch.suspended:
        return creating(view, attempt)
    if blocker is None:
        status = view.status.model_copy(update={"error": None})
        message = f"the pods of {attempt.stage} {attempt.number} are starting" if view.pods else "the pods are being created"
        return Step(status, "Starting", "PodsStarting", message, requeue_after=soonest(left, POLL))
    error, message = _shown(view, attempt, blocker)
    status = view.status.model_copy(update={"error": error})
    phase: Phase = "Queued" if blocker.queued else "Starting"
    return Step(status, phase, blocker.reason, message, warning=True, requeue_after=soonest(left, POLL))


def _settling_left(attempt: Attempt, now: float) -> float:
    """Seconds until an attempt that does not run yet is reported; 0 or less after that."""
    began = epoch(attempt.started_at)
    return 0.0 if began is None else SETTLING - (now - began)


def _time_left(view: View, attempt: Attempt, batch: BatchJob, blocker: Blocker | None) -> float:
    """Waiting for capacity counts against limits.scheduleTimeout; anything else against limits.startDeadline, from when it could start."""
    limits = view.spec.limits
    if blocker and blocker.queued:
        recorded = epoch(attempt.started_at) or batch.meta.created
        since = min((pod.meta.created for pod in view.pods if not pod.scheduled), default=recorded)
        if (began := queued_since(view.status, attempt)) is not None and began < recorded:
            since = began
        return seconds(limits.schedule_timeout) - (view.now - since)
    begun = [batch.started or batch.meta.created, *(pod.scheduled_at or pod.meta.created for pod in view.pods)]
    return seconds(limits.start_deadline) - (view.now - max(begun))


def _shown(view: View, attempt: Attempt, blocker: Blocker) -> tuple[ErrorStatus | None, str]:
    """The kubelet's message with the next step; the more detailed message is kept when the kubelet alternates."""
    old = view.status.error
    if old and old.code == blocker.reason and same_but_shorter(old.message, blocker.message):
        return old, old.message
    where = f"pod {blocker.pod}: " if blocker.pod else ""
    message = with_advice(f"{where}{blocker.message}", blocker.reason, attempt.stage)
    if blocker.queued:
        return None, message
    named = blocker.object or None
    return ErrorStatus(code=blocker.reason, message=short(message, 8192), object=named, param=param_of(view, attempt, blocker)), message


def _given_up(view: View, attempt: Attempt, blocker: Blocker | None) -> Step:
    if blocker is None:
        return not_started(view, attempt, "StartDeadlineExceeded", "the pods were created but did not run: see their Events")
    return not_started(view, attempt, blocker.reason, _shown(view, attempt, blocker)[1], blocker)
