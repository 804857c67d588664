"""From a recorded attempt to its Job and the objects that the Job's pods need, and from one attempt to the next.

An attempt is written to the status before its Job is created, and a Job is created only for an attempt that was read back: neither a
crash nor a stale cache can start an attempt twice.
"""

from dataclasses import replace
from typing import Any

from finetune_api.resources.finetune_job_status import Attempt, StageName
from finetune_api.resources.finetuned_model import ClaimSource
from finetune_operator.build.claim import workspace_claim_object
from finetune_operator.build.config_map import run_config_map_object
from finetune_operator.build.run_config import run_config
from finetune_operator.build.service import train_service_object
from finetune_operator.build.stage_job import StageRun, stage_job_object
from finetune_operator.build.stages import STAGES
from finetune_operator.objects.names import workspace_claim
from finetune_operator.plan.common.advice import with_advice
from finetune_operator.plan.common.blocked import Blocker, refusal_blocker
from finetune_operator.plan.common.clock import epoch, length
from finetune_operator.plan.job.attempts import appended, job_name, latest, next_attempt_delay, ran_out_of_memory, was_misplaced
from finetune_operator.plan.job.output import model_volume, model_volume_name
from finetune_operator.plan.job.startup import creating, not_started, param_of, start_left
from finetune_operator.plan.job.stop import claim_holders
from finetune_operator.plan.job.view import Step, View, waiting

CLAIM_TERMINATING = "VolumeClaimTerminating"


def create_job(view: View) -> Step | None:
    """The attempt was read back from the status: its Job may be created. A refused creation is retried."""
    attempt = view.attempt
    if attempt is None or attempt.job_uid is not None or view.batch:
        return None
    if ending := _pods_ending(view):  # of a Job that was deleted before its uid was recorded
        return ending
    obstacle = _name_taken(view, attempt) or _claim_obstacle(view, attempt.stage)
    blocker = obstacle or refusal_blocker(view.observed.refusal)
    if blocker and start_left(view, attempt) <= 0:
        message = with_advice(blocker.message, blocker.reason, attempt.stage)
        return not_started(view, attempt, blocker.reason, message, blocker)
    step = _blocked(view, attempt, blocker) if blocker else creating(view, attempt)
    if obstacle:
        return replace(step, delete=claim_holders(view)) if obstacle.reason == CLAIM_TERMINATING else step
    return replace(
        step, apply=_missing_model_volume(view, attempt.stage), create=(*missing_children(view, attempt.stage), _job(view, attempt))
    )


def next_attempt(view: View) -> Step | None:
    """Records the next attempt when all pods of the last one have ended and its back-off is over."""
    stage = view.stage
    if stage is None or view.attempt:
        return None
    if ending := _pods_ending(view):
        return ending
    newest, delay = latest(view.status, stage), next_attempt_delay(view.status, stage)
    wait = delay - (view.now - (epoch(newest.finished_at) or 0.0)) if newest else 0.0
    if newest and wait > 0:
        ended = f"{stage} {newest.number} ended: {newest.message or newest.reason}"
        message = f"{ended}; {stage} {newest.number + 1} starts in {length(delay)}"
        return Step(view.status, "Starting", newest.reason or "BackOff", message, warning=True, requeue_after=wait)
    view = view.with_status(appended(view.status, stage, view.now))
    return creating(view, view.status.attempts[-1])


def missing_children(view: View, stage: StageName) -> tuple[dict[str, Any], ...]:
    """Objects to create before the Job; their content does not change during the life of the job."""
    objects = [_run_config(view)]
    if not view.spec.workspace.claim_name:
        objects.append(workspace_claim_object(view.meta, view.spec.workspace.storage, view.observed.settings.workspace_size))
    if STAGES[stage].distributed:
        objects.append(train_service_object(view.meta))
    return tuple(obj for obj in objects if not _exists(view, obj))


def _job(view: View, attempt: Attempt) -> dict[str, Any]:
    run = StageRun(
        view.meta,
        view.spec,
        attempt.stage,
        attempt.number,
        image=view.status.image or "",
        base=_base_claim(view),
        model_volume=model_volume_name(view),
        beside_training=was_misplaced(view.status),
        halve_micro_batches=attempt.stage == "train" and ran_out_of_memory(view.status, attempt) > 0,
    )
    return stage_job_object(run, view.observed.settings)


def _missing_model_volume(view: View, stage: StageName) -> tuple[dict[str, Any], ...]:
    """Applied, not created: an apply does not remove fields that were created, and the job would own the volume even after the handover."""
    volume = model_volume(view)
    return (volume,) if STAGES[stage].writes_model and not _exists(view, volume) else ()


def _run_config(view: View) -> dict[str, Any]:
    config = run_config(view.meta, view.spec, view.status.image or "", _base_claim(view), view.observed.settings, view.observed.gpu_nodes)
    return run_config_map_object(view.meta, config)


def _base_claim(view: View) -> ClaimSource | None:
    """The claim of the base model, if the base is a FineTunedModel."""
    model = view.observed.base_model if view.spec.base.fine_tuned_model else None
    return model.spec.source.claim if model and model.spec else None


def _exists(view: View, obj: dict[str, Any]) -> bool:
    kind, name = obj["kind"], obj["metadata"]["name"]
    return name in view.observed.claims if kind == "PersistentVolumeClaim" else f"{kind}/{name}" in view.observed.applied


def _blocked(view: View, attempt: Attempt, blocker: Blocker) -> Step:
    message = with_advice(blocker.message, blocker.reason, attempt.stage)
    wait = min(start_left(view, attempt), 5.0)
    param = param_of(view, attempt, blocker)
    return waiting(view, blocker.reason, message, object=blocker.object or None, param=param, requeue_after=wait)


def _name_taken(view: View, attempt: Attempt) -> Blocker | None:
    """A Job with the name of the attempt is not its Job: perhaps that of a deleted FineTuneJob, which will be garbage-collected."""
    name = job_name(view.observed, attempt)
    if name not in view.observed.jobs:
        return None
    return Blocker("NameTaken", f"Job {name} belongs to another object", f"Job {name}")


def _claim_obstacle(view: View, stage: StageName) -> Blocker | None:
    """A claim of another object with the needed name, or a claim of the job that is being deleted."""
    names = [] if view.spec.workspace.claim_name else [workspace_claim(view.meta.name)]
    names += [model_volume_name(view)] if STAGES[stage].writes_model else []
    for name in names:
        claim = view.observed.claims.get(name)
        if claim and view.meta.uid not in claim.meta.owners:
            return Blocker("NameTaken", f"PersistentVolumeClaim {name} belongs to another object", f"PersistentVolumeClaim {name}")
        if claim and claim.meta.deleting:
            message = f"PersistentVolumeClaim {name} is being deleted; a new one is created once it is gone"
            return Blocker(CLAIM_TERMINATING, message, f"PersistentVolumeClaim {name}")
    return None


def _pods_ending(view: View) -> Step | None:
    pods = [pod for pod in view.observed.pods if not pod.ended]
    if not pods:
        return None
    if lost := [pod for pod in pods if pod.lost(view.now)]:
        text = f"pod {lost[0].meta.name} on node {lost[0].node} has not terminated, so the next attempt cannot start"
        return waiting(view, "NodeLost", with_advice(text, "NodeLost"), object=f"Node {lost[0].node}")
    names = ", ".join(pod.meta.name for pod in pods[:3])
    return waiting(view, "PodsEnding", f"waiting for the pods of the previous attempt to terminate: {names}", requeue_after=10.0)
