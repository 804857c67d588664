"""Cancel, deadline and pause: the running Job is deleted gracefully, and the job rests when its pods have gone."""

from finetune_operator.objects.records import BatchJob
from finetune_operator.plan.common.plan import ObjectRef
from finetune_operator.plan.job.attempts import current_stage, latest, living, lost, owned
from finetune_operator.plan.job.time_limits import stop_reason
from finetune_operator.plan.job.view import RUNNING_PHASE, Step, View, failure, resting_phase


def stopped(view: View) -> Step | None:
    """Ends or pauses the job when something asks for it. A model that is made is registered, however late: no deadline throws it away."""
    reason = stop_reason(view.spec, view.status, view.now)
    if not reason or (reason == "DeadlineExceeded" and current_stage(view.status) is None):
        return None
    ending = _ending(view, reason)
    if ending:
        return ending
    if reason == "Cancelled":
        step = failure(view, reason, "spec.cancel is true")
        return Step(step.status, "Cancelled", reason, step.message, end="Failed")
    if reason == "DeadlineExceeded":
        message = f"the job was not finished within limits.deadline ({view.spec.limits.deadline}), pauses not counted"
        return failure(view, reason, message, param="limits.deadline")
    return Step(view.status, "Paused", reason, _paused_message(view))


def job_ref(batch: BatchJob) -> ObjectRef:
    """The Job to delete."""
    return ObjectRef("batch/v1", "Job", batch.meta.namespace, batch.meta.name, batch.meta.uid)


def live_jobs(view: View) -> tuple[BatchJob, ...]:
    """Our Jobs that are not over."""
    jobs = (batch for batch in view.observed.jobs.values() if owned(view.observed, batch))
    return tuple(batch for batch in jobs if not (batch.complete or batch.terminated))


def claim_holders(view: View) -> tuple[ObjectRef, ...]:
    """Our Jobs, none of which runs: their ended pods would hold a deleted claim for ever."""
    mine = (batch for batch in view.observed.jobs.values() if owned(view.observed, batch))
    return tuple(job_ref(batch) for batch in mine if not batch.meta.deleting)


def _ending(view: View, reason: str) -> Step | None:
    """While Jobs or pods are still there. A pause waits for a lost node too: its pod may still write."""
    jobs = live_jobs(view)
    pods = [pod for pod in living(view.observed.pods) if reason == "Suspended" or not lost(pod, view.now)]
    if not jobs and not pods:
        return None
    stage = current_stage(view.status)
    phase = RUNNING_PHASE[stage] if stage and pods else resting_phase(view.status)
    word = {"Suspended": "Suspending", "Cancelled": "Cancelling"}.get(reason, reason)
    message = f"waiting for {len(pods)} pods to terminate" if pods else "deleting the running Job"
    delete = tuple(job_ref(batch) for batch in jobs if not batch.meta.deleting)
    return Step(view.status, phase, word, message, delete=delete, requeue_after=10.0)


def _paused_message(view: View) -> str:
    train = latest(view.status, "train")
    progress = view.status.progress
    if train and progress and progress.checkpoint_step:
        return f"spec.suspend is true; set it to false to resume from the checkpoint at step {progress.checkpoint_step}"
    return "spec.suspend is true; set it to false to resume"
