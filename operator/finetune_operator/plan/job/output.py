"""The name of the model to make: it must be free before the first Job, and costs nothing but the name when it is taken later.

Bytes are never overwritten, and what exists already is not trained again.
"""

from dataclasses import replace

from finetune_api.resources.finetune_job import output_name
from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_operator.objects.names import JOB_UID_ANNOTATION, MODEL_LABEL, SPEC_DIGEST_ANNOTATION, kept_names, model_claim
from finetune_operator.objects.records import FineTunedModel, FineTuneJob
from finetune_operator.plan.common.clock import rfc3339
from finetune_operator.plan.common.conditions import find, holds
from finetune_operator.plan.job.attempts import active, current_stage, replaced
from finetune_operator.plan.job.view import Step, View, failure, resting_phase, waiting


def output_taken(view: View) -> Step | None:
    """Before an attempt has a Job: a model of that name that another job made, or that was imported."""
    model, attempt = view.observed.output_model, active(view.status)
    if model is None or _begun(view.status) or made_by(model, view.observed.job.meta.uid):
        return None
    if attempt:
        message = f"FineTunedModel {model.meta.name} was created before the Job of the attempt"
        change = {"state": "Interrupted", "reason": "OutputTaken", "message": message, "finished_at": rfc3339(view.now)}
        view = replace(view, status=replaced(view.status, attempt.model_copy(update=change)))
    name = model.meta.name
    if model.meta.deleting:
        return waiting(view, "ModelTerminating", f"FineTunedModel {name} is being deleted; its name is available after that")
    if digest_of(model) != view.status.spec_digest:
        return failure(view, "OutputExists", _exists(name), param="output.model", object=f"FineTunedModel {name}")
    if holds(model.status.conditions, "Ready"):
        message = f"FineTunedModel {name} has already been trained from the same spec"
        return Step(view.status.model_copy(update={"error": None}), "Succeeded", "AlreadyTrained", message, end="Complete")
    if holds(model.status.conditions, "Stalled"):
        broken = f"FineTunedModel {name} was trained from the same spec and is not usable ({ready_message(model)}): delete it"
        return failure(view, "OutputExists", broken, param="output.model", object=f"FineTunedModel {name}")
    return waiting(view, "OutputNotReady", f"FineTunedModel {name} was trained from the same spec and is being verified")


def output_contested(view: View) -> Step | None:
    """Before the first attempt: another job that makes a model of that name and was there first."""
    if view.status.attempts:
        return None
    job = view.observed.job
    first = next((rival for rival in view.observed.rivals if rival.status.attempts or _age(rival) < _age(job)), None)
    if first is None:
        return None
    message = (
        f"FineTuneJob {first.meta.name} also creates FineTunedModel {model_name(view)} and takes precedence: choose another name in "
        "output.model, or delete that job"
    )
    return failure(view, "OutputContested", message, param="output.model", object=f"FineTuneJob {first.meta.name}")


def output_renamed(view: View) -> Step | None:
    """A name that is found taken after the work has begun: the result is kept under one that says so."""
    stage, attempt = current_stage(view.status), active(view.status)
    before_publish = stage == "publish" and (attempt is None or attempt.job_uid is None)
    if not _begun(view.status) or not (before_publish or stage is None):
        return None
    obstacle = _taken(view)
    if not obstacle:
        return None
    names = kept_names(output_name(view.observed.job.meta.name, view.spec), view.observed.job.meta.name, view.observed.job.meta.uid)
    name = model_name(view)
    following = names[names.index(name) + 1 :] if name in names else ()
    if not following:
        return failure(view, "OutputExists", f"{obstacle}, and so are the fallback names", param="output.model")
    message = f"{obstacle}: the result of this job is kept as FineTunedModel {following[0]}"
    status = view.status.model_copy(update={"model": following[0]})
    return Step(status, resting_phase(view.status), "OutputRenamed", message, warning=True, requeue_after=1.0)


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
    return f"{ready.reason}: {ready.message}" if ready else "it has not been inspected yet"


def model_name(view: View) -> str:
    """Name of the model that the job makes."""
    return view.status.model or output_name(view.observed.job.meta.name, view.spec)


def model_volume_name(view: View) -> str:
    """Name of the model's claim: the one that the job has made, perhaps under an earlier name of the model."""
    model, uid = view.observed.output_model, view.observed.job.meta.uid
    uids = {uid, *({model.meta.uid} if model and made_by(model, uid) else ())}
    mine = (name for name, claim in view.observed.claims.items() if MODEL_LABEL in claim.meta.labels and uids & claim.meta.owners)
    return min(mine, default=model_claim(model_name(view)))


def _exists(name: str) -> str:
    return f"FineTunedModel {name} already exists and was trained from another spec: change output.model, or delete that model"


def _begun(status: FineTuneJobStatus) -> bool:
    return any(attempt.job_uid for attempt in status.attempts)


def _age(job: FineTuneJob) -> tuple[float, str]:
    """The smaller the older; jobs of one second are told apart by their names."""
    return job.meta.created, job.meta.name


def _taken(view: View) -> str:
    """Who has the name of the model or of its volume; empty when it is free, or ours."""
    model, refusal, uid = view.observed.output_model, view.observed.refusal, view.observed.job.meta.uid
    if model and not made_by(model, uid):
        return f"FineTunedModel {model.meta.name} was meanwhile created by another client"
    volume = model_volume_name(view)
    claim = view.observed.claims.get(volume)
    foreign = claim is not None and not claim.meta.deleting and uid not in claim.meta.owners and model is None
    refused = refusal is not None and refusal.reason == "NotOurs" and (refusal.kind, refusal.name) == ("PersistentVolumeClaim", volume)
    return f"PersistentVolumeClaim {volume} belongs to another object" if foreign or refused else ""
