"""The end of an attempt that never came to run: "never starts, never fails" does not exist."""

from finetune_api.resources.common import seconds
from finetune_api.resources.finetune_job_status import Attempt
from finetune_operator.plan.common.clock import epoch, rfc3339
from finetune_operator.plan.common.conditions import short
from finetune_operator.plan.job.attempts import replaced
from finetune_operator.plan.job.view import Step, View, failure


def given_up(view: View, attempt: Attempt, reason: str, message: str, object: str | None = None, *, queued: bool = False) -> Step:
    """Fails the job for what held the attempt up, naming the limit that has passed."""
    limits = view.spec.limits
    limit = f"limits.scheduleTimeout ({limits.schedule_timeout})" if queued else f"limits.startDeadline ({limits.start_deadline})"
    text = f"{attempt.stage} did not start within {limit}: {message}"
    over = {"state": "Failed", "reason": short(reason, 128), "message": short(text), "finished_at": rfc3339(view.now)}
    status = replaced(view.status, attempt.model_copy(update=over)).model_copy(update={"error": None})
    return failure(view, reason, text, object=object, status=status)


def start_left(view: View, attempt: Attempt) -> float:
    """Seconds until limits.startDeadline of an attempt whose Job is not there yet."""
    recorded = epoch(attempt.started_at)
    return seconds(view.spec.limits.start_deadline) - (view.now - (view.now if recorded is None else recorded))
