"""From a decision about a FineTuneJob to its status: conditions as kstatus expects them, phase, columns, Events."""

import re

from finetune_api.resources.common import ErrorStatus
from finetune_api.resources.finetune_job_status import Attempt, FineTuneJobStatus
from finetune_operator.build.stages import STAGES
from finetune_operator.objects.records import FineTuneJob
from finetune_operator.plan.common.clock import rfc3339
from finetune_operator.plan.common.conditions import ConditionUpdate, short, stalled, with_updates, without
from finetune_operator.plan.common.models import shortcoming_events
from finetune_operator.plan.common.plan import EventNote
from finetune_operator.plan.job.attempts import ACTIVE, active, current_stage
from finetune_operator.plan.job.running import steps_text
from finetune_operator.plan.job.stop import active_seconds
from finetune_operator.plan.job.view import Step

FINAL = ("Complete", "Failed")
WITH_PROGRESS = frozenset({*(stage.reason for stage in STAGES.values()), "Complete"})
"""Reasons with which the column shows the progress of the stage instead of the reason."""
_WORDS = {
    "CreatingPods": "creating pods",
    "PodsStarting": "pods are starting",
    "PodsEnding": "pods are ending",
    "QueuedByKueue": "queued by Kueue",
    "Unschedulable": "no node has room",
    "Registering": "registering the model",
    "OutputExists": "output.model exists",
}
"""Texts of reasons whose words do not say enough."""


def job_status(job: FineTuneJob, step: Step, updates: tuple[ConditionUpdate, ...], now: float) -> FineTuneJobStatus:
    """The whole new status: the conditions that a stage determined, then those of the decision."""
    status, generation = step.status, job.meta.generation
    paused = step.phase == "Paused"
    if step.end:
        status = _closed(status, now)
    spent = round(active_seconds(status, now)) if paused or step.end else status.active_seconds
    updates = (*updates, *step.conditions, *_verdict(step, paused), *_never_trained(status, step, updates))
    before = without(status.conditions, "Ready") if paused else status.conditions
    running = active(status)
    return status.model_copy(
        update={
            "observed_generation": generation,
            "phase": step.phase,
            "reason": short(step.reason, 128),
            "conditions": with_updates(before, updates, generation, now),
            "progress_text": _progress(status, step),
            "attempt_text": f"{running.stage} {running.number}" if running else status.attempt_text,
            "eta": status.eta if running and running.running_at else None,
            "active_seconds": spent,
            "finished_at": rfc3339(now) if step.end else None,
        }
    )


def finished_status(job: FineTuneJob) -> FineTuneJobStatus:
    """A finished job keeps its status, except for the observed generation."""
    generation = job.meta.generation
    conditions = [
        condition if condition.type in FINAL else condition.model_copy(update={"observed_generation": generation})
        for condition in job.status.conditions
    ]
    return job.status.model_copy(update={"observed_generation": generation, "conditions": conditions})


def invalid_status(job: FineTuneJob, now: float) -> FineTuneJobStatus:
    """The spec cannot be parsed by this version of the operator."""
    updates = stalled("InvalidSpec", job.spec_error)
    return job.status.model_copy(
        update={
            "observed_generation": job.meta.generation,
            "phase": job.status.phase or "Pending",
            "reason": "InvalidSpec",
            "progress_text": _reason_text("InvalidSpec", None),
            "conditions": with_updates(job.status.conditions, updates, job.meta.generation, now),
        }
    )


def job_events(old: FineTuneJobStatus, new: FineTuneJobStatus, step: Step) -> tuple[EventNote, ...]:
    """For a new phase, a new reason that needs attention, each attempt that did not succeed, and each shortcoming of the model."""
    changed = old.phase != new.phase or (step.warning and old.reason != new.reason)
    decided = (EventNote("Warning" if step.warning else "Normal", step.reason, short(step.message)),) if changed else ()
    before = {(a.stage, a.number) for a in old.attempts if a.state not in ACTIVE}
    ended = (a for a in new.attempts if a.state in ("Failed", "Interrupted") and (a.stage, a.number) not in before)
    attempts = (_attempt_event(attempt) for attempt in ended if not (changed and step.warning and _repeats(step, attempt)))
    return (*shortcoming_events(old.conditions, new.conditions), *attempts, *decided)


def _repeats(step: Step, attempt: Attempt) -> bool:
    """True when the Event about the decision includes the reason and message of the attempt."""
    return step.reason == attempt.reason and (attempt.message or attempt.reason or "") in step.message


def _attempt_event(attempt: Attempt) -> EventNote:
    text = f"{attempt.stage} {attempt.number}: {attempt.message or attempt.reason}"
    return EventNote("Warning" if attempt.state == "Failed" else "Normal", attempt.reason or attempt.state, short(text))


def _progress(status: FineTuneJobStatus, step: Step) -> str | None:
    """Progress of the running stage; for a job that waits or has failed, a short description of the reason."""
    if step.reason in WITH_PROGRESS:
        return status.progress_text
    done = status.progress if step.phase == "Paused" and current_stage(status) == "train" else None
    return (done and steps_text(done.step, done.total_steps)) or short(_reason_text(step.reason, status.error))


def _verdict(step: Step, paused: bool) -> tuple[ConditionUpdate, ...]:
    """A paused job has no Ready condition: kstatus considers it current, like a suspended batch Job, because it is in the state that its
    spec asks for, while `kubectl wait --for=condition=Ready` keeps waiting."""
    reason, message = step.reason, step.message
    suspended = ConditionUpdate("Suspended", paused, reason if paused else "NotSuspended", message if paused else "")
    if step.end == "Complete":
        ended = (
            ConditionUpdate("Ready", True, reason, message),
            ConditionUpdate("Reconciling", False, reason),
            ConditionUpdate("Stalled", False, reason),
        )
        return (*ended, suspended, ConditionUpdate("Complete", True, reason, message))
    if step.end == "Failed":
        return (*stalled(reason, message), suspended, ConditionUpdate("Failed", True, reason, message))
    progressing = (ConditionUpdate("Reconciling", not paused, reason, message), ConditionUpdate("Stalled", False, reason), suspended)
    return progressing if paused else (ConditionUpdate("Ready", False, reason, message), *progressing)


def _closed(status: FineTuneJobStatus, now: float) -> FineTuneJobStatus:
    """The attempts of a finished job have ended."""
    attempts = [
        attempt.model_copy(update={"state": "Interrupted", "reason": attempt.reason or "JobEnded", "finished_at": rfc3339(now)})
        if attempt.state in ACTIVE
        else attempt
        for attempt in status.attempts
    ]
    return status.model_copy(update={"attempts": attempts})


def _never_trained(status: FineTuneJobStatus, step: Step, updates: tuple[ConditionUpdate, ...]) -> tuple[ConditionUpdate, ...]:
    """Trained=False, for a job that failed after its training began."""
    known = {*(condition.type for condition in status.conditions), *(update.type for update in updates)}
    if step.end != "Failed" or "Trained" in known or not any(attempt.stage == "train" for attempt in status.attempts):
        return ()
    return (ConditionUpdate("Trained", False, step.reason, "training did not finish"),)


def _reason_text(reason: str, error: ErrorStatus | None) -> str:
    """A short description of the reason, and the object concerned unless it is a pod of the stage: "secret not found: s3-credentials"."""
    words = _WORDS.get(reason) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", reason).lower()
    kind, _, name = (error.object or "").partition(" ") if error and error.code == reason else ("", "", "")
    return f"{words}: {name}" if name and kind != "Pod" else words
