"""What a job that is over lets go of: at once its Service, models' volumes when these are deleted, and all else when its time is up.

Its Jobs stay, and their pods' logs with them. But a pod that mounts a claim keeps it from being removed, ended or not: so those go that
mount a model which is deleted. The FineTuneJob, its model and a workspace that somebody brought are never touched.
"""

from finetune_api.resources.common import seconds
from finetune_operator.objects.names import MODEL_LABEL, STAGE_LABEL, workspace_claim
from finetune_operator.objects.records import Meta
from finetune_operator.plan.common.clock import epoch
from finetune_operator.plan.common.observed import ObservedJob
from finetune_operator.plan.common.plan import EventNote, ObjectRef, Plan
from finetune_operator.plan.job.attempts import owned
from finetune_operator.plan.job.stop import job_ref


def released(observed: ObservedJob) -> tuple[ObjectRef, ...]:
    """The Service; publish when the model goes, and every stage when the base does, if that is a FineTunedModel."""
    base, output = _base_going(observed), _output_going(observed)
    jobs = (
        job_ref(batch)
        for batch in observed.jobs.values()
        if owned(observed, batch) and not batch.meta.deleting and (base or (output and batch.meta.labels.get(STAGE_LABEL) == "publish"))
    )
    service = observed.service
    return (*jobs, *((_ref("Service", service),) if service and not service.deleting else ()))


def retired(observed: ObservedJob, now: float) -> Plan:
    """What limits.ttlAfterFinished takes away when it has passed, and the time until then."""
    ttl = observed.job.spec.limits.ttl_after_finished if observed.job.spec else None
    finished = epoch(observed.job.status.finished_at)
    if ttl is None or finished is None:
        return Plan()
    left = seconds(ttl) - (now - finished)
    if left > 0:
        return Plan(requeue_after=max(1.0, left))
    jobs = tuple(job_ref(batch) for batch in observed.jobs.values() if owned(observed, batch) and not batch.meta.deleting)
    claim = observed.claims.get(workspace_claim(observed.job.meta.name))
    mine = claim is not None and observed.job.meta.uid in claim.meta.owners and not claim.meta.deleting
    workspace = (_ref("PersistentVolumeClaim", claim.meta),) if claim and mine else ()
    if not (jobs or workspace):
        return Plan()
    what = [*([f"{len(jobs)} stage Jobs with their pods"] if jobs else []), *(f"{ref.kind} {ref.name}" for ref in workspace)]
    note = EventNote("Normal", "CleanedUp", f"limits.ttlAfterFinished ({ttl}) has passed: removed {' and '.join(what)}")
    return Plan(delete=(*jobs, *workspace), events=(note,))


def _ref(kind: str, meta: Meta) -> ObjectRef:
    return ObjectRef("v1", kind, meta.namespace, meta.name, meta.uid)


def _base_going(observed: ObservedJob) -> bool:
    spec, base = observed.job.spec, observed.base_model
    if spec is None or spec.base.fine_tuned_model is None:
        return False
    return base is None or base.meta.deleting


def _output_going(observed: ObservedJob) -> bool:
    return any(MODEL_LABEL in claim.meta.labels and claim.meta.deleting for claim in observed.claims.values())
