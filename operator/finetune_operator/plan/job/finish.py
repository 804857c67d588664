"""The end of a job: after publish, the FineTunedModel is created, takes over its volume and is verified; later, children are deleted.

The Jobs of a finished job are kept for the logs of their pods. But a claim is not removed while pods that mount it exist, so Jobs whose
pods mount the volume of a deleted model are deleted. The FineTuneJob, its model and a workspace from workspace.claimName are never touched.
"""

from finetune_api.resources.common import seconds
from finetune_api.resources.finetune_job import output_name
from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_operator.build.model import model_object
from finetune_operator.objects.names import MODEL_LABEL, STAGE_LABEL, workspace_claim
from finetune_operator.plan.common.blocked import refusal_blocker
from finetune_operator.plan.common.clock import epoch
from finetune_operator.plan.common.conditions import ConditionUpdate, holds, with_updates, without
from finetune_operator.plan.common.models import digest_of, made_by, ready_message
from finetune_operator.plan.common.observed import ObservedJob
from finetune_operator.plan.common.plan import EventNote, ObjectRef, Plan, core_ref, job_ref
from finetune_operator.plan.job.attempts import own_jobs
from finetune_operator.plan.job.output import model_name, model_volume, model_volume_name
from finetune_operator.plan.job.results import finished_progress
from finetune_operator.plan.job.view import Step, View, failure

REGISTERING = "Registering"
MODEL_DELETED = "ModelDeleted"


def register(view: View) -> Step | None:
    """When all stages have succeeded. After that, the job may be deleted without affecting the model."""
    if view.stage is not None:
        return None
    name, claim = model_name(view), model_volume_name(view)
    record = view.observed.claims.get(claim)
    if record is None:
        message = f"PersistentVolumeClaim {claim} is gone, and the model {name} with it: recreate the job with a new name"
        return failure(view, "ModelVolumeLost", message, object=f"PersistentVolumeClaim {claim}")
    model = view.observed.output_model
    if model is None:
        refused = refusal_blocker(view.observed.refusal)
        reason, message = (refused.reason, refused.message) if refused else (REGISTERING, _registering(name))
        create = (model_object(view.meta, view.spec, name, claim),)
        return Step(view.status, "Evaluating", reason, message, warning=refused is not None, create=create, requeue_after=5.0)
    if model.meta.deleting:
        return Step(view.status, "Evaluating", REGISTERING, f"FineTunedModel {name} is being deleted", warning=True, requeue_after=5.0)
    owners = record.meta.owners
    if model.meta.uid not in owners or view.meta.uid in owners:  # there may be other owners as well
        return Step(view.status, "Evaluating", REGISTERING, _registering(name), apply=(model_volume(view),), requeue_after=5.0)
    if holds(model.status.conditions, "Ready"):
        return Step(finished_progress(view.status), "Succeeded", "Complete", _ready(view, name), end="Complete")
    if holds(model.status.conditions, "Stalled"):
        message = f"FineTunedModel {name} did not pass its inspection: {ready_message(model)}"
        return failure(view, "ModelInvalid", message, object=f"FineTunedModel {name}")
    message = f"FineTunedModel {name}: {ready_message(model)}" if model.status.error else _registering(name)
    return Step(view.status, "Evaluating", REGISTERING, message, requeue_after=15.0)


def with_fate_of_model(observed: ObservedJob, status: FineTuneJobStatus, now: float) -> FineTuneJobStatus:
    """The status of a finished job with condition ModelDeleted, if the model that it reports no longer exists."""
    model, name = observed.output_model, status.model
    if not holds(status.conditions, "Complete"):
        return status
    if model and (made_by(model, observed.job.meta.uid) or digest_of(model) == status.spec_digest):
        kept = without(status.conditions, MODEL_DELETED)
        return finished_progress(status.model_copy(update={"conditions": kept})) if len(kept) < len(status.conditions) else status
    message = f"FineTunedModel {name} was deleted after this job had finished; to train it again, create a job with a new name"
    update = ConditionUpdate(MODEL_DELETED, True, MODEL_DELETED, message)
    conditions = with_updates(status.conditions, (update,), observed.job.meta.generation, now)
    return status.model_copy(update={"conditions": conditions, "progress_text": "model deleted"})


def released(observed: ObservedJob) -> tuple[ObjectRef, ...]:
    """Deleted when the job is finished: the Service; the publish Job if its model is deleted; all Jobs if the base model is deleted."""
    base, output = _base_going(observed), _output_going(observed)
    jobs = (
        job_ref(batch)
        for batch in own_jobs(observed)
        if not batch.meta.deleting and (base or (output and batch.meta.labels.get(STAGE_LABEL) == "publish"))
    )
    service = observed.service
    return (*jobs, *((core_ref("Service", service),) if service and not service.deleting else ()))


def retired(observed: ObservedJob, now: float) -> Plan:
    """Deletes stage Jobs and workspace after limits.ttlAfterFinished."""
    ttl = observed.job.spec.limits.ttl_after_finished if observed.job.spec else None
    finished = epoch(observed.job.status.finished_at)
    if ttl is None or finished is None:
        return Plan()
    left = seconds(ttl) - (now - finished)
    if left > 0:
        return Plan(requeue_after=max(1.0, left))
    jobs = tuple(job_ref(batch) for batch in own_jobs(observed) if not batch.meta.deleting)
    claim = observed.claims.get(workspace_claim(observed.job.meta.name))
    own = claim is not None and observed.job.meta.uid in claim.meta.owners and not claim.meta.deleting
    workspace = (core_ref("PersistentVolumeClaim", claim.meta),) if claim and own else ()
    if not (jobs or workspace):
        return Plan()
    what = [*([f"{len(jobs)} stage Jobs with their pods"] if jobs else []), *(f"{ref.kind} {ref.name}" for ref in workspace)]
    note = EventNote("Normal", "CleanedUp", f"limits.ttlAfterFinished ({ttl}) has passed: removed {' and '.join(what)}")
    return Plan(delete=(*jobs, *workspace), events=(note,))


def _registering(name: str) -> str:
    """The same message from creation to the end of the inspection, since every change would be a write."""
    return f"registering FineTunedModel {name} and verifying its files"


def _ready(view: View, name: str) -> str:
    asked = output_name(view.meta.name, view.spec)
    return f"FineTunedModel {name} is ready" + (f"; the name {asked} was taken meanwhile" if name != asked else "")


def _base_going(observed: ObservedJob) -> bool:
    spec, base = observed.job.spec, observed.base_model
    if spec is None or spec.base.fine_tuned_model is None:
        return False
    return base is None or base.meta.deleting


def _output_going(observed: ObservedJob) -> bool:
    return any(MODEL_LABEL in claim.meta.labels and claim.meta.deleting for claim in observed.claims.values())
