"""The time between a Job and its running pods: shows what holds them up, and gives up at the limits."""

from finetune_api.resources.common import ErrorStatus, seconds
from finetune_api.resources.finetune_job_status import Attempt, Phase
from finetune_operator.objects.records import BatchJob, Pod
from finetune_operator.plan.common.advice import FIELD, with_advice
from finetune_operator.plan.common.blocked import Blocker, job_blocker, same_but_shorter
from finetune_operator.plan.common.clock import epoch, soonest
from finetune_operator.plan.common.conditions import short
from finetune_operator.plan.job.attempts import active, job_of, lost, pods_of
from finetune_operator.plan.job.giving_up import given_up
from finetune_operator.plan.job.launch import queued_since
from finetune_operator.plan.job.settling import creating, settling_left
from finetune_operator.plan.job.view import RUNNING_PHASE, Step, View

POLL = 10.0


def ending(view: View) -> Step | None:
    """A Job that has failed is judged when its pods have ended; so is one that was deleted."""
    attempt = active(view.status)
    if attempt is None:
        return None
    batch = job_of(view.observed, attempt)
    if batch and not (batch.failure_reason or batch.complete or batch.terminated or batch.meta.deleting):
        return None
    gone = [pod for pod in pods_of(view.observed, attempt) if lost(pod, view.now)]
    phase = RUNNING_PHASE[attempt.stage]
    if gone:
        message = with_advice(f"pod {gone[0].meta.name} on node {gone[0].node} is not responding", "NodeLost")
        return Step(view.status, phase, "NodeLost", message, warning=True, requeue_after=POLL)
    return Step(
        view.status, phase, "PodsEnding", f"waiting for the pods of {attempt.stage} {attempt.number} to terminate", requeue_after=2.0
    )


def starting(view: View) -> Step | None:
    """Until all pods have run once."""
    attempt = active(view.status)
    batch = job_of(view.observed, attempt) if attempt else None
    if attempt is None or batch is None or attempt.running_at is not None:
        return None
    pods = pods_of(view.observed, attempt)
    blocker = job_blocker(batch, pods, view.observed.warnings, view.now)
    left = _time_left(view, attempt, batch, pods, blocker)
    if left <= 0:
        return _given_up(view, attempt, blocker)
    if settling_left(attempt, view.now) > 0 and not batch.suspended:
        return creating(view, attempt)
    if blocker is None:
        status = view.status.model_copy(update={"error": None})
        message = f"the pods of {attempt.stage} {attempt.number} are starting" if pods else "the pods are being created"
        return Step(status, "Starting", "PodsStarting", message, requeue_after=soonest(left, POLL))
    error, message = _shown(view, attempt, blocker)
    status = view.status.model_copy(update={"error": error})
    phase: Phase = "Queued" if blocker.queued else "Starting"
    return Step(status, phase, blocker.reason, message, warning=True, requeue_after=soonest(left, POLL))


def _time_left(view: View, attempt: Attempt, batch: BatchJob, pods: tuple[Pod, ...], blocker: Blocker | None) -> float:
    """Room on the nodes may take limits.scheduleTimeout; all else counts to limits.startDeadline from when it could have begun."""
    limits = view.spec.limits
    if blocker and blocker.queued:
        recorded = epoch(attempt.started_at) or batch.meta.created
        since = min((pod.meta.created for pod in pods if not pod.scheduled), default=recorded)
        if (began := queued_since(view.status, attempt)) is not None and began < recorded:
            since = began
        return seconds(limits.schedule_timeout) - (view.now - since)
    begun = [batch.started or batch.meta.created, *(pod.scheduled_at or pod.meta.created for pod in pods)]
    return seconds(limits.start_deadline) - (view.now - max(begun))


def _shown(view: View, attempt: Attempt, blocker: Blocker) -> tuple[ErrorStatus | None, str]:
    """The kubelet's words with the next step; the longer ones stay where it alternates."""
    old = view.status.error
    if old and old.code == blocker.reason and same_but_shorter(old.message, blocker.message):
        return old, old.message
    where = f"pod {blocker.pod}: " if blocker.pod else ""
    message = with_advice(f"{where}{blocker.message}", blocker.reason, attempt.stage)
    if blocker.queued:
        return None, message
    error = ErrorStatus(code=blocker.reason, message=short(message, 8192), object=blocker.object or None, param=_param(attempt, blocker))
    return error, message


def _param(attempt: Attempt, blocker: Blocker) -> str | None:
    field = FIELD[attempt.stage]
    return {"ImagePullFailed": f"{field}.pod.image", "ServiceAccountNotFound": f"{field}.pod.serviceAccountName"}.get(blocker.reason)


def _given_up(view: View, attempt: Attempt, blocker: Blocker | None) -> Step:
    if blocker is None:
        return given_up(view, attempt, "StartDeadlineExceeded", "the pods were created but did not run")
    return given_up(view, attempt, blocker.reason, _shown(view, attempt, blocker)[1], blocker.object or None, queued=blocker.queued)
