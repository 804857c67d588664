"""Records with what a test does not care about filled in. The clock of these tests starts at T."""

from typing import Any

from finetune_api.model_directory import Artifact, EvaluationReport, GateResult
from finetune_api.resources.common import Condition
from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_api.resources.finetuned_model import ArtifactStatus, FineTunedModelSpec, FineTunedModelStatus
from finetune_api.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus
from finetune_api.result import (
    DatasetSummary,
    Estimate,
    InspectSummary,
    PrepareSummary,
    PublishSummary,
    ResolvedParameter,
    Stage,
    StageError,
    StageResult,
    TrainSummary,
)
from finetune_operator.objects.records import BatchJob, Claim, FineTunedModel, FineTuneJob, Meta, ModelDeployment, Pod
from finetune_operator.plan.common.clock import rfc3339
from finetune_operator.settings import Settings

T = 1_800_000_000.0
NAMESPACE = "team"
SETTINGS = Settings(trainer_image="registry/trainer:1", server_images={"onnx": "registry/server:1"})
JOB_UID = "11111111-2222-3333-4444-555555555555"
SPEC: dict[str, Any] = {
    "base": {"source": "pvc://models/smol"},
    "dataset": {"train": {"source": "s3://bucket/train.jsonl", "credentials": {"secretRef": {"name": "s3"}}}},
}

REPORT = EvaluationReport(
    examples=8,
    tokens=100,
    base={"loss": 4.03, "perplexity": 56.3},
    tuned={"loss": 2.5, "perplexity": 12.2},
    gate=[GateResult(metric="loss", passed=True, text="loss 2.50 is better than the base's 4.03")],
)
PREPARED = PrepareSummary(
    dataset=DatasetSummary(train_examples=90, validation_examples=10, train_tokens=900, supervised_tokens=300, digest="d" * 64),
    hyperparameters={"learningRate": ResolvedParameter(value=0.0002, reason="usual for LoRA")},
    total_steps=500,
    estimate=Estimate(model_bytes=3 * 1024**3, workspace_bytes=9),
    base_digest="b" * 64,
    base_parameters=135_000_000,
)
INSPECTED = InspectSummary(
    task="chat",
    type="adapter",
    base="pvc://models/smol",
    artifacts=[Artifact(format="onnx", precision="fp32", path="onnx/fp32", size_bytes=7, sha256="a" * 64)],
    size_bytes=854_589_440,
    evaluation=REPORT,
    job="tune",
    spec_digest="c" * 64,
    dataset_digest="d" * 64,
    manifest_sha256="e" * 64,
)


def meta(name: str, uid: str = "", **more: Any) -> Meta:
    """uid is made up from the name, unless given."""
    return Meta(NAMESPACE, name, uid or f"uid-{name}", resource_version=1, **{"generation": 1, "created": T, **more})


def spec(**more: Any) -> FineTuneJobSpec:
    """A job from a claim's base model and rows in S3; `more` replaces whole sections."""
    return FineTuneJobSpec.model_validate({**SPEC, **more})


def job(status: FineTuneJobStatus | None = None, **more: Any) -> FineTuneJob:
    """FineTuneJob tune."""
    return FineTuneJob(meta("tune", JOB_UID), spec(**more), status or FineTuneJobStatus())


def result(stage: Stage, **more: Any) -> str:
    """A stage's termination message: success, unless `more` has an error."""
    summary: dict[Stage, dict[str, Any]] = {
        "prepare": {"prepare": PREPARED},
        "train": {"train": TrainSummary(steps=500, loss=2.4, tokens=1000, seconds=60)},
        "publish": {"publish": PublishSummary(evaluation=REPORT, size_bytes=9, manifest_sha256="e" * 64)},
        "inspect": {"inspect": INSPECTED},
    }
    return StageResult(stage=stage, **(more or summary[stage])).termination_message()


def failure(stage: Stage, code: str, message: str, exit_code: int, param: str | None = None) -> str:
    """The termination message of a stage that failed."""
    return result(stage, exit_code=exit_code, error=StageError(code=code, message=message, param=param))


def batch(name: str, owner: str = JOB_UID, **more: Any) -> BatchJob:
    """A batch Job that runs."""
    return BatchJob(meta(name, owners=frozenset({owner})), **{"started": T, **more})


def pod(name: str, job: str, **more: Any) -> Pod:
    """A pod of a batch Job that runs on node n1."""
    labels = {"batch.kubernetes.io/job-name": job}
    shape = {"phase": "Running", "node": "n1", "scheduled": True, "scheduled_at": T, "started": T, **more}
    return Pod(meta(name, labels=labels), **shape)


def ended_pod(name: str, job: str, code: int, message: str = "", **more: Any) -> Pod:
    """A pod whose container has ended."""
    return pod(name, job, phase="Failed" if code else "Succeeded", exit_code=code, exit_message=message, **more)


def condition(type_: str, status: str, reason: str = "Because", message: str = "", at: float = T) -> Condition:
    """A condition that has held since `at`."""
    return Condition.model_validate(
        {"type": type_, "status": status, "reason": reason, "message": message, "last_transition_time": rfc3339(at)}
    )


def model(name: str = "bot", **more: Any) -> FineTunedModel:
    """A FineTunedModel that is verified and has an ONNX artifact, unless `status` says otherwise."""
    status = FineTunedModelStatus(
        conditions=[condition("Ready", "True", "Verified")],
        artifacts=[ArtifactStatus(format="onnx", precision="fp32", path="onnx/fp32", size_bytes=7, sha256="a" * 64)],
        size_bytes=7,
    )
    content = {"type": "adapter", "base": {"source": "pvc://models/smol"}, "source": {"claim": {"name": f"{name}-model"}}}
    status = more.pop("status", status)
    return FineTunedModel(meta(name, **more), FineTunedModelSpec.model_validate(content), status)


def deployment(status: ModelDeploymentStatus | None = None, **more: Any) -> ModelDeployment:
    """ModelDeployment web of model bot."""
    content = ModelDeploymentSpec.model_validate({"model": {"name": "bot"}, **more})
    return ModelDeployment(meta("web"), content, status or ModelDeploymentStatus())


def claim(name: str, mode: str = "ReadWriteOnce", **more: Any) -> Claim:
    """A bound claim."""
    return Claim(meta(name, **more), "Bound", (mode,))
