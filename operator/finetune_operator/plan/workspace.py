"""A workspace that has gone takes the finished stages with it: they are done again, on a new volume."""

from finetune_operator.names import workspace_claim
from finetune_operator.plan.attempts import ACTIVE, active, current_stage, job_of
from finetune_operator.plan.children import claim_exists
from finetune_operator.plan.clock import rfc3339
from finetune_operator.plan.step import Step, View

WORKSPACE_LOST = "WorkspaceLost"


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
