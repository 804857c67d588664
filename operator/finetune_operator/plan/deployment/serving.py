"""Whether a model can be served as requested, and what a rollout is pinned to."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from finetune_api.engines import ENGINES, EngineFacts
from finetune_api.model_directory import checkpoint_folder
from finetune_api.resources.finetuned_model import ClaimSource, MissingArtifactStatus
from finetune_api.resources.model_deployment import ModelDeploymentSpec, Revision, Serving
from finetune_operator.build.server import Reach
from finetune_operator.objects.names import CHECKPOINT_LABEL, MODEL_LABEL, MODEL_UID_LABEL
from finetune_operator.objects.records import Claim, FineTunedModel, Pod
from finetune_operator.plan.common.conditions import holds
from finetune_operator.plan.common.models import ready_message
from finetune_operator.plan.common.observed import ObservedDeployment
from finetune_operator.plan.common.overrides import OVERRIDE_FORBIDDEN, forbidden_field, forbidden_text

LISTED = 16


@dataclass(frozen=True, slots=True)
class NotServable:
    """Why nothing is rolled out. Running pods keep running."""

    reason: str
    message: str
    object: str = ""
    param: str = ""
    stalled: bool = True
    """False when waiting may resolve it."""


@dataclass(frozen=True, slots=True)
class Servable:
    """A model that can be served, with its claim, and the model directory on it: that of the model, or that of a checkpoint."""

    model: FineTunedModel
    source: ClaimSource
    claim: Claim


def servable(observed: ObservedDeployment, spec: ModelDeploymentSpec) -> Servable | NotServable:
    """The first problem, or the model."""
    if observed.foreign:
        kind, _, name = observed.foreign.partition("/")
        message = f"{kind} {name} belongs to another owner: delete it, or give the ModelDeployment another name"
        # Often that of a deleted ModelDeployment with the same name, which is about to be garbage-collected.
        return NotServable("NameTaken", message, f"{kind} {name}", stalled=False)
    field = forbidden_field({"pod": spec.pod}, observed.settings)
    if field:
        mine = f"ModelDeployment {observed.deployment.meta.name}"
        return NotServable(OVERRIDE_FORBIDDEN, f"{mine} sets {forbidden_text(field)}", mine, field)
    name, model, claim = spec.model.name, observed.model, observed.model_claim
    about = f"FineTunedModel {name}"
    if model is None:
        return NotServable("ModelNotFound", f"{about} does not exist in this namespace", about, "model.name", stalled=False)
    if model.meta.deleting:
        return NotServable("ModelTerminating", f"{about} is being deleted", about, "model.name", stalled=False)
    pinned = observed.deployment.status.revision
    if pinned and pinned.model == name and pinned.model_uid != model.meta.uid:
        message = f"{about} was deleted and recreated, so it is not the model that was rolled out: delete and recreate the deployment"
        return NotServable("ModelReplaced", message, about, "model.name")
    if model.spec is None or not holds(model.status.conditions, "Ready"):
        stalled = holds(model.status.conditions, "Stalled")
        return NotServable("ModelNotReady", f"{about} is not ready: {ready_message(model)}", about, "model.name", stalled=stalled)
    wrong = _unsuitable(model, spec)
    if wrong:
        return wrong
    if claim is None:
        volume = f"PersistentVolumeClaim {model.spec.source.claim.name}"
        return NotServable("ClaimNotFound", f"{volume} of {about} does not exist", volume, stalled=False)
    if spec.replicas > 1 and reach(claim) == "one-pod":
        return _not_shared(spec.replicas, claim)
    return Servable(model, _directory(model.spec.source.claim, served_checkpoint(model, spec)), claim)


def served_checkpoint(model: FineTunedModel | None, spec: ModelDeploymentSpec) -> int | None:
    """The step of the checkpoint that is asked for; None for the model itself, also if it is named by its step."""
    step = spec.model.checkpoint
    return None if model is not None and step == model.status.step else step


def _directory(claim: ClaimSource, checkpoint: int | None) -> ClaimSource:
    if checkpoint is None:
        return claim
    return claim.model_copy(update={"path": f"{claim.path.strip('/')}/{checkpoint_folder(checkpoint)}".lstrip("/")})


def reach(claim: Claim) -> Reach:
    """Where pods that mount the claim may run, relative to each other."""
    modes = set(claim.access_modes)
    if modes & {"ReadWriteMany", "ReadOnlyMany"}:
        return "many-nodes"
    return "one-pod" if modes == {"ReadWriteOncePod"} else "one-node"


def answering(pods: Iterable[Pod]) -> str:
    """Text of the column: the models that requests reach now. A terminating pod gets no more requests."""
    reached = (pod.meta.labels for pod in pods if pod.ready and not pod.meta.deleting)
    return ", ".join(sorted({_name(labels) for labels in reached if MODEL_LABEL in labels}))


def _name(labels: Mapping[str, str]) -> str:
    """ "bot-v1", "bot-v1:step-40"."""
    return labels[MODEL_LABEL] + (f":step-{labels[CHECKPOINT_LABEL]}" if CHECKPOINT_LABEL in labels else "")


def target_revision(observed: ObservedDeployment, spec: ModelDeploymentSpec, model: FineTunedModel) -> Revision:
    """What the rollout is pinned to. The image changes only with the model or the spec, not with an upgrade of the operator."""
    digest, pinned = template_digest(spec), observed.deployment.status.revision
    if pinned and pinned.model_uid == model.meta.uid and pinned.spec_digest in (digest, _first_digest(spec)):
        return pinned
    image = spec.pod.image or observed.settings.server_images[spec.engine]
    generation = observed.deployment.meta.generation
    return Revision(model=model.meta.name, model_uid=model.meta.uid, image=image, spec_generation=generation, spec_digest=digest)


def template_digest(spec: ModelDeploymentSpec) -> str:
    """sha256 of the fields that the pods depend on. Scaling does not change it, nor does a new field with a default in a later version."""
    independent = {"replicas", "progress_deadline", "allow_ungated"}
    return _sha256(spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True, exclude=independent))


def _first_digest(spec: ModelDeploymentSpec) -> str:
    """The digest of the first version, which included defaults: its rollouts are still recognized."""
    later = {"replicas", "progress_deadline", *(() if "drain_timeout" in _changed_fields(spec) else ("drain_timeout",))}
    return _sha256(spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=later))


def _changed_fields(spec: ModelDeploymentSpec) -> set[str]:
    """Names of the fields that differ from their default."""
    return set(spec.model_dump(exclude_defaults=True))


def revision_digest(revision: Revision) -> str:
    """Identifies a rollout on its Deployment; 16 characters."""
    return _sha256(revision.to_dict())[:16]


def serving(observed: ObservedDeployment, target: Revision | None) -> list[Serving]:
    """The models that running pods mount, and the one that the next pods will mount: for the delete guard."""
    labels = (pod.meta.labels for pod in observed.pods if not pod.ended)
    found = {(mine[MODEL_LABEL], mine[MODEL_UID_LABEL]) for mine in labels if MODEL_LABEL in mine and MODEL_UID_LABEL in mine}
    if target:
        found.add((target.model, target.model_uid))
    return [Serving(model=model, uid=uid) for model, uid in sorted(found)][:LISTED]


def _unsuitable(model: FineTunedModel, spec: ModelDeploymentSpec) -> NotServable | None:
    name, status, engine = model.meta.name, model.status, ENGINES[spec.engine]
    about = f"FineTunedModel {name}"
    step = served_checkpoint(model, spec)
    checkpoint = next((found for found in status.checkpoints if found.step == step), None)
    if step is not None and checkpoint is None:
        return NotServable("CheckpointNotFound", _no_checkpoint(model, step), about, "model.checkpoint")
    if not any(a.format == engine.artifact and a.precision == spec.precision for a in status.artifacts):
        return NotServable("ArtifactMissing", _artifact_missing(model, engine, spec.precision), about, "engine")
    if checkpoint and f"{engine.artifact} {spec.precision}" in (checkpoint.lacking or ()):
        failed = _failed_export(model, engine, spec.precision, step)
        why = f"{failed.reason}: {failed.message}" if failed else f"MANIFEST.json in {checkpoint.path} says why"
        message = f"checkpoint {step} of {about} has no {engine.artifact} artifact of precision {spec.precision}: {why}"
        return NotServable("ArtifactMissing", message, about, "model.checkpoint")
    if checkpoint and not checkpoint.gate_passed and not spec.allow_ungated:
        message = f"checkpoint {step} of {about} did not pass the evaluation gate: serve another one, or set allowUngated"
        return NotServable("GateFailed", message, about, "allowUngated")
    if checkpoint is None and status.gate_passed is False and not spec.allow_ungated:
        gate = "; ".join(status.evaluation.gate) if status.evaluation else ""
        message = f"{about} did not pass its evaluation gate ({gate}): train a better model, or set allowUngated"
        return NotServable("GateFailed", message, about, "allowUngated")
    return None


def _artifact_missing(model: FineTunedModel, engine: EngineFacts, precision: str) -> str:
    """Why there is no artifact for the engine, and the next step."""
    status = model.status
    have = ", ".join(f"{a.format} {a.precision}" for a in status.artifacts) or "nothing"
    text = f"FineTunedModel {model.meta.name} has no {engine.artifact} artifact of precision {precision} (it has {have})"
    if failed := _failed_export(model, engine, precision, None):
        return f"{text}, because its export failed: {failed.reason}: {failed.message}"
    return f"{text}: train with {engine.needs}"


def _failed_export(model: FineTunedModel, engine: EngineFacts, precision: str, step: int | None) -> MissingArtifactStatus | None:
    """Of the model, or of its checkpoint of that step."""
    wanted = (engine.artifact, precision, step)
    return next((m for m in model.status.missing_artifacts if (m.format, m.precision, m.checkpoint) == wanted), None)


def _no_checkpoint(model: FineTunedModel, step: int) -> str:
    """What there is instead, or why there is none."""
    status = model.status
    text = f"FineTunedModel {model.meta.name} has no checkpoint of step {step}"
    lost = next((m for m in status.missing_artifacts if (m.format, m.checkpoint) == ("safetensors", step)), None)
    if lost:
        return f"{text}: {lost.reason}: {lost.message}"
    steps = ", ".join(str(found.step) for found in status.checkpoints)
    left_out = [m for m in status.missing_artifacts if m.format == "safetensors" and m.checkpoint is not None]
    if not steps and left_out:
        return f"{text}: its checkpoints could not be published: {left_out[0].reason}: {left_out[0].message}"
    if not steps:
        return f"{text}: it was published without checkpoints; train with checkpoints.publish, or leave model.checkpoint out"
    own = f", and the model itself is of step {status.step}" if status.step else ""
    return f"{text}: it has the steps {steps}{own}"


def _not_shared(replicas: int, claim: Claim) -> NotServable:
    modes, volume = ", ".join(claim.access_modes), f"PersistentVolumeClaim {claim.meta.name}"
    message = (
        f"{replicas} replicas require a volume that several pods can mount, and {volume} is {modes}: set replicas to 1, "
        "or train with output.storage.accessMode ReadWriteOnce (several pods on one node) or ReadWriteMany"
    )
    return NotServable("VolumeNotShared", message, volume, "replicas")


def _sha256(value: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
