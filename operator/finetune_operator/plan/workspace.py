"""Finished stages that have to be done again: their workspace has gone, or a later stage found what they left damaged."""

from finetune_api.exit_codes import ExitCode
from finetune_api.resources.finetune_job_status import Attempt
from finetune_operator.names import workspace_claim
from finetune_operator.plan.attempts import ACTIVE, STAGES, active, current_stage, job_of, latest
from finetune_operator.plan.children import claim_exists
from finetune_operator.plan.clock import epoch, rfc3339
from finetune_operator.plan.step import Step, View

WORKSPACE_LOST, WORKSPACE_DAMAGED = "WorkspaceLost", "WorkspaceDamaged"


def workspace_lost(view: View) -> Step | None:
    """Between Jobs: when our claim is not there although a stage has finished on it."""
    attempt = active(view.status)
    name = workspace_claim(view.observed.job.meta.name)
    if view.spec.workspace.claim_name or current_stage(view.status) is None or claim_exists(view, name):
        return None
    if not any(a.state == "Succeeded" for a in view.status.attempts) or (attempt and job_of(view.observed, attempt)):
        return None
    change = {"state": "Interrupted", "reason": WORKSPACE_LOST, "finished_at": rfc3339(view.now)}
    void = [a.model_copy(update=change) if a.state == "Succeeded" or a.state in ACTIVE else a for a in view.status.attempts]
    message = f"PersistentVolumeClaim {name} has gone with what was in it; starting again from prepare"
    return Step(view.status.model_copy(update={"attempts": void}), "Starting", WORKSPACE_LOST, message, warning=True, requeue_after=1.0)


def workspace_damaged(view: View) -> Step | None:
    """After an attempt that found what earlier stages left missing or damaged: they run again before it is tried again.

    Each of them looks at what it left, and repeats its result where nothing is wrong with it.
    """
    stage = current_stage(view.status)
    newest = latest(view.status, stage) if stage else None
    if stage is None or newest is None or active(view.status) or newest.exit_code != ExitCode.WORKSPACE_DAMAGED:
        return None
    earlier = STAGES[: STAGES.index(stage)]
    void = [_voided(a) if a.stage in earlier and _older(a, newest) else a for a in view.status.attempts]
    if void == view.status.attempts:
        return None
    message = f"{stage} {newest.number} found what was left for it damaged: {newest.message}; starting again from {earlier[0]}"
    return Step(view.status.model_copy(update={"attempts": void}), "Starting", WORKSPACE_DAMAGED, message, warning=True, requeue_after=1.0)


def _voided(attempt: Attempt) -> Attempt:
    return attempt.model_copy(update={"state": "Interrupted", "reason": WORKSPACE_DAMAGED})


def _older(attempt: Attempt, than: Attempt) -> bool:
    """True for a success that came before the other attempt's end."""
    return attempt.state == "Succeeded" and (epoch(attempt.finished_at) or 0.0) <= (epoch(than.finished_at) or 0.0)
