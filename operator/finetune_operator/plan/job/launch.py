"""From a recorded attempt to its Job, and from one attempt to the next.

The record is written before the Job is created, and a Job is created for a record that was read back only: neither a crash nor
a stale cache can start an attempt twice.
"""

from dataclasses import replace

from finetune_api.resources.finetune_job_status import Attempt, FineTuneJobStatus, StageName
from finetune_operator.build.stage_job import StageRun, stage_job_object
from finetune_operator.plan.common.advice import with_advice
from finetune_operator.plan.common.blocked import Blocker, refusal_blocker
from finetune_operator.plan.common.clock import epoch, length
from finetune_operator.plan.job.attempts import (
    UNSCHEDULABLE,
    active,
    appended,
    current_stage,
    job_name,
    job_of,
    latest,
    living,
    lost,
    was_misplaced,
)
from finetune_operator.plan.job.base import base_claim
from finetune_operator.plan.job.children import CLAIM_TERMINATING, claim_obstacle, missing_children, missing_model_volume
from finetune_operator.plan.job.giving_up import given_up, start_left
from finetune_operator.plan.job.output import model_volume_name
from finetune_operator.plan.job.settling import creating
from finetune_operator.plan.job.stop import claim_holders
from finetune_operator.plan.job.view import Step, View, waiting

FIRST_BACKOFF, LONGEST_BACKOFF = 10.0, 300.0
QUICK = 60.0
"""An interruption of an attempt that ran longer than this is followed by the next one at once."""


def create_job(view: View) -> Step | None:
    """The attempt is in the status as it was read: its Job may be created. What was refused is tried again."""
    attempt = active(view.status)
    if attempt is None or attempt.job_uid is not None or job_of(view.observed, attempt):
        return None
    if ending := _pods_ending(view):  # of a Job that somebody deleted before its uid was written down
        return ending
    obstacle = _name_taken(view, attempt) or claim_obstacle(view, attempt.stage)
    blocker = obstacle or refusal_blocker(view.observed.refusal)
    left = start_left(view, attempt)
    if blocker and left <= 0:
        message = with_advice(blocker.message, blocker.reason, attempt.stage)
        return given_up(view, attempt, blocker.reason, message, blocker.object or None)
    step = _held_up(view, attempt, blocker, left) if blocker else creating(view, attempt)
    if obstacle:
        return replace(step, delete=claim_holders(view)) if obstacle.reason == CLAIM_TERMINATING else step
    volume, image = model_volume_name(view), view.status.image or ""
    beside = was_misplaced(view.status)
    run = StageRun(view.observed.job.meta, view.spec, attempt.stage, attempt.number, image, base_claim(view), volume, beside)
    job = stage_job_object(run, view.observed.settings)
    return replace(step, apply=missing_model_volume(view, attempt.stage), create=(*missing_children(view, attempt.stage), job))


def _held_up(view: View, attempt: Attempt, blocker: Blocker, left: float) -> Step:
    message = with_advice(blocker.message, blocker.reason, attempt.stage)
    return waiting(view, blocker.reason, message, object=blocker.object or None, requeue_after=min(left, 5.0))


def _name_taken(view: View, attempt: Attempt) -> Blocker | None:
    """job_of has not found it, so a Job of that name is not ours: an earlier job's, perhaps, that is being collected."""
    name = job_name(view.observed, attempt)
    if name not in view.observed.jobs:
        return None
    return Blocker("NameTaken", f"Job {name} belongs to another object", f"Job {name}")


def next_attempt(view: View) -> Step | None:
    """Records the next attempt, once nothing of the last one runs and its back-off is over."""
    stage = current_stage(view.status)
    if stage is None or active(view.status):
        return None
    ending = _pods_ending(view)
    if ending:
        return ending
    newest = latest(view.status, stage)
    wait = backoff(view.status, stage) - (view.now - (epoch(newest.finished_at) or 0.0)) if newest else 0.0
    if newest and wait > 0:
        delay = length(backoff(view.status, stage))
        message = f"{stage} {newest.number} ended: {newest.message or newest.reason}; {stage} {newest.number + 1} starts in {delay}"
        return Step(view.status, "Starting", newest.reason or "BackOff", message, warning=True, requeue_after=wait)
    status = appended(view.status, stage, view.now)
    return creating(replace(view, status=status), status.attempts[-1])


def backoff(status: FineTuneJobStatus, stage: StageName) -> float:
    """Seconds between the newest attempt of a stage and the next one, by how many failed in a row."""
    newest = latest(status, stage)
    if newest is None or not _repels(newest):
        return 0.0
    in_a_row = 0
    for attempt in sorted((a for a in status.attempts if a.stage == stage), key=lambda a: a.number, reverse=True):
        if not _repels(attempt):
            break
        in_a_row += 1
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(in_a_row - 1, 10))


def queued_since(status: FineTuneJobStatus, attempt: Attempt) -> float | None:
    """When the wait for room began: with the first of the attempts without room that followed each other up to this one."""
    since = epoch(attempt.started_at)
    for before in sorted((a for a in status.attempts if a.stage == attempt.stage and a.number < attempt.number), key=lambda a: -a.number):
        over = epoch(before.finished_at)
        if before.reason != UNSCHEDULABLE or since is None or over is None or since - over > 2 * LONGEST_BACKOFF:
            break  # one that its queue took back begins its wait anew
        since = epoch(before.started_at)
    return since


def _repels(attempt: Attempt) -> bool:
    """After a failure, or an interruption that came so soon that the next one may as well."""
    if attempt.state == "Failed":
        return True
    if attempt.state != "Interrupted" or attempt.reason == "Suspended" or attempt.job_uid is None:
        return False
    began, over = epoch(attempt.running_at), epoch(attempt.finished_at)
    return began is None or over is None or over - began < QUICK


def _pods_ending(view: View) -> Step | None:
    pods = living(view.observed.pods)
    if not pods:
        return None
    missing = [pod for pod in pods if lost(pod, view.now)]
    if missing:
        pod = missing[0]
        message = with_advice(f"pod {pod.meta.name} on node {pod.node} has not terminated, so the next attempt cannot start", "NodeLost")
        return waiting(view, "NodeLost", message, object=f"Node {pod.node}")
    names = ", ".join(pod.meta.name for pod in pods[:3])
    return waiting(view, "PodsEnding", f"waiting for the pods of the previous attempt to terminate: {names}", requeue_after=10.0)
