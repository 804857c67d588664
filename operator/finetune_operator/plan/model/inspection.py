"""The inspection of a model directory: Jobs are retried until one has verified or rejected it."""

from dataclasses import dataclass
from typing import Any

from finetune_api.exit_codes import ExitCode
from finetune_api.model_directory import PublishedCheckpoint, checkpoint_folder
from finetune_api.resources.common import ErrorStatus, PodSettings
from finetune_api.resources.finetuned_model import (
    ArtifactStatus,
    FineTunedModelSpec,
    FineTunedModelStatus,
    LineageStatus,
    MissingArtifactStatus,
    PublishedCheckpointStatus,
)
from finetune_api.result import InspectSummary
from finetune_operator.build.inspect_job import inspect_job_object
from finetune_operator.build.placement import beside_publish
from finetune_operator.objects.names import inspect_job
from finetune_operator.objects.records import BatchJob, Pod
from finetune_operator.plan.common.advice import with_advice
from finetune_operator.plan.common.blocked import job_blocker, refusal_blocker
from finetune_operator.plan.common.clock import LAG, POLL, SETTLING, backoff
from finetune_operator.plan.common.conditions import find, short
from finetune_operator.plan.common.models import evaluation_status, gate_text, score_text
from finetune_operator.plan.common.observed import ObservedModel, pods_of_job
from finetune_operator.plan.common.outcome import Outcome, error_status, outcome_of, stage_result
from finetune_operator.plan.common.plan import ObjectRef, job_ref

LISTED = 32
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Inspection:
    """Whether the model can be used, the reason, and what to do."""

    status: FineTunedModelStatus
    reason: str
    message: str
    ready: bool = False
    stalled: bool = False
    create: tuple[dict[str, Any], ...] = ()
    delete: tuple[ObjectRef, ...] = ()
    requeue_after: float | None = None


def inspect(observed: ObservedModel, spec: FineTunedModelSpec, now: float) -> Inspection:
    """Decides from the status, or else from the newest inspect Job."""
    status = observed.model.status
    leftovers = tuple(job_ref(batch) for batch in _jobs(observed) if not batch.meta.deleting)
    claim = spec.source.claim.name
    if observed.claim_absent:
        message = f"PersistentVolumeClaim {claim} does not exist: create it, or delete this model and name another claim"
        error = ErrorStatus(code="ClaimNotFound", message=message, param="spec.source.claim.name", object=f"PersistentVolumeClaim {claim}")
        return Inspection(_unverified(status, error), "ClaimNotFound", message, delete=leftovers, requeue_after=15.0)
    if status.size_bytes is not None:
        verified = status.model_copy(update={"error": None})
        return Inspection(verified, "Verified", "the model directory matches its MANIFEST.json", ready=True, delete=leftovers)
    rejected = find(status.conditions, "Stalled")
    if rejected and rejected.status == "True" and rejected.reason != "InvalidSpec":
        return Inspection(status, rejected.reason, rejected.message, stalled=True, delete=leftovers)
    if status.inspect_attempt == 0:
        return _inspecting(status.model_copy(update={"inspect_attempt": 1}))
    return _synced(observed, spec, now)


def _unverified(status: FineTunedModelStatus, error: ErrorStatus) -> FineTunedModelStatus:
    """The verified files are gone with their claim: a new claim with that name is inspected again, by a Job with a new name."""
    verified = status.size_bytes is not None
    again = {"size_bytes": None, "inspect_attempt": status.inspect_attempt + 1} if verified else {}
    return status.model_copy(update={"error": error, **again})


def with_summary(status: FineTunedModelStatus, summary: InspectSummary) -> FineTunedModelStatus:
    """The status with the contents of the manifest."""
    report = summary.evaluation
    return status.model_copy(
        update={
            "artifacts": [
                ArtifactStatus(format=a.format, precision=a.precision, path=a.path, size_bytes=a.size_bytes, sha256=a.sha256)
                for a in summary.artifacts[:16]
            ],
            "missing_artifacts": [
                MissingArtifactStatus(
                    format=missing.format,
                    precision=missing.precision,
                    checkpoint=missing.checkpoint,
                    reason=short(missing.reason, 128),
                    message=short(missing.message),
                )
                for missing in summary.missing_artifacts[:16]
            ],
            "step": summary.step,
            "checkpoints": [_checkpoint(found) for found in summary.checkpoints[:LISTED]],
            "checkpoints_text": short(", ".join(str(found.step) for found in summary.checkpoints), 256) or None,
            "size_bytes": summary.size_bytes,
            "size_text": size_text(summary.size_bytes),
            "score_text": short(score_text(report), 64) if report else None,
            "gate_text": gate_text(report) if report else None,
            "evaluation": evaluation_status(report) if report else None,
            "gate_passed": report.gate_passed if report else None,
            "lineage": LineageStatus(
                job=short(summary.job, 253) or None,
                spec_digest=summary.spec_digest[:80] or None,
                dataset_digest=summary.dataset_digest[:80] or None,
                manifest_sha256=summary.manifest_sha256[:80] or None,
            ),
            "error": None,
        }
    )


