"""The attempts in the status of a job, and the batch Jobs and pods that belong to them. Reads only; sync_attempts.py updates them."""

from collections.abc import Iterator

from finetune_api.resources.finetune_job_status import Attempt, FineTuneJobStatus, StageName
from finetune_operator.build.stages import STAGES
from finetune_operator.objects.names import stage_job
from finetune_operator.objects.records import BatchJob, Pod
from finetune_operator.plan.common.clock import LONGEST_BACKOFF, backoff, epoch, rfc3339
from finetune_operator.plan.common.observed import ObservedJob, pods_of_job
from finetune_operator.plan.common.outcome import OUT_OF_MEMORY

ACTIVE = ("Pending", "Running")
UNSCHEDULABLE = "Unschedulable"
"""Reason of an attempt that ended because one of its pods was never scheduled."""
WORKSPACE_MISPLACED = "WorkspaceMisplaced"
"""Reason of a train attempt that could not be scheduled because of where the workspace volume was bound."""
KEPT = 64
"""Attempts kept in the status; numbers are not reused."""
QUICK = 60.0
"""Seconds. After an interruption of an attempt that ran for longer, the next attempt starts immediately."""


def latest(status: FineTuneJobStatus, stage: StageName) -> Attempt | None:
    """The newest attempt of a stage."""
    return max((attempt for attempt in status.attempts if attempt.stage == stage), key=lambda attempt: attempt.number, default=None)


def active(status: FineTuneJobStatus) -> Attempt | None:
    """The attempt that has not ended; there is never more than one."""
    return next((attempt for attempt in status.attempts if attempt.state in ACTIVE), None)


def current_stage(status: FineTuneJobStatus) -> StageName | None:
    """The first stage whose newest attempt has not succeeded; None after the last."""
    newest = ((stage, latest(status, stage)) for stage in STAGES)
    return next((stage for stage, attempt in newest if attempt is None or attempt.state != "Succeeded"), None)


def was_misplaced(status: FineTuneJobStatus) -> bool:
    """True when the nodes for the training could not mount the workspace in an earlier attempt."""
    return any(attempt.reason == WORKSPACE_MISPLACED for attempt in status.attempts)


def ran_out_of_memory(status: FineTuneJobStatus, attempt: Attempt) -> int:
    """How many attempts of the stage before this one ended for lack of memory."""
    return sum(a.stage == attempt.stage and a.number < attempt.number and a.reason == OUT_OF_MEMORY for a in status.attempts)


def replaced(status: FineTuneJobStatus, attempt: Attempt) -> FineTuneJobStatus:
    """The status with a newer version of an attempt."""
    key = (attempt.stage, attempt.number)
    return status.model_copy(update={"attempts": [attempt if (a.stage, a.number) == key else a for a in status.attempts]})


def _halves(attempt: Attempt) -> bool:
    return attempt.stage == "train" and attempt.reason == OUT_OF_MEMORY


def appended(status: FineTuneJobStatus, stage: StageName, now: float) -> FineTuneJobStatus:
    """The status with the next attempt of a stage. The oldest attempts are dropped, except the newest of each stage and trainings
    that ran out of memory, which determine how the next ones run."""
    newest = latest(status, stage)
    attempts = [*status.attempts, Attempt(stage=stage, number=newest.number + 1 if newest else 1, started_at=rfc3339(now))]
    numbers = {name: found.number for name in STAGES if (found := latest(status, name))}
    while len(attempts) > KEPT:
        attempts.remove(next(a for a in attempts if numbers.get(a.stage) != a.number and not _halves(a)))
    return status.model_copy(update={"attempts": attempts})


def next_attempt_delay(status: FineTuneJobStatus, stage: StageName) -> float:
    """Seconds between the end of the newest attempt of a stage and the next one, by the number of failures in a row."""
    in_a_row = 0
    for attempt in _newest_first(status, stage):
        if not _backs_off(attempt):
            break
        in_a_row += 1
    return backoff(in_a_row) if in_a_row else 0.0


def queued_since(status: FineTuneJobStatus, attempt: Attempt) -> float | None:
    """When the wait for capacity began: at the first of the consecutive unschedulable attempts before this one."""
    since = epoch(attempt.started_at)
    for before in (a for a in _newest_first(status, attempt.stage) if a.number < attempt.number):
        over = epoch(before.finished_at)
        if before.reason != UNSCHEDULABLE or since is None or over is None or since - over > 2 * LONGEST_BACKOFF:
            break  # after a Job was suspended by its queue, the wait begins again
        since = epoch(before.started_at)
    return since


def job_name(observed: ObservedJob, attempt: Attempt) -> str:
    """Name of the Job of an attempt."""
    return stage_job(observed.job.meta.name, attempt.stage, attempt.number)


def own_jobs(observed: ObservedJob) -> Iterator[BatchJob]:
    """Jobs of this FineTuneJob, without those of a deleted one with the same name."""
    return (batch for batch in observed.jobs.values() if observed.job.meta.uid in batch.meta.owners)


def job_of(observed: ObservedJob, attempt: Attempt) -> BatchJob | None:
    """The Job of an attempt; once its uid is recorded, no other Job with its name."""
    name = job_name(observed, attempt)
    return next((b for b in own_jobs(observed) if b.meta.name == name and attempt.job_uid in (None, b.meta.uid)), None)


def pods_of(observed: ObservedJob, attempt: Attempt, batch: BatchJob | None) -> tuple[Pod, ...]:
    """The pods of an attempt and its Job, by name."""
    uid = attempt.job_uid or (batch.meta.uid if batch else None)
    return tuple(sorted(pods_of_job(observed.pods, job_name(observed, attempt), uid), key=lambda pod: pod.meta.name))


def _newest_first(status: FineTuneJobStatus, stage: StageName) -> list[Attempt]:
    return sorted((attempt for attempt in status.attempts if attempt.stage == stage), key=lambda attempt: -attempt.number)


def _backs_off(attempt: Attempt) -> bool:
    """True after a failure, or after an interruption so early that it is likely to recur."""
    if attempt.state == "Failed":
        return True
    if attempt.state != "Interrupted" or attempt.reason == "Suspended" or attempt.job_uid is None:
        return False
    began, over = epoch(attempt.running_at), epoch(attempt.finished_at)
    return began is None or over is None or over - began < QUICK
