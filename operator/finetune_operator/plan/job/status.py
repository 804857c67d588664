"""Renders a decision about a FineTuneJob into its status: conditions after kstatus, phase, columns, events."""

from finetune_api.resources.finetune_job_status import Attempt, FineTuneJobStatus
from finetune_operator.objects.records import FineTuneJob
from finetune_operator.plan.common.clock import rfc3339
from finetune_operator.plan.common.conditions import ConditionUpdate, short, with_updates, without
from finetune_operator.plan.common.plan import EventNote
from finetune_operator.plan.common.shortcomings import shortcoming_events
from finetune_operator.plan.job.attempts import ACTIVE, active, current_stage
from finetune_operator.plan.job.running import REASON, steps_text
from finetune_operator.plan.job.time_limits import active_seconds
from finetune_operator.plan.job.view import Step
from finetune_operator.plan.job.words import told_briefly

FINAL = ("Complete", "Failed")
AT_WORK = frozenset({*REASON.values(), "Complete"})
"""Reasons for which the progress is that of the work."""


def job_status(job: FineTuneJob, step: Step, updates: tuple[ConditionUpdate, ...], now: float) -> FineTuneJobStatus:
    """The whole new status. Facts that a stage settled come first, then what the decision means."""
    status, generation = step.status, job.meta.generation
    paused = step.phase == "Paused"
    if step.end:
        status = _closed(status, now)
    spent = round(active_seconds(status, now)) if paused or step.end else status.active_seconds
    said = (*updates, *_verdict(step, paused), *_never_trained(status, step, updates))
    before = without(status.conditions, "Ready") if paused else status.conditions
    running = active(status)
    return status.model_copy(
        update={
            "observed_generation": generation,
            "phase": step.phase,
            "reason": short(step.reason, 128),
            "conditions": with_updates(before, said, generation, now),
            "progress_text": _progress(status, step),
            "attempt_text": f"{running.stage} {running.number}" if running else status.attempt_text,
            "eta": status.eta if running and running.running_at else None,
            "active_seconds": spent,
            "finished_at": rfc3339(now) if step.end else None,
        }
    )


def finished_status(job: FineTuneJob) -> FineTuneJobStatus:
    """A job that is over keeps its status; only the generation is taken note of."""
    generation = job.meta.generation
    conditions = [
        condition if condition.type in FINAL else condition.model_copy(update={"observed_generation": generation})
        for condition in job.status.conditions
    ]
    return job.status.model_copy(update={"observed_generation": generation, "conditions": conditions})


def invalid_status(job: FineTuneJob, now: float) -> FineTuneJobStatus:
    """A spec that this operator cannot read."""
    updates = stalled_conditions("InvalidSpec", job.spec_error)
    return job.status.model_copy(
        update={
            "observed_generation": job.meta.generation,
            "phase": job.status.phase or "Pending",
            "reason": "InvalidSpec",
            "progress_text": told_briefly("InvalidSpec", None),
            "conditions": with_updates(job.status.conditions, updates, job.meta.generation, now),
        }
    )


def stalled_conditions(reason: str, message: str) -> tuple[ConditionUpdate, ...]:
    """Nothing will change by itself."""
    return (
        ConditionUpdate("Ready", False, reason, message),
        ConditionUpdate("Reconciling", False, reason),
        ConditionUpdate("Stalled", True, reason, message),
    )


def job_events(old: FineTuneJobStatus, new: FineTuneJobStatus, step: Step) -> tuple[EventNote, ...]:
    """When the phase changes or there is a reason to look, for each attempt that ended badly, and for what the model has against it."""
    changed = old.phase != new.phase or (step.warning and old.reason != new.reason)
    decided = (EventNote("Warning" if step.warning else "Normal", step.reason, short(step.message)),) if changed else ()
    before = {(a.stage, a.number) for a in old.attempts if a.state not in ACTIVE}
    ended = (a for a in new.attempts if a.state in ("Failed", "Interrupted") and (a.stage, a.number) not in before)
    told = (_attempt_event(attempt) for attempt in ended if not (changed and step.warning and _repeats(step, attempt)))
    return (*shortcoming_events(old.conditions, new.conditions), *told, *decided)


def _repeats(step: Step, attempt: Attempt) -> bool:
    """True when the event about the decision gives the reason for which the attempt ended."""
    return step.reason == attempt.reason and (attempt.message or attempt.reason or "") in step.message


def _attempt_event(attempt: Attempt) -> EventNote:
    text = f"{attempt.stage} {attempt.number}: {attempt.message or attempt.reason}"
    return EventNote("Warning" if attempt.state == "Failed" else "Normal", attempt.reason or attempt.state, short(text))


def _progress(status: FineTuneJobStatus, step: Step) -> str | None:
    """How far the work is; of a job that waits or has failed the reason in a few words."""
    if step.reason in AT_WORK:
        return status.progress_text
    done = status.progress if step.phase == "Paused" and current_stage(status) == "train" else None
    return (done and steps_text(done.step, done.total_steps)) or short(told_briefly(step.reason, status.error))


def _verdict(step: Step, paused: bool) -> tuple[ConditionUpdate, ...]:
    """A paused job is what its spec asks for, though it is not ready: without a Ready condition kstatus takes it for current, as it
    does a suspended batch Job, and `kubectl wait --for=condition=Ready` goes on waiting."""
    reason, message = step.reason, step.message
    suspended = ConditionUpdate("Suspended", paused, reason if paused else "Running", message if paused else "")
    if step.end == "Complete":
        ended = (
            ConditionUpdate("Ready", True, reason, message),
            ConditionUpdate("Reconciling", False, reason),
            ConditionUpdate("Stalled", False, reason),
        )
        return (*ended, suspended, ConditionUpdate("Complete", True, reason, message))
    if step.end == "Failed":
        return (*stalled_conditions(reason, message), suspended, ConditionUpdate("Failed", True, reason, message))
    progressing = (ConditionUpdate("Reconciling", not paused, reason, message), ConditionUpdate("Stalled", False, reason), suspended)
    return progressing if paused else (ConditionUpdate("Ready", False, reason, message), *progressing)


def _closed(status: FineTuneJobStatus, now: float) -> FineTuneJobStatus:
    """No attempt outlives its job."""
    attempts = [
        attempt.model_copy(update={"state": "Interrupted", "reason": attempt.reason or "JobEnded", "finished_at": rfc3339(now)})
        if attempt.state in ACTIVE
        else attempt
        for attempt in status.attempts
    ]
    return status.model_copy(update={"attempts": attempts})


def _never_trained(status: FineTuneJobStatus, step: Step, updates: tuple[ConditionUpdate, ...]) -> tuple[ConditionUpdate, ...]:
    """Trained=False belongs to a job that failed while it trained."""
    known = {*(condition.type for condition in status.conditions), *(update.type for update in updates)}
    if step.end != "Failed" or "Trained" in known or not any(attempt.stage == "train" for attempt in status.attempts):
        return ()
    return (ConditionUpdate("Trained", False, step.reason, "training did not finish"),)
