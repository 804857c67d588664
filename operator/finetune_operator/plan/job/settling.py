"""The first seconds of an attempt: pods are made, placed and started, and nothing of that is worth a write to the API server."""

from finetune_api.resources.finetune_job_status import Attempt, FineTuneJobStatus
from finetune_operator.plan.common.clock import epoch
from finetune_operator.plan.job.attempts import active, replaced
from finetune_operator.plan.job.view import Step, View, resting_phase

SETTLING = 10.0
"""Seconds. What holds pods up for longer is shown; what holds them up for less would flicker."""


def settling_left(attempt: Attempt, now: float) -> float:
    """Seconds until an attempt that does not run has something to tell; 0 or less when it has."""
    began = epoch(attempt.started_at)
    return 0.0 if began is None else SETTLING - (now - began)


def creating(view: View, attempt: Attempt) -> Step:
    """The words for all of these seconds."""
    message = f"creating the pods of {attempt.stage} {attempt.number}"
    wait = settling_left(attempt, view.now)
    return Step(view.status, resting_phase(view.status), "CreatingPods", message, requeue_after=wait if wait > 0 else SETTLING)


def nothing_new(old: FineTuneJobStatus, new: FineTuneJobStatus, now: float) -> bool:
    """True when all that has become known is the uid of the Job of an attempt that settles: it is written with what follows.

    Should the Job be lost until then, it is as if it had never been made: its record is there, and nothing of it runs.
    """
    attempt, before = active(new), active(old)
    if attempt is None or before is None or before.job_uid or settling_left(attempt, now) <= 0:
        return new == old
    return replaced(new, attempt.model_copy(update={"job_uid": None})) == old
