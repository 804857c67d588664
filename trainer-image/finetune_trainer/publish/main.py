"""The publish stage: from trained weights to a model directory with measured scores, proven exports and a manifest.

At most one model is in memory at a time. Scores are computed in the training's precision (what will be served), on a GPU
where there is one; the exports are compared with PyTorch in fp32 on the CPU, from the weights as they were written.
"""

import contextlib
import os
import shutil
from pathlib import Path

from finetune_api.model_directory import MANIFEST_FILE, EvaluationReport, Manifest, MissingArtifact
from finetune_api.result import PublishSummary, StageResult, StageWarning
from finetune_api.run_config import RunConfig
from finetune_trainer.artifacts import wanted_artifacts
from finetune_trainer.artifacts.exporter import ExportJob
from finetune_trainer.distributed.settings import library_settings
from finetune_trainer.evaluation.skew_check import check_skew
from finetune_trainer.objectives import objective_of
from finetune_trainer.publish.calls import prompting_of
from finetune_trainer.publish.card import model_card
from finetune_trainer.publish.draft import Draft, Identity
from finetune_trainer.publish.exports import export_all
from finetune_trainer.publish.manifest import describe_model, make_manifest
from finetune_trainer.publish.space import check_publish_space, storage_full_names
from finetune_trainer.stage.cores import thread_settings
from finetune_trainer.stage.phases import Phases
from finetune_trainer.trackers import TRACKERS
from finetune_trainer.trackers.outcome import outcome_of, show
from finetune_trainer.trackers.tracker import tracked_run
from finetune_trainer.trained import TrainedRun, read_trained_run
from finetune_trainer.workspace.files import sha256_of, write_atomic
from finetune_trainer.workspace.requests import read_requests


def publish(config: RunConfig, attempt: int) -> StageResult:
    """Writes `config.paths.model`, or repeats what an earlier attempt wrote there."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1"}
    os.environ |= thread_settings(os.environ) | library_settings(os.environ)
    run = read_trained_run(config)
    root = Path(config.paths.model)
    summary = run.prepared.summary
    draft = Draft(root, Identity(config.job.spec_digest, summary.base_digest, summary.dataset.digest))
    warnings: list[StageWarning] = []
    manifest = draft.finished()
    if manifest is None:
        with storage_full_names(root):
            manifest, warnings = make_model(run, draft)
    return result(config, attempt, root, manifest, warnings)


def make_model(run: TrainedRun, draft: Draft) -> tuple[Manifest, list[StageWarning]]:
    """All of the work: measure, write and prove the artifacts, describe them, move them into place. Also what the trackers have not got."""
    required = [artifact for artifact in wanted_artifacts(run.config) if artifact.required]
    draft.root.mkdir(parents=True, exist_ok=True)
    draft.begin()
    check_publish_space(required, run, draft.root, "the model needs")
    from finetune_trainer.evaluation.measure import measure
    from finetune_trainer.learners import learner_of  # torch: after everything that fails quickly

    phases, learner = Phases(), learner_of(run.config, run.prepared, run.workspace)
    report, tuned = measure(run, learner, phases)
    exported = export_all(ExportJob(run, learner, tuned, draft.files, draft.scratch, phases), draft)
    with phases.phase("writing the manifest"):
        report = report.model_copy(update={"parity": exported.parity})
        manifest, warnings = describe(run, draft.files, report, exported.missing)
        draft.commit(manifest)
    return manifest, warnings


def describe(run: TrainedRun, files: Path, report: EvaluationReport, missing: list[MissingArtifact]) -> tuple[Manifest, list[StageWarning]]:
    """Adds curves, data report and card, then the manifest of all. Also what the trackers have not got."""
    for source in (run.workspace.metrics, run.workspace.report):
        if source.exists():
            shutil.copyfile(source, files / source.name)
    skew = check_skew(files / "model", read_requests(run.workspace.requests), run.prepared.hyperparameters.max_sequence_length)
    print(skew.difference or f"{skew.equal} of {skew.prompts} validation prompts have the same tokens as in training", flush=True)
    description = describe_model(run, files, report, missing, skew)
    outcome = outcome_of(description, "model", last_step(run))
    objective = objective_of(run.config).settings(run.config.method)
    warnings = show(TRACKERS.values(), tracked_run(run.config, run.prepared, run.workspace, objective), outcome)
    if run.workspace.runs.exists():
        shutil.copytree(run.workspace.runs, files / "runs", copy_function=shutil.copyfile)
    reported = (files / run.workspace.report.name).exists()
    card = model_card(description, run.prepared, prompting_of(run.config, files / "model"), reported=reported)
    write_atomic(files / "README.md", card)
    return make_manifest(description, files), warnings


def last_step(run: TrainedRun) -> int:
    """Of the training, which may have stopped early."""
    with contextlib.suppress(OSError, ValueError):
        if (trained := StageResult.from_json(run.workspace.result("train").read_bytes()).train) is not None:
            return trained.steps
    return run.prepared.hyperparameters.total_steps


def result(config: RunConfig, attempt: int, root: Path, manifest: Manifest, warnings: list[StageWarning]) -> StageResult:
    """The stage's result, the same but for warnings whether the manifest was written now or by an earlier attempt."""
    assert manifest.evaluation is not None, "publish always evaluates"
    files = [*manifest.other_files, *(file for artifact in manifest.artifacts for file in artifact.files)]
    summary = PublishSummary(
        evaluation=manifest.evaluation,
        size_bytes=sum(file.size_bytes for file in files),
        manifest_sha256=sha256_of(root / MANIFEST_FILE),
        missing_artifacts=manifest.missing_artifacts,
        skew_check=manifest.skew_check,
        warnings=warnings,
    )
    return StageResult(stage="publish", spec_digest=config.job.spec_digest, attempt=attempt, publish=summary)
