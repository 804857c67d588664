"""The publish stage: from trained weights to a model directory with measured scores, proven exports and a manifest.

At most one model is in memory at a time. Scores are computed in the training's precision (what will be served), on a GPU
where there is one; the export's parity in fp32 on the CPU, from the weights as they were written.
"""

import os
import shutil
from pathlib import Path

from finetune_api.model_directory import MANIFEST_FILE, EvaluationReport, Manifest, MissingArtifact, Parity
from finetune_api.result import PublishSummary, StageResult
from finetune_api.run_config import RunConfig
from finetune_text.tokenizer_files import TEMPLATE_FILE
from finetune_trainer.cores import thread_settings
from finetune_trainer.distributed.settings import library_settings
from finetune_trainer.evaluation.skew_check import check_skew
from finetune_trainer.files import sha256_of, write_atomic
from finetune_trainer.publish.calls import Prompting
from finetune_trainer.publish.card import model_card
from finetune_trainer.publish.draft import Draft, Identity
from finetune_trainer.publish.inputs import Inputs, read_inputs
from finetune_trainer.publish.manifest import add_other_file, make_manifest
from finetune_trainer.publish.phases import Phases
from finetune_trainer.publish.space import check_space, storage_full_names
from finetune_trainer.requests import read_requests


def publish(config: RunConfig, attempt: int) -> StageResult:
    """Writes `config.paths.model`, or repeats what an earlier attempt wrote there."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1"}
    os.environ |= thread_settings(os.environ) | library_settings(os.environ)
    inputs = read_inputs(config)
    root = Path(config.paths.model)
    summary = inputs.prepared.summary
    draft = Draft(root, Identity(config.job.spec_digest, summary.base_digest, summary.dataset.digest))
    manifest = draft.finished()
    if manifest is None:
        with storage_full_names(root):
            manifest = make_model(inputs, draft)
    return result(config, attempt, root, manifest)


def make_model(inputs: Inputs, draft: Draft) -> Manifest:
    """All of the work: measure, write, export, prove, describe, move into place."""
    draft.root.mkdir(parents=True, exist_ok=True)
    draft.begin()
    check_space(inputs, draft.root)
    from finetune_trainer.artefacts.export import export_onnx
    from finetune_trainer.evaluation.measure import measure_and_write  # torch: after everything that fails quickly
    from finetune_trainer.publish.kind import kind_of

    phases, kind = Phases(), kind_of(inputs)
    report = measure_and_write(inputs, kind, draft.files, phases)
    exported = export_onnx(inputs, kind, draft, phases)
    if isinstance(exported, Parity):
        report = report.model_copy(update={"parity": [exported]})
    with phases.phase("writing the manifest"):
        return describe_and_commit(inputs, draft, report, [exported] if isinstance(exported, MissingArtifact) else [])


def describe_and_commit(inputs: Inputs, draft: Draft, report: EvaluationReport, missing: list[MissingArtifact]) -> Manifest:
    """Adds curve, data report and card, then the manifest of all."""
    for source in (inputs.workspace.metrics, inputs.workspace.report):
        if source.exists():
            shutil.copyfile(source, draft.files / source.name)
    length = inputs.prepared.hyperparameters.max_sequence_length
    skew = check_skew(draft.files / "model", read_requests(inputs.workspace.requests), length)
    print(skew.difference or f"{skew.equal} of {skew.prompts} validation prompts have the same tokens as in training", flush=True)
    manifest = make_manifest(inputs, draft.files, report, missing, skew)
    write_atomic(draft.files / "README.md", model_card(manifest, inputs.prepared, prompting(inputs, draft)))
    manifest = add_other_file(manifest, draft.files, "README.md")
    draft.commit(manifest)
    return manifest


def prompting(inputs: Inputs, draft: Draft) -> Prompting:
    """How the rows spoke to the model."""
    template = inputs.config.dataset.train.template
    return Prompting(chat=(draft.files / "model" / TEMPLATE_FILE).exists(), template=template.prompt if template else None)


def result(config: RunConfig, attempt: int, root: Path, manifest: Manifest) -> StageResult:
    """The stage's result, the same whether the manifest was written now or by an earlier attempt."""
    assert manifest.evaluation is not None, "publish always evaluates"
    files = [*manifest.other_files, *(file for artifact in manifest.artifacts for file in artifact.files)]
    summary = PublishSummary(
        evaluation=manifest.evaluation,
        size_bytes=sum(file.size_bytes for file in files),
        manifest_sha256=sha256_of(root / MANIFEST_FILE),
        missing_artifacts=manifest.missing_artifacts,
        skew_check=manifest.skew_check,
    )
    return StageResult(stage="publish", spec_digest=config.job.spec_digest, attempt=attempt, publish=summary)
