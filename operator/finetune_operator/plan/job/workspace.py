"""Finished stages that have to be done again: their workspace has gone, a later stage found what they left damaged, or no node
that takes the training can mount it."""

from finetune_api.exit_codes import ExitCode
from finetune_api.resources.finetune_job_status import Attempt, FineTuneJobStatus
from finetune_operator.build.placement import can_move
from finetune_operator.objects.names import workspace_claim
from finetune_operator.plan.common.blocked import VOLUME_ELSEWHERE, job_blocker
from finetune_operator.plan.common.clock import epoch, rfc3339
from finetune_operator.plan.common.conditions import short
from finetune_operator.plan.common.plan import ObjectRef
from finetune_operator.plan.job.attempts import (
    ACTIVE,
    STAGES,
    WORKSPACE_MISPLACED,
    active,
    current_stage,
    job_of,
    latest,
    pods_of,
    replaced,
    was_misplaced,
)
from finetune_operator.plan.job.children import claim_exists
from finetune_operator.plan.job.stop import claim_holders, job_ref
from finetune_operator.plan.job.view import Step, View

WORKSPACE_LOST, WORKSPACE_DAMAGED = "WorkspaceLost", "WorkspaceDamaged"
PATIENCE = 60.0
"""Seconds for which no node that can mount the workspace may come free before it is made again elsewhere."""


def workspace_lost(view: View) -> Step | None:
    """Between Jobs: when our claim is not there although a stage has finished on it."""
    attempt = active(view.status)
    name = workspace_claim(view.observed.job.meta.name)
    if view.spec.workspace.claim_name or current_stage(view.status) is None or claim_exists(view, name):
        return None
    if not any(a.state == "Succeeded" for a in view.status.attempts) or (attempt and job_of(view.observed, attempt)):
        return None
    change = {"state": "Interrupted", "reason": WORKSPACE_LOST, "finished_at": rfc3339(view.now)}
    void = [a.model_copy(update=change) if a.state == "Succeeded" or a.state in ACTIVE else a for a in view.status.attempts]
    message = f"PersistentVolumeClaim {name} is gone with its contents; restarting from prepare"
    return Step(view.status.model_copy(update={"attempts": void}), "Starting", WORKSPACE_LOST, message, warning=True, requeue_after=1.0)


def workspace_damaged(view: View) -> Step | None:
    """After an attempt that found what earlier stages left missing or damaged: they run again before it is tried again.

    Each of them looks at what it left, and repeats its result where nothing is wrong with it.
    """
    stage = current_stage(view.status)
    newest = latest(view.status, stage) if stage else None
    if stage is None or newest is None or active(view.status) or newest.exit_code != ExitCode.WORKSPACE_DAMAGED:
        return None
    earlier = STAGES[: STAGES.index(stage)]
    void = [_voided(a) if a.stage in earlier and _older(a, newest) else a for a in view.status.attempts]
    if void == view.status.attempts:
        return None
    message = f"{stage} {newest.number} found damaged files of an earlier stage: {newest.message}; restarting from {earlier[0]}"
    return Step(view.status.model_copy(update={"attempts": void}), "Starting", WORKSPACE_DAMAGED, message, warning=True, requeue_after=1.0)


def workspace_misplaced(view: View) -> Step | None:
    """A node would take the training, but cannot mount the volume, which was bound where prepare ran. As long as nothing was trained the
    volume is made again, once, by a prepare beside the training."""
    attempt = active(view.status)
    if attempt is None:
        return _given_back(view)
    batch, pods = job_of(view.observed, attempt), pods_of(view.observed, attempt)
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
    """True unless it is sure that there is no checkpoint. An attempt that its queue took back is pending again, and has left its GPU
    seconds or its loss in the status; one that ended before it was seen running may have run, but for a pause."""
    before = any(a.stage == "train" and a.number != attempt.number and a.reason != "Suspended" for a in status.attempts)
    ran = any(a.stage == "train" and a.running_at for a in status.attempts)
    return ran or before or bool(status.loss_text) or bool(status.usage and status.usage.gpu_seconds)


def _given_back(view: View) -> Step | None:
    """The volume that was out of reach goes, with the ended pods that hold it; `workspace_lost` takes it from there."""
    prepare, train = latest(view.status, "prepare"), latest(view.status, "train")
    if train is None or prepare is None or train.reason != WORKSPACE_MISPLACED or not _begun_before_end(prepare, train):
        return None
    claim = view.observed.claims.get(workspace_claim(view.observed.job.meta.name))
    if claim is None or view.observed.job.meta.uid not in claim.meta.owners:
        return None
    message = f"PersistentVolumeClaim {claim.meta.name} is recreated where the training can mount it"
    gone = () if claim.meta.deleting else (ObjectRef("v1", "PersistentVolumeClaim", claim.meta.namespace, claim.meta.name, claim.meta.uid),)
    delete = (*claim_holders(view), *gone)
    return Step(view.status, "Starting", WORKSPACE_MISPLACED, message, warning=True, delete=delete, requeue_after=2.0)


def _voided(attempt: Attempt) -> Attempt:
    return attempt.model_copy(update={"state": "Interrupted", "reason": WORKSPACE_DAMAGED})


def _begun_before_end(attempt: Attempt, other: Attempt) -> bool:
    """True for a success that began before the other attempt's end, both by the operator's clock: the Job controller's is another."""
    return attempt.state == "Succeeded" and (epoch(attempt.started_at) or 0.0) < (epoch(other.finished_at) or 0.0)


def _older(attempt: Attempt, than: Attempt) -> bool:
    """True for a success that came before the other attempt's end."""
    return attempt.state == "Succeeded" and (epoch(attempt.finished_at) or 0.0) <= (epoch(than.finished_at) or 0.0)
