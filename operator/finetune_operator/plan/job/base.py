"""A base that is a FineTunedModel must be there and verified before anything starts from it."""

from finetune_api.resources.common import seconds
from finetune_api.resources.finetuned_model import ClaimSource
from finetune_operator.plan.common.clock import epoch
from finetune_operator.plan.common.conditions import holds
from finetune_operator.plan.job.attempts import active, current_stage, job_of
from finetune_operator.plan.job.output import ready_message
from finetune_operator.plan.job.time_limits import unpaused_since
from finetune_operator.plan.job.view import Step, View, failure, waiting


def base_missing(view: View) -> Step | None:
    """Before a Job is created: waits for the base model, and gives up after limits.scheduleTimeout."""
    reference = view.spec.base.fine_tuned_model
    attempt = active(view.status)
    if reference is None or current_stage(view.status) is None or (attempt and job_of(view.observed, attempt)):
        return None
    found = _obstacle(view, reference.name)
    if found is None:
        return None
    reason, message = found
    since = epoch(attempt.started_at) if attempt else unpaused_since(view.status)
    nothing_done = not any(a.state == "Succeeded" for a in view.status.attempts)
    if nothing_done and since is not None and view.now - since > seconds(view.spec.limits.schedule_timeout):
        text = f"{message}, for limits.scheduleTimeout ({view.spec.limits.schedule_timeout})"
        return failure(view, reason, text, param="base.fineTunedModel", object=f"FineTunedModel {reference.name}")
    return waiting(view, reason, message, object=f"FineTunedModel {reference.name}")


def base_claim(view: View) -> ClaimSource | None:
    """The claim of the base model."""
    model = view.observed.base_model if view.spec.base.fine_tuned_model else None
    return model.spec.source.claim if model and model.spec else None


def _obstacle(view: View, name: str) -> tuple[str, str] | None:
    model = view.observed.base_model
    if model is None:
        return "BaseModelNotFound", f"base.fineTunedModel: FineTunedModel {name} does not exist in this namespace"
    if model.meta.deleting:
        return "BaseModelNotFound", f"base.fineTunedModel: FineTunedModel {name} is being deleted"
    if model.spec is None or not holds(model.status.conditions, "Ready"):
        return "BaseModelNotReady", f"base.fineTunedModel: FineTunedModel {name} is not ready: {ready_message(model)}"
    return None
