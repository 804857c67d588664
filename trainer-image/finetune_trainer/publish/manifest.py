"""MANIFEST.json of a finished draft: what every file is, and where the model comes from."""

import importlib.metadata
import json
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from finetune_api.model_directory import (
    Artifact,
    ArtifactFormat,
    EvaluationReport,
    File,
    Lineage,
    Manifest,
    MissingArtifact,
    SkewCheck,
    files_digest,
)
from finetune_trainer import interruption
from finetune_trainer.files import sha256_of, walk
from finetune_trainer.methods import method_of
from finetune_trainer.publish.inputs import Inputs

PACKAGES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors", "onnx", "onnxruntime", "onnxruntime-genai")


def make_manifest(inputs: Inputs, files: Path, evaluation: EvaluationReport, missing: list[MissingArtifact], skew: SkewCheck) -> Manifest:
    """The manifest of everything below `files`; reads every byte once."""
    artifacts = [artifact(files, fmt, precision, folder) for fmt, precision, folder in artifact_folders(files)]
    others = [path for path in walk(files) if path.parent == files]
    return Manifest(
        model=inputs.config.output_model,
        created_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        task=inputs.config.task,
        type=method_of(inputs.config).published,
        labels=inputs.prepared.labels,
        multi_label=inputs.prepared.multi_label,
        artifacts=artifacts,
        missing_artifacts=missing,
        other_files=describe(files, others),
        evaluation=evaluation,
        skew_check=skew,
        lineage=make_lineage(inputs),
    )


def add_other_file(manifest: Manifest, files: Path, name: str) -> Manifest:
    """The manifest with one more file of the top folder: the card shows the manifest, so it is written after it."""
    return manifest.model_copy(update={"other_files": [*manifest.other_files, *describe(files, [files / name])]})


def artifact_folders(files: Path) -> list[tuple[ArtifactFormat, str, Path]]:
    """Format, precision and folder of what there is to load."""
    found: list[tuple[ArtifactFormat, str, Path]] = [("safetensors", stored_precision(files / "model"), files / "model")]
    if (files / "adapter").exists():
        found.append(("adapter", stored_precision(files / "adapter"), files / "adapter"))
    found += [("onnx", folder.name, folder) for folder in sorted((files / "onnx").glob("*"))]
    return found


def stored_precision(folder: Path) -> str:
    """Precision of the tensors in a folder's safetensors, from the first one's header: bf16, fp32, ..."""
    with open(next(iter(sorted(folder.glob("*.safetensors")))), "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    dtype: str = next(tensor["dtype"] for name, tensor in header.items() if name != "__metadata__")
    return {"F32": "fp32", "BF16": "bf16", "F16": "fp16"}.get(dtype, dtype.lower())


def artifact(files: Path, fmt: ArtifactFormat, precision: str, folder: Path) -> Artifact:
    """One artifact with the checksums of its files."""
    described = describe(files, walk(folder))
    return Artifact(
        format=fmt,
        precision=precision,
        path=folder.relative_to(files).as_posix(),
        size_bytes=sum(file.size_bytes for file in described),
        sha256=files_digest(described),
        files=described,
    )


def describe(files: Path, paths: Iterable[Path]) -> list[File]:
    """Size and sha256 of files, their paths relative to `files`."""
    return [describe_file(files, path) for path in paths]


def describe_file(files: Path, path: Path) -> File:
    """One of them: each takes as long as reading it does."""
    return File(path=path.relative_to(files).as_posix(), size_bytes=path.stat().st_size, sha256=sha256_of(path, interruption.check))


def make_lineage(inputs: Inputs) -> Lineage:
    """Where the model comes from: job, base, data, settings, versions."""
    config, summary = inputs.config, inputs.prepared.summary
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
        hyperparameters=settings(inputs),
        versions=versions(),
    )


def settings(inputs: Inputs) -> dict[str, float | int | str | bool]:
    """Every resolved hyper-parameter, the method's included, by its name in the spec."""
    prepared, method = inputs.prepared, inputs.config.method
    values = dict(prepared.hyperparameters.model_dump(by_alias=True)) | {"method": method.type}
    if not prepared.labels:
        values["lossOn"] = method.loss_on
    if (lora := prepared.lora) is not None:
        values |= {"loraRank": lora.rank, "loraAlpha": lora.alpha, "loraDropout": lora.dropout}
        values["loraTargetModules"] = ",".join(lora.target_modules)
    return values


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that computed the model."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        found[package] = importlib.metadata.version(package)
    return found
