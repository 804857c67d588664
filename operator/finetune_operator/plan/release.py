"""A complete job lets go of the volumes of models: a pod that mounts a claim keeps it from being removed, ended or not.

The Jobs that only mount the job's own workspace stay, and their logs with them.
"""

from finetune_operator.names import STAGE_LABEL
from finetune_operator.plan.attempts import owned
from finetune_operator.plan.conditions import holds
from finetune_operator.plan.observed import ObservedJob
from finetune_operator.plan.plan import ObjectRef
from finetune_operator.plan.stop import job_ref


def released(observed: ObservedJob) -> tuple[ObjectRef, ...]:
    """Jobs to delete: publish, which mounts the new model, and every stage when the base is a FineTunedModel."""
    job = observed.job
    if not holds(job.status.conditions, "Complete"):
        return ()
    from_model = job.spec is not None and job.spec.base.fine_tuned_model is not None
    return tuple(
        job_ref(batch)
        for batch in observed.jobs.values()
        if owned(observed, batch) and not batch.meta.deleting and (from_model or batch.meta.labels.get(STAGE_LABEL) == "publish")
    )