def _checkpoint(found: PublishedCheckpoint) -> PublishedCheckpointStatus:
    return PublishedCheckpointStatus(path=checkpoint_folder(found.step), **found.model_dump())


def size_text(size: int) -> str:
    """ "815 MiB"."""
    amount, unit = float(size), 0
    while amount >= 1024 and unit < len(UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f} {UNITS[unit]}" if 0 < amount < 10 and unit else f"{amount:.0f} {UNITS[unit]}"


def _inspecting(status: FineTunedModelStatus, create: tuple[dict[str, Any], ...] = ()) -> Inspection:
    return Inspection(status, "Inspecting", "the model directory is being verified", create=create, requeue_after=POLL)


def _jobs(observed: ObservedModel) -> tuple[BatchJob, ...]:
    return tuple(batch for batch in observed.jobs.values() if observed.model.meta.uid in batch.meta.owners)


def _synced(observed: ObservedModel, spec: FineTunedModelSpec, now: float) -> Inspection:
    meta, status = observed.model.meta, observed.model.status
    name = inspect_job(meta.name, status.inspect_attempt)
    batch = next((found for found in _jobs(observed) if found.meta.name == name), None)
    if batch is None:
        return _created(observed, spec, name)
    pods = pods_of_job(observed.pods, name, batch.meta.uid)
    if batch.complete or batch.terminated:
        if not all(pod.ended for pod in pods) and batch.finished is not None and now - batch.finished < LAG:
            return Inspection(status, "Inspecting", "the inspection has ended", requeue_after=2.0)
        return _ended(observed, batch, pods, now)
    blocker = job_blocker(batch, pods, observed.warnings, now)
    if blocker is None or now - batch.meta.created < SETTLING:
        return _inspecting(status.model_copy(update={"error": None}))
    message = with_advice(blocker.message, blocker.reason, "inspect")
    error = ErrorStatus(code=blocker.reason, message=short(message, 8192), object=blocker.object or None)
    return Inspection(status.model_copy(update={"error": error}), blocker.reason, message, requeue_after=POLL)


def _created(observed: ObservedModel, spec: FineTunedModelSpec, name: str) -> Inspection:
    """The number was read back from the status. A deleted Job is created again: it only reads."""
    status = observed.model.status
    if name in observed.jobs:
        message = f"Job {name} belongs to another object, possibly to an earlier model with this name that is being garbage-collected"
        return Inspection(status, "NameTaken", message, requeue_after=5.0)
    place = beside_publish(observed.maker.spec) if observed.maker and observed.maker.spec else PodSettings()
    job = inspect_job_object(observed.model.meta, spec.source.claim, status.inspect_attempt, observed.settings, place)
    refused = refusal_blocker(observed.refusal)
    if refused is None:
        return _inspecting(status, create=(job,))
    return Inspection(status, refused.reason, with_advice(refused.message, refused.reason, "inspect"), create=(job,), requeue_after=POLL)


def _ended(observed: ObservedModel, batch: BatchJob, pods: tuple[Pod, ...], now: float) -> Inspection:
    status = observed.model.status
    if batch.complete:
        result = stage_result("inspect", pods)
        if result and result.inspect:
            verified = with_summary(status, result.inspect)
            return Inspection(verified, "Verified", "the model directory matches its MANIFEST.json", ready=True)
        outcome = Outcome("ResultLost", "the result of the inspection was not observed", retryable=True, counts=True)
    else:
        outcome = outcome_of("inspect", batch, pods)
    failed = status.model_copy(update={"error": error_status(outcome)})
    if outcome.exit_code == ExitCode.INVALID_INPUT:
        return Inspection(failed, outcome.reason, outcome.message, stalled=True)
    left = backoff(status.inspect_attempt) - (now - (batch.finished or batch.meta.created))
    if left > 0:
        return Inspection(failed, outcome.reason, outcome.message, requeue_after=left)
    following = failed.model_copy(update={"inspect_attempt": status.inspect_attempt + 1})
    return Inspection(following, outcome.reason, outcome.message, delete=(job_ref(batch),), requeue_after=1.0)
