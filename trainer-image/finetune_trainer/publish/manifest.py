"""MANIFEST.json of a finished draft: what every file is, and where the model comes from."""

import importlib.metadata
import json
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from finetune_api.model_directory import (
    CHECKPOINTS_FOLDER,
    Artifact,
    EvaluationReport,
    File,
    Lineage,
    Manifest,
    MissingArtifact,
    ModelDescription,
    PublishedCheckpoint,
    SkewCheck,
    files_digest,
    is_inside,
)
from finetune_trainer.artifacts import ARTIFACTS
from finetune_trainer.artifacts.exporter import Exporter
from finetune_trainer.methods import method_of
from finetune_trainer.objectives import objective_of
from finetune_trainer.stage import interruption
from finetune_trainer.tasks import find_task
from finetune_trainer.trained import TrainedRun
from finetune_trainer.workspace.files import sha256_of, walk

PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "bitsandbytes",
    "tokenizers",
    "safetensors",
    "onnx",
    "onnxruntime",
    "onnxruntime-genai",
)


def describe_model(
    run: TrainedRun,
    step: int,
    files: Path,
    evaluation: EvaluationReport,
    missing: Sequence[MissingArtifact],
    skew: SkewCheck,
    checkpoints: Sequence[PublishedCheckpoint] = (),
) -> ModelDescription:
    """What there is to say of the model of this step whose artifacts lie below `files`; reads every byte of them once."""
    return ModelDescription(
        model=run.config.output_model,
        created_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        task=run.config.task,
        type=method_of(run.config).published,
        labels=run.prepared.labels,
        multi_label=run.prepared.multi_label,
        step=step,
        artifacts=[describe_artifact(files, artifact) for artifact in ARTIFACTS.values() if (files / artifact.folder).exists()],
        missing_artifacts=list(missing),
        checkpoints=list(checkpoints),
        evaluation=evaluation,
        skew_check=skew,
        lineage=make_lineage(run),
    )


def make_manifest(description: ModelDescription, files: Path) -> Manifest:
    """The manifest, when every other file is written. Checkpoints have manifests of their own."""
    described = {file.path for artifact in description.artifacts for file in artifact.files}
    names = {path.relative_to(files).as_posix(): path for path in walk(files)}
    others = [path for name, path in names.items() if name not in described and not is_inside(name, CHECKPOINTS_FOLDER)]
    return Manifest(**dict(description), other_files=describe_files(files, others))


def stored_precision(folder: Path) -> str:
    """Precision of the tensors in a folder's safetensors, from the first one's header: bf16, fp32, ..."""
    with open(next(iter(sorted(folder.glob("*.safetensors")))), "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    dtype: str = next(tensor["dtype"] for name, tensor in header.items() if name != "__metadata__")
    return {"F32": "fp32", "BF16": "bf16", "F16": "fp16"}.get(dtype, dtype.lower())


def describe_artifact(files: Path, artifact: Exporter) -> Artifact:
    """One artifact with the checksums of its files."""
    folder = files / artifact.folder
    described = describe_files(files, walk(folder))
    return Artifact(
        format=artifact.name,
        precision=artifact.precision or stored_precision(folder),
        path=artifact.folder,
        size_bytes=sum(file.size_bytes for file in described),
        sha256=files_digest(described),
        files=described,
    )


def describe_files(files: Path, paths: Iterable[Path]) -> list[File]:
    """Size and sha256 of files, their paths relative to `files`: takes as long as reading them."""
    return [
        File(path=path.relative_to(files).as_posix(), size_bytes=path.stat().st_size, sha256=sha256_of(path, interruption.check))
        for path in paths
    ]


def make_lineage(run: TrainedRun) -> Lineage:
    """Where the model comes from: job, base, data, settings, versions."""
    config, summary = run.config, run.prepared.summary
    return Lineage(
        job=config.job.name,
        namespace=config.job.namespace,
        job_uid=config.job.uid,
        spec_digest=config.job.spec_digest,
        base=config.base.source.name,
        base_digest=summary.base_digest,
        base_model=config.base.fine_tuned_model,
        dataset=config.dataset.train.name,
        dataset_digest=summary.dataset.digest,
        image=config.image,
        hyperparameters=settings(run),
        versions=versions(),
    )


def settings(run: TrainedRun) -> dict[str, float | int | str | bool]:
    """What was decided for the training, and what it learned from."""
    method, objective = run.config.method, objective_of(run.config)
    values = run.prepared.settings() | {"objective": objective.name} | objective.settings(method)
    language = find_task(run.config.task).learner == "language"
    return values if not language or objective.compares else values | {"lossOn": method.loss_on}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that computed the model."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        found[package] = importlib.metadata.version(package)
    return found
