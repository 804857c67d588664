"""The attempts in a job's status and the batch Jobs and pods that belong to them. It looks; `follow.py` changes."""

from collections.abc import Sequence

from finetune_api.resources.finetune_job_status import Attempt, FineTuneJobStatus, StageName
from finetune_operator.objects.names import stage_job
from finetune_operator.objects.records import BatchJob, Pod
from finetune_operator.plan.common.clock import rfc3339
from finetune_operator.plan.common.observed import ObservedJob

STAGES: tuple[StageName, ...] = ("prepare", "train", "publish")
ACTIVE = ("Pending", "Running")
UNSCHEDULABLE = "Unschedulable"
"""Reason of an attempt that ended because no node took one of its pods."""
WORKSPACE_MISPLACED = "WorkspaceMisplaced"
"""Reason of a train attempt that no node could take because of where the workspace's volume was bound."""
KEPT = 64
"""Attempts that the status keeps; the numbers go on."""
POD_JOB_LABEL = "batch.kubernetes.io/job-name"
LOST_AFTER = 60.0
"""Seconds beyond its grace after which a pod that has not ended is on a lost node."""


def latest(status: FineTuneJobStatus, stage: StageName) -> Attempt | None:
    """The newest attempt of a stage."""
    return max((attempt for attempt in status.attempts if attempt.stage == stage), key=lambda attempt: attempt.number, default=None)


def active(status: FineTuneJobStatus) -> Attempt | None:
    """The attempt that is not over; there is never more than one."""
    return next((attempt for attempt in status.attempts if attempt.state in ACTIVE), None)


def succeeded(status: FineTuneJobStatus, stage: StageName) -> bool:
    """A stage is done when its newest attempt is."""
    newest = latest(status, stage)
    return newest is not None and newest.state == "Succeeded"


def current_stage(status: FineTuneJobStatus) -> StageName | None:
    """The first stage that is not done; None after the last."""
    return next((stage for stage in STAGES if not succeeded(status, stage)), None)


def was_misplaced(status: FineTuneJobStatus) -> bool:
    """True once the workspace's volume was out of the training's reach."""
    return any(attempt.reason == WORKSPACE_MISPLACED for attempt in status.attempts)


def replaced(status: FineTuneJobStatus, attempt: Attempt) -> FineTuneJobStatus:
    """The status with a newer version of one attempt."""
    key = (attempt.stage, attempt.number)
    return status.model_copy(update={"attempts": [attempt if (a.stage, a.number) == key else a for a in status.attempts]})


def appended(status: FineTuneJobStatus, stage: StageName, now: float) -> FineTuneJobStatus:
    """The status with the next attempt of a stage. Old attempts give way, but the newest of each stage stays."""
    newest = latest(status, stage)
    attempts = [*status.attempts, Attempt(stage=stage, number=newest.number + 1 if newest else 1, started_at=rfc3339(now))]
    numbers = {name: found.number for name in STAGES if (found := latest(status, name))}
    while len(attempts) > KEPT:
        attempts.remove(next(a for a in attempts if numbers.get(a.stage) != a.number))
    return status.model_copy(update={"attempts": attempts})


def job_name(observed: ObservedJob, attempt: Attempt) -> str:
    """Name of an attempt's Job."""
    return stage_job(observed.job.meta.name, attempt.stage, attempt.number)


def owned(observed: ObservedJob, batch: BatchJob) -> bool:
    """True when the Job belongs to this very FineTuneJob, not to an earlier one of the same name."""
    return observed.job.meta.uid in batch.meta.owners


def job_of(observed: ObservedJob, attempt: Attempt) -> BatchJob | None:
    """The Job of an attempt: ours, and the one that was seen before if any was."""
    batch = observed.jobs.get(job_name(observed, attempt))
    if batch is None or not owned(observed, batch):
        return None
    return batch if attempt.job_uid in (None, batch.meta.uid) else None


def pods_of(observed: ObservedJob, attempt: Attempt) -> tuple[Pod, ...]:
    """The pods of an attempt, by name."""
    batch = job_of(observed, attempt)
    mine = pods_named(observed.pods, job_name(observed, attempt), attempt.job_uid or (batch.meta.uid if batch else None))
    return tuple(sorted(mine, key=lambda pod: pod.meta.name))


def pods_named(pods: Sequence[Pod], name: str, uid: str | None) -> tuple[Pod, ...]:
    """The pods of a Job; those of an earlier Job of its name, which has another uid, may not have been collected yet."""
    named = (pod for pod in pods if pod.meta.labels.get(POD_JOB_LABEL) == name)
    return tuple(pod for pod in named if uid is None or not pod.meta.owners or uid in pod.meta.owners)


def ended(pod: Pod) -> bool:
    """True when nothing of the pod runs any more."""
    return pod.phase in ("Succeeded", "Failed")


def living(pods: Sequence[Pod]) -> tuple[Pod, ...]:
    """Pods of which something may still run."""
    return tuple(pod for pod in pods if not ended(pod))


def lost(pod: Pod, now: float) -> bool:
    """True when a pod's node should have ended it long ago: nobody can tell whether it still writes."""
    return not ended(pod) and pod.gone_by is not None and now > pod.gone_by + LOST_AFTER
