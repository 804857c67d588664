"""Name and volume of the model that a job creates. The name must be free before the first Job; if it is taken later, the model gets
another name. Files are never overwritten, and an existing model is not trained again.
"""

from typing import Any

from finetune_api.resources.finetune_job import output_name
from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_operator.build.claim import model_claim_object, model_volume_size
from finetune_operator.objects.names import JOB_LABEL, MODEL_LABEL, kept_names, model_claim
from finetune_operator.objects.records import FineTuneJob
from finetune_operator.plan.common.clock import rfc3339
from finetune_operator.plan.common.conditions import holds
from finetune_operator.plan.common.models import digest_of, made_by, ready_message
from finetune_operator.plan.job.attempts import replaced
from finetune_operator.plan.job.stop import given_up, schedule_timeout_over, unpaused_since
from finetune_operator.plan.job.view import Step, View, failure, resting_phase, waiting


def output_taken(view: View) -> Step | None:
    """Before the first Job: a model with that name was created by another job, or imported."""
    model, attempt = view.observed.output_model, view.attempt
    if model is None or _begun(view.status) or made_by(model, view.meta.uid):
        return None
    if attempt:
        message = f"FineTunedModel {model.meta.name} was created before the Job of the attempt"
        change = {"state": "Interrupted", "reason": "OutputTaken", "message": message, "finished_at": rfc3339(view.now)}
        view = view.with_status(replaced(view.status, attempt.model_copy(update=change)))
    name = model.meta.name
    if model.meta.deleting:
        return _bounded(view, "ModelTerminating", f"FineTunedModel {name} is being deleted; its name is available after that", name)
    if digest_of(model) != view.status.spec_digest:
        return failure(view, "OutputExists", _exists(name), param="output.model", object=f"FineTunedModel {name}")
    if holds(model.status.conditions, "Ready"):
        message = f"FineTunedModel {name} has already been trained from the same spec"
        return Step(view.status.model_copy(update={"error": None}), "Succeeded", "AlreadyTrained", message, end="Complete")
    if holds(model.status.conditions, "Stalled"):
        broken = f"FineTunedModel {name} was trained from the same spec and is not usable ({ready_message(model)}): delete it"
        return failure(view, "OutputExists", broken, param="output.model", object=f"FineTunedModel {name}")
    verifying = f"FineTunedModel {name} was trained from the same spec and is not verified yet ({ready_message(model)})"
    return _bounded(view, "OutputNotReady", verifying, name)


def _bounded(view: View, reason: str, message: str, name: str) -> Step:
    """Waits for a model of that name, for at most limits.scheduleTimeout."""
    if schedule_timeout_over(view, unpaused_since(view.status)):
        return given_up(view, reason, message, param="output.model", object=f"FineTunedModel {name}")
    return waiting(view, reason, message)


def output_contested(view: View) -> Step | None:
    """Before the first attempt: waits for another job that creates a model with that name, for at most limits.scheduleTimeout.

    If the other job fails, the name is free. It may also be paused for good, hence the limit.
    """
    if view.status.attempts:
        return None
    job = view.observed.job
    first = next((rival for rival in view.observed.rivals if rival.status.attempts or _age(rival) < _age(job)), None)
    if first is None:
        return None
    contest = f"FineTuneJob {first.meta.name} also creates FineTunedModel {model_name(view)} and takes precedence"
    remedy = "to train both, create this job with another output.model"
    since = unpaused_since(view.status)
    if schedule_timeout_over(view, since):
        text = f"{contest}, and has not finished within limits.scheduleTimeout ({view.spec.limits.schedule_timeout}): {remedy}"
        status = view.status.model_copy(update={"error": None})
        return failure(view, "OutputContested", text, param="output.model", object=f"FineTuneJob {first.meta.name}", status=status)
    paused = first.spec is not None and first.spec.suspend
    state = "it is suspended; resume or delete it" if paused else "waiting for it to finish"
    return waiting(view, "OutputContested", f"{contest}: {state}; {remedy}", object=f"FineTuneJob {first.meta.name}")


def output_renamed(view: View) -> Step | None:
    """The name was taken after the job started: the model gets a fallback name."""
    stage, attempt = view.stage, view.attempt
    before_publish = stage == "publish" and (attempt is None or attempt.job_uid is None)
    if not _begun(view.status) or not (before_publish or stage is None):
        return None
    obstacle = _taken(view)
    if not obstacle:
        return None
    names = kept_names(output_name(view.meta.name, view.spec), view.meta.name, view.meta.uid)
    name = model_name(view)
    following = names[names.index(name) + 1 :] if name in names else ()
    if not following:
        return failure(view, "OutputExists", f"{obstacle}, and so are the fallback names", param="output.model")
    message = f"{obstacle}: the result of this job is kept as FineTunedModel {following[0]}"
    status = view.status.model_copy(update={"model": following[0]})
    return Step(status, resting_phase(view.status), "OutputRenamed", message, warning=True, requeue_after=1.0)


def model_name(view: View) -> str:
    """Name of the model that the job creates."""
    return view.status.model or output_name(view.meta.name, view.spec)


def model_volume_name(view: View) -> str:
    """Name of the model's claim: that of the existing claim, which may be named after an earlier name of the model."""
    model, uid = view.observed.output_model, view.meta.uid
    uids = {uid, *({model.meta.uid} if model and made_by(model, uid) else ())}
    mine = (name for name, claim in view.observed.claims.items() if MODEL_LABEL in claim.meta.labels and uids & claim.meta.owners)
    return min(mine, default=model_claim(model_name(view)))


def model_volume(view: View) -> dict[str, Any]:
    """The model's claim, owned by the job until the FineTunedModel exists, and by the FineTunedModel after that."""
    model, storage = view.observed.output_model, view.spec.output.storage
    labels = {**view.spec.output.labels, JOB_LABEL: view.meta.name, MODEL_LABEL: model_name(view)}
    size = model_volume_size(storage, view.status.model_bytes)
    if model is None:
        return model_claim_object("FineTuneJob", view.meta, model_volume_name(view), labels, storage, size)
    return model_claim_object("FineTunedModel", model.meta, model_volume_name(view), labels, storage, size)


def _exists(name: str) -> str:
    return f"FineTunedModel {name} already exists and was trained from another spec: change output.model, or delete that model"


def _begun(status: FineTuneJobStatus) -> bool:
    return any(attempt.job_uid for attempt in status.attempts)


def _age(job: FineTuneJob) -> tuple[float, str]:
    """Smaller is older; the name distinguishes jobs that were created in the same second."""
    return job.meta.created, job.meta.name


def _taken(view: View) -> str:
    """What has taken the name of the model or of its volume; empty when both are free or belong to the job."""
    model, refusal, uid = view.observed.output_model, view.observed.refusal, view.meta.uid
    if model and not made_by(model, uid):
        return f"FineTunedModel {model.meta.name} was meanwhile created by another client"
    volume = model_volume_name(view)
    claim = view.observed.claims.get(volume)
    foreign = claim is not None and not claim.meta.deleting and uid not in claim.meta.owners and model is None
    refused = refusal is not None and refusal.reason == "NotOurs" and (refusal.kind, refusal.name) == ("PersistentVolumeClaim", volume)
    return f"PersistentVolumeClaim {volume} belongs to another object" if foreign or refused else ""
