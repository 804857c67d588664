"""Finished stages that must run again: the workspace is gone, a later stage found damaged files, or the nodes for the training cannot
mount it."""

from typing import Any

from finetune_api.exit_codes import ExitCode
from finetune_api.resources.finetune_job_status import Attempt, FineTuneJobStatus
from finetune_operator.build.placement import can_move
from finetune_operator.build.stages import STAGES
from finetune_operator.objects.names import workspace_claim
from finetune_operator.plan.common.blocked import VOLUME_ELSEWHERE, job_blocker
from finetune_operator.plan.common.clock import epoch, rfc3339
from finetune_operator.plan.common.conditions import short
from finetune_operator.plan.common.plan import core_ref, job_ref
from finetune_operator.plan.job.attempts import ACTIVE, WORKSPACE_MISPLACED, latest, replaced, was_misplaced
from finetune_operator.plan.job.stop import claim_holders
from finetune_operator.plan.job.view import Step, View

WORKSPACE_LOST, WORKSPACE_DAMAGED = "WorkspaceLost", "WorkspaceDamaged"
PATIENCE = 60.0
"""Seconds to wait for a node that can mount the workspace before it is recreated elsewhere."""


def workspace_lost(view: View) -> Step | None:
    """Between Jobs: the claim does not exist although a stage has finished on it."""
    name = workspace_claim(view.meta.name)
    if view.spec.workspace.claim_name or view.stage is None or name in view.observed.claims:
        return None
    if view.batch or not any(a.state == "Succeeded" for a in view.status.attempts):
        return None
    change = {"state": "Interrupted", "reason": WORKSPACE_LOST, "finished_at": rfc3339(view.now)}
    void = [a.model_copy(update=change) if a.state == "Succeeded" or a.state in ACTIVE else a for a in view.status.attempts]
    message = f"PersistentVolumeClaim {name} is gone with its contents; restarting from prepare"
    if view.spec.checkpoints.store and any(a.stage == "train" for a in view.status.attempts):
        message += ", and the training resumes from the newest copy in checkpoints.store, if there is one"
    return Step(_forgotten(view.status, void), "Starting", WORKSPACE_LOST, message, warning=True, requeue_after=1.0)


def workspace_damaged(view: View) -> Step | None:
    """After an attempt that found files of earlier stages missing or damaged: these stages run again first.

    Each of them verifies its own files, and reports its earlier result again if they are intact.
    """
    stage = view.stage
    newest = latest(view.status, stage) if stage else None
    if stage is None or newest is None or view.attempt or newest.exit_code != ExitCode.WORKSPACE_DAMAGED:
        return None
    earlier = tuple(STAGES)[: tuple(STAGES).index(stage)]
    void = [_voided(a) if a.stage in earlier and _older(a, newest) else a for a in view.status.attempts]
    if void == view.status.attempts:
        return None
    message = f"{stage} {newest.number} found damaged files of an earlier stage: {newest.message}; restarting from {earlier[0]}"
    return Step(_forgotten(view.status, void), "Starting", WORKSPACE_DAMAGED, message, warning=True, requeue_after=1.0)


def workspace_misplaced(view: View) -> Step | None:
    """A node has capacity for the training but cannot mount the volume, which was bound where prepare ran. Unless something was trained
    already, the volume is recreated, once, by a prepare on the nodes for the training."""
    attempt, batch, pods = view.attempt, view.batch, view.pods
    if attempt is None:
        return _volume_deleted(view)
    if attempt.stage != "train" or batch is None or was_misplaced(view.status) or not can_move(view.spec):
        return None
    if _may_have_trained(view.status, attempt):
        return None
    blocker = job_blocker(batch, pods, view.observed.warnings, view.now)
    if blocker is None or blocker.reason != VOLUME_ELSEWHERE or view.now - max(pod.meta.created for pod in pods) < PATIENCE:
        return None
    message = f"no node for the training can mount the workspace, so prepare runs again next to the training: {blocker.message}"
    change = {"state": "Interrupted", "reason": WORKSPACE_MISPLACED, "message": short(message), "finished_at": rfc3339(view.now)}
    status = replaced(view.status, attempt.model_copy(update=change)).model_copy(update={"error": None})
    return Step(status, "Starting", WORKSPACE_MISPLACED, message, warning=True, delete=(job_ref(batch),), requeue_after=1.0)


def _may_have_trained(status: FineTuneJobStatus, attempt: Attempt) -> bool:
    """False only when there is certainly no checkpoint. An attempt whose Job was suspended by its queue is pending again, and has left GPU
    seconds or a loss in the status; one that ended before it was observed running may have run, unless it was paused."""
    before = any(a.stage == "train" and a.number != attempt.number and a.reason != "Suspended" for a in status.attempts)
    ran = any(a.stage == "train" and a.running_at for a in status.attempts)
    return ran or before or bool(status.loss_text) or bool(status.usage and status.usage.gpu_seconds)


def _volume_deleted(view: View) -> Step | None:
    """Deletes the volume and the Jobs whose ended pods mount it; `workspace_lost` does the rest."""
    prepare, train = latest(view.status, "prepare"), latest(view.status, "train")
    if train is None or prepare is None or train.reason != WORKSPACE_MISPLACED or not _begun_before_end(prepare, train):
        return None
    claim = view.observed.claims.get(workspace_claim(view.meta.name))
    if claim is None or view.meta.uid not in claim.meta.owners:
        return None
    message = f"PersistentVolumeClaim {claim.meta.name} is recreated where the training can mount it"
    volume = () if claim.meta.deleting else (core_ref("PersistentVolumeClaim", claim.meta),)
    delete = (*claim_holders(view), *volume)
    return Step(view.status, "Starting", WORKSPACE_MISPLACED, message, warning=True, delete=delete, requeue_after=2.0)


def _forgotten(status: FineTuneJobStatus, void: list[Attempt]) -> FineTuneJobStatus:
    """The status with void attempts; of a void training also without what it left in the workspace."""
    trained = any(a.stage == "train" and a.state == "Succeeded" for a in status.attempts)
    lost: dict[str, Any] = {"checkpoints": [], "trained_steps": None, "published_step": None} if trained else {}
    return status.model_copy(update={"attempts": void, **lost})


def _voided(attempt: Attempt) -> Attempt:
    return attempt.model_copy(update={"state": "Interrupted", "reason": WORKSPACE_DAMAGED})


def _begun_before_end(attempt: Attempt, other: Attempt) -> bool:
    """True for a success that began before the end of the other attempt. Both times are from the operator's clock, not from that of the
    Job controller."""
    return attempt.state == "Succeeded" and (epoch(attempt.started_at) or 0.0) < (epoch(other.finished_at) or 0.0)


def _older(attempt: Attempt, than: Attempt) -> bool:
    """True for a success before the end of the other attempt."""
    return attempt.state == "Succeeded" and (epoch(attempt.finished_at) or 0.0) <= (epoch(than.finished_at) or 0.0)
