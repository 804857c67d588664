"""The name of the model to make must be free: bytes are never overwritten, and what exists already is not trained again."""

from dataclasses import replace

from finetune_api.resources.finetune_job import output_name
from finetune_operator.names import JOB_UID_ANNOTATION, SPEC_DIGEST_ANNOTATION
from finetune_operator.plan.attempts import active, replaced
from finetune_operator.plan.clock import rfc3339
from finetune_operator.plan.conditions import find, holds
from finetune_operator.plan.step import Step, View, failure, waiting
from finetune_operator.records import FineTunedModel


def output_taken(view: View) -> Step | None:
    """Before an attempt has a Job: a model of that name that another job made, or that was imported."""
    model, attempt = view.observed.output_model, active(view.status)
    if model is None or (attempt and attempt.job_uid) or made_by(model, view.observed.job.meta.uid):
        return None
    if attempt:
        message = f"FineTunedModel {model.meta.name} appeared before the attempt had a Job"
        change = {"state": "Interrupted", "reason": "OutputTaken", "message": message, "finished_at": rfc3339(view.now)}
        view = replace(view, status=replaced(view.status, attempt.model_copy(update=change)))
    name = model.meta.name
    if model.meta.deleting:
        return waiting(view, "ModelTerminating", f"FineTunedModel {name} is being deleted; its name is free after that")
    if digest_of(model) != view.status.spec_digest:
        return failure(view, "OutputExists", _exists(name), param="output.model", object=f"FineTunedModel {name}")
    if holds(model.status.conditions, "Ready"):
        message = f"FineTunedModel {name} was trained from the same spec already"
        return Step(view.status.model_copy(update={"error": None}), "Succeeded", "AlreadyTrained", message, end="Complete")
    if holds(model.status.conditions, "Stalled"):
        broken = f"FineTunedModel {name} was trained from the same spec and is not usable ({ready_message(model)}): delete it"
        return failure(view, "OutputExists", broken, param="output.model", object=f"FineTunedModel {name}")
    return waiting(view, "OutputNotReady", f"FineTunedModel {name} was trained from the same spec and is being verified")


def made_by(model: FineTunedModel, job_uid: str) -> bool:
    """True when the job of that uid has registered the model."""
    return model.meta.annotations.get(JOB_UID_ANNOTATION) == job_uid


def digest_of(model: FineTunedModel) -> str | None:
    """What the model was trained from; None when nobody knows."""
    lineage = model.status.lineage
    return model.meta.annotations.get(SPEC_DIGEST_ANNOTATION) or (lineage.spec_digest if lineage else None)


def ready_message(model: FineTunedModel) -> str:
    """Why a model is not ready, in its own words."""
    ready = find(model.status.conditions, "Ready")
    return f"{ready.reason}: {ready.message}" if ready else "it has not been looked at yet"


def _exists(name: str) -> str:
    return f"FineTunedModel {name} exists already and comes from another spec: choose another name in output.model, or delete that model"


def model_name(view: View) -> str:
    """Name of the model that the job makes."""
    return output_name(view.observed.job.meta.name, view.spec)
