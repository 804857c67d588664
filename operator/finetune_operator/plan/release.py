"""A job that is over lets go of the volumes of models: a pod that mounts a claim keeps it from being removed, ended or not.

The Jobs that only mount the job's own workspace stay, and their logs with them. So do all Jobs of a job that failed, until a model
that they mount is deleted.
"""

from finetune_operator.names import MODEL_LABEL, STAGE_LABEL
from finetune_operator.plan.attempts import owned
from finetune_operator.plan.conditions import holds
from finetune_operator.plan.observed import ObservedJob
from finetune_operator.plan.plan import ObjectRef
from finetune_operator.plan.stop import job_ref


def released(observed: ObservedJob) -> tuple[ObjectRef, ...]:
    """Jobs to delete: publish, which mounts the new model, and every stage when the base is a FineTunedModel."""
    complete = holds(observed.job.status.conditions, "Complete")
    base, output = _base_released(observed, complete), complete or _output_going(observed)
    return tuple(
        job_ref(batch)
        for batch in observed.jobs.values()
        if owned(observed, batch) and not batch.meta.deleting and (base or (output and batch.meta.labels.get(STAGE_LABEL) == "publish"))
    )


def _base_released(observed: ObservedJob, complete: bool) -> bool:
    spec, base = observed.job.spec, observed.base_model
    if spec is None or spec.base.fine_tuned_model is None:
        return False
    return complete or base is None or base.meta.deleting


def _output_going(observed: ObservedJob) -> bool:
    return any(MODEL_LABEL in claim.meta.labels and claim.meta.deleting for claim in observed.claims.values())
