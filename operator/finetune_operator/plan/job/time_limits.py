"""How long a job has been at it, pauses not counted, and what should stop it now."""

from finetune_api.resources.common import seconds
from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_operator.plan.common.clock import epoch
from finetune_operator.plan.common.conditions import find


def unpaused_since(status: FineTuneJobStatus) -> float | None:
    """When the job was last let go: at first sight, or when it was resumed. None while paused."""
    suspended = find(status.conditions, "Suspended")
    if suspended is None:
        return epoch(status.started_at)
    return epoch(suspended.last_transition_time) if suspended.status == "False" else None


def active_seconds(status: FineTuneJobStatus, now: float) -> float:
    """Time in which the job was not paused."""
    since = unpaused_since(status)
    return status.active_seconds + (max(0.0, now - since) if since is not None else 0.0)


def deadline_left(spec: FineTuneJobSpec, status: FineTuneJobStatus, now: float) -> float | None:
    """Seconds until limits.deadline; None without one."""
    return seconds(spec.limits.deadline) - active_seconds(status, now) if spec.limits.deadline else None


def stop_reason(spec: FineTuneJobSpec, status: FineTuneJobStatus, now: float) -> str:
    """Cancelled, DeadlineExceeded or Suspended; empty when the job may go on."""
    if spec.cancel:
        return "Cancelled"
    left = deadline_left(spec, status, now)
    if left is not None and left <= 0:
        return "DeadlineExceeded"
    return "Suspended" if spec.suspend else ""
