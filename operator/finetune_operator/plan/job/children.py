"""The children that a stage's pods need before they are created: config map, claims, Service."""

from typing import Any

from finetune_api.resources.finetune_job_status import StageName
from finetune_operator.build.claim import model_claim_object, model_volume_size, workspace_claim_object
from finetune_operator.build.config_map import run_config_map_object
from finetune_operator.build.run_config import run_config
from finetune_operator.build.service import train_service_object
from finetune_operator.objects.names import JOB_LABEL, MODEL_LABEL, workspace_claim
from finetune_operator.plan.common.blocked import Blocker
from finetune_operator.plan.job.base import base_claim
from finetune_operator.plan.job.output import model_name, model_volume_name
from finetune_operator.plan.job.view import View

CLAIM_TERMINATING = "VolumeClaimTerminating"


def claim_exists(view: View, name: str) -> bool:
    """True when a claim of that name is there."""
    return name in view.observed.claims


def claim_obstacle(view: View, stage: StageName) -> Blocker | None:
    """A claim in the way: one of an earlier job of the same name, or our own that somebody deletes."""
    names = [] if view.spec.workspace.claim_name else [workspace_claim(view.observed.job.meta.name)]
    names += [model_volume_name(view)] if stage == "publish" else []
    for name in names:
        claim = view.observed.claims.get(name)
        if claim and view.observed.job.meta.uid not in claim.meta.owners:
            return Blocker("NameTaken", f"PersistentVolumeClaim {name} belongs to another object", f"PersistentVolumeClaim {name}")
        if claim and claim.meta.deleting:
            message = f"PersistentVolumeClaim {name} is being deleted; a new one is created once it is gone"
            return Blocker(CLAIM_TERMINATING, message, f"PersistentVolumeClaim {name}")
    return None


def missing_children(view: View, stage: StageName) -> tuple[dict[str, Any], ...]:
    """Those that are not there yet, to be created: their content stays for the job's life."""
    objects = [_run_config(view)]
    if not view.spec.workspace.claim_name:
        size = view.observed.settings.workspace_size
        objects.append(workspace_claim_object(view.observed.job.meta, view.spec.workspace.storage, size))
    if stage == "train":
        objects.append(train_service_object(view.observed.job.meta))
    return tuple(thing for thing in objects if not _is_there(view, thing))


def missing_model_volume(view: View, stage: StageName) -> tuple[dict[str, Any], ...]:
    """To be applied, not created: a field that was created stays when an apply no longer names it, and the job would own it for ever."""
    volume = model_volume(view)
    return (volume,) if stage == "publish" and not _is_there(view, volume) else ()


def model_volume(view: View) -> dict[str, Any]:
    """The model's claim: the job's own, or the FineTunedModel's once that is there."""
    job, model = view.observed.job.meta, view.observed.output_model
    storage = view.spec.output.storage
    size = model_volume_size(storage, view.status.model_bytes)
    labels = {**view.spec.output.labels, JOB_LABEL: job.name, MODEL_LABEL: model_name(view)}
    if model is None:
        return model_claim_object("FineTuneJob", job, model_volume_name(view), labels, storage, size)
    return model_claim_object("FineTunedModel", model.meta, model_volume_name(view), labels, storage, size)


def _run_config(view: View) -> dict[str, Any]:
    meta, settings = view.observed.job.meta, view.observed.settings
    config = run_config(meta, view.spec, view.status.image or "", base_claim(view), settings, view.observed.gpu_nodes)
    return run_config_map_object(meta, config)


def _is_there(view: View, thing: dict[str, Any]) -> bool:
    kind, name = thing["kind"], thing["metadata"]["name"]
    return claim_exists(view, name) if kind == "PersistentVolumeClaim" else f"{kind}/{name}" in view.observed.applied
