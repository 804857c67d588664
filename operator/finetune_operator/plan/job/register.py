"""After publish: the FineTunedModel is created, takes over its volume, and is verified; then the job is complete."""

from finetune_api.resources.finetune_job import output_name
from finetune_operator.build.model import model_object
from finetune_operator.plan.common.blocked import refusal_blocker
from finetune_operator.plan.common.conditions import holds
from finetune_operator.plan.job.attempts import current_stage
from finetune_operator.plan.job.children import claim_exists, model_volume
from finetune_operator.plan.job.output import model_name, model_volume_name, ready_message
from finetune_operator.plan.job.results import finished_progress
from finetune_operator.plan.job.view import Step, View, failure

REGISTERING = "Registering"


def register(view: View) -> Step | None:
    """When all stages are done. The job may be deleted after that without taking anything of the model."""
    if current_stage(view.status) is not None:
        return None
    name, model = model_name(view), view.observed.output_model
    claim = model_volume_name(view)
    if not claim_exists(view, claim):
        message = f"PersistentVolumeClaim {claim} is gone, and the model {name} with it: recreate the job with a new name"
        return failure(view, "ModelVolumeLost", message, object=f"PersistentVolumeClaim {claim}")
    if model is None:
        refused = refusal_blocker(view.observed.refusal)
        reason, message = (refused.reason, refused.message) if refused else (REGISTERING, _at_work(name))
        warning = refused is not None
        return Step(view.status, "Evaluating", reason, message, warning=warning, create=(_model(view),), requeue_after=5.0)
    if model.meta.deleting:
        return Step(view.status, "Evaluating", REGISTERING, f"FineTunedModel {name} is being deleted", warning=True, requeue_after=5.0)
    record = view.observed.claims.get(claim)
    owners = record.meta.owners if record else frozenset()
    if model.meta.uid not in owners or view.observed.job.meta.uid in owners:  # others may own it, too
        return Step(view.status, "Evaluating", REGISTERING, _at_work(name), apply=(model_volume(view),), requeue_after=5.0)
    if holds(model.status.conditions, "Ready"):
        return Step(finished_progress(view.status), "Succeeded", "Complete", _ready(view, name), end="Complete")
    if holds(model.status.conditions, "Stalled"):
        message = f"FineTunedModel {name} did not pass its inspection: {ready_message(model)}"
        return failure(view, "ModelInvalid", message, object=f"FineTunedModel {name}")
    message = f"FineTunedModel {name}: {ready_message(model)}" if model.status.error else _at_work(name)
    return Step(view.status, "Evaluating", REGISTERING, message, requeue_after=15.0)


def _at_work(name: str) -> str:
    """The same from its creation to the end of its inspection: every other word would be a write."""
    return f"registering FineTunedModel {name} and verifying its files"


def _model(view: View) -> dict[str, object]:
    return model_object(view.observed.job.meta, view.spec, model_name(view), model_volume_name(view))


def _ready(view: View, name: str) -> str:
    asked = output_name(view.observed.job.meta.name, view.spec)
    return f"FineTunedModel {name} is ready" + (f"; the name {asked} was taken meanwhile" if name != asked else "")
