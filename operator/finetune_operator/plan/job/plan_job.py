"""plan_job: what a FineTuneJob needs next. A chain of small policies; the first that applies decides."""

from finetune_api.resources.finetune_job import FineTuneJobSpec, output_name, spec_digest
from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_operator.objects.records import BatchJob
from finetune_operator.plan.common.clock import rfc3339, soonest
from finetune_operator.plan.common.conditions import holds, without
from finetune_operator.plan.common.observed import ObservedJob
from finetune_operator.plan.common.plan import ObjectRef, Plan, job_ref
from finetune_operator.plan.job.attempts import active, current_stage, job_name, latest, own_jobs
from finetune_operator.plan.job.finish import register, released, retired, with_fate_of_model
from finetune_operator.plan.job.launch import create_job, next_attempt
from finetune_operator.plan.job.output import output_contested, output_renamed, output_taken
from finetune_operator.plan.job.preconditions import base_missing, custom_code_forbidden, override_forbidden
from finetune_operator.plan.job.queue_name import QUEUE_SUPPORTED, queue_condition
from finetune_operator.plan.job.running import running
from finetune_operator.plan.job.startup import ending, nothing_new, starting
from finetune_operator.plan.job.status import finished_status, invalid_status, job_events, job_status
from finetune_operator.plan.job.stop import deadline_left, stopped
from finetune_operator.plan.job.sync_attempts import sync_attempts
from finetune_operator.plan.job.view import Policy, Step, View, failure, view_of
from finetune_operator.plan.job.workspace import workspace_damaged, workspace_lost, workspace_misplaced


def plan_job(observed: ObservedJob, now: float) -> Plan:
    """Decides from one snapshot. Safe to repeat: the same snapshot gives the same plan."""
    job = observed.job
    if job.meta.deleting:
        return Plan()
    if is_over(job.status):
        status = with_fate_of_model(observed, finished_status(job), now)
        return _plan(observed, status, released(observed), retired(observed, now))
    if job.spec is None:
        return _plan(observed, invalid_status(job, now), (), Plan())
    view = view_of(observed, job.spec, introduced(observed, job.spec, now), now)
    synced = sync_attempts(view)
    step = decide(view.with_status(synced.status))
    status = job_status(job, step, (*synced.updates, *queue_condition(job.spec, observed.settings.kueue_installed)), now)
    unlimited = step.end or job.spec.suspend or current_stage(status) is None
    left = None if unlimited else deadline_left(job.spec, status, now)
    return Plan(
        status=None if nothing_new(job.status, status, now) else status,
        apply=step.apply,
        create=step.create,
        delete=_union(step.delete, orphans(observed, status)),
        events=job_events(job.status, status, step),
        requeue_after=soonest(step.requeue_after, left),
    )


def failed(view: View) -> Step | None:
    """A failure that a retry cannot fix, or with no restarts left."""
    newest = latest(view.status, view.stage) if view.stage else None
    if newest is None or newest.state != "Failed" or newest.counted:
        return None
    message = newest.message or newest.reason or "failed"
    if view.status.restarts:
        message = f"{message} (after {view.status.restarts} restarts; limits.maxRestarts is {view.spec.limits.max_restarts})"
    return failure(view, newest.reason or "Failed", message)


POLICIES: tuple[Policy, ...] = (
    failed,
    stopped,
    override_forbidden,
    custom_code_forbidden,
    output_taken,
    output_contested,
    output_renamed,
    base_missing,
    workspace_lost,
    workspace_damaged,
    workspace_misplaced,
    create_job,
    ending,
    starting,
    running,
    next_attempt,
    register,
)


def decide(view: View) -> Step:
    """The step of the first policy that applies."""
    return next(step for policy in POLICIES if (step := policy(view)) is not None)


def is_over(status: FineTuneJobStatus) -> bool:
    """Complete and Failed are final."""
    return holds(status.conditions, "Complete") or holds(status.conditions, "Failed")


def introduced(observed: ObservedJob, spec: FineTuneJobSpec, now: float) -> FineTuneJobStatus:
    """The status with what is determined when the job is first seen: fields that do not change any more, and columns.

    The image is pinned with the first attempt, together with the run config, which depends on the version of the operator.
    """
    status, meta = observed.job.status, observed.job.meta
    base = spec.base.source or f"FineTunedModel/{spec.base.fine_tuned_model.name if spec.base.fine_tuned_model else ''}"
    return status.model_copy(
        update={
            "model": (status.model if status.attempts else None) or output_name(meta.name, spec),
            "base": base,
            "spec_digest": status.spec_digest or spec_digest(spec),
            "image": (status.image if status.attempts else None) or observed.settings.trainer_image,
            "started_at": status.started_at or rfc3339(now),
            "conditions": status.conditions if spec.queue_name else without(status.conditions, QUEUE_SUPPORTED),
        }
    )


def orphans(observed: ObservedJob, status: FineTuneJobStatus) -> tuple[ObjectRef, ...]:
    """Unfinished Jobs that do not belong to the current attempt: two attempts never run at the same time."""
    attempt = active(status)
    name = job_name(observed, attempt) if attempt else ""

    def orphaned(batch: BatchJob) -> bool:
        wanted = attempt is not None and batch.meta.name == name and attempt.job_uid in (None, batch.meta.uid)
        return not (wanted or batch.complete or batch.terminated or batch.meta.deleting)

    return tuple(job_ref(batch) for batch in own_jobs(observed) if orphaned(batch))


def _plan(observed: ObservedJob, status: FineTuneJobStatus, delete: tuple[ObjectRef, ...], more: Plan) -> Plan:
    changed = status if status != observed.job.status else None
    gone = _union(_union(delete, more.delete), orphans(observed, status))
    return Plan(status=changed, delete=gone, events=more.events, requeue_after=more.requeue_after)


def _union(first: tuple[ObjectRef, ...], second: tuple[ObjectRef, ...]) -> tuple[ObjectRef, ...]:
    return tuple(dict.fromkeys((*first, *second)))
