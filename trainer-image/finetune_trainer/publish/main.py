"""The publish stage: from trained weights to a model directory with measured scores, proven exports and a manifest.

At most one model is in memory at a time. Scores are computed in the training's precision (what will be served), on a GPU
where there is one; the exports are compared with PyTorch in fp32 on the CPU, from the weights as they were written.
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from finetune_api.model_directory import MANIFEST_FILE, EvaluationReport, Manifest, PublishedCheckpoint
from finetune_api.result import PublishSummary, StageResult, StageWarning, TrainSummary
from finetune_api.run_config import RunConfig
from finetune_trainer.artifacts import wanted_artifacts
from finetune_trainer.artifacts.exporter import Exporter, ExportJob
from finetune_trainer.checkpoint_store import open_checkpoint_store
from finetune_trainer.distributed.settings import library_settings, loading_libraries
from finetune_trainer.failure import StageFailure
from finetune_trainer.objectives import objective_of
from finetune_trainer.publish.describe import describe, write_card
from finetune_trainer.publish.draft import Draft, Identity
from finetune_trainer.publish.exports import Exported, export_all
from finetune_trainer.publish.manifest import make_manifest
from finetune_trainer.publish.space import check_publish_space, storage_full_names
from finetune_trainer.stage.cores import thread_settings
from finetune_trainer.stage.phases import Phases
from finetune_trainer.trackers import TRACKERS
from finetune_trainer.trackers.outcome import outcome_of, show
from finetune_trainer.trackers.tracker import tracked_run
from finetune_trainer.trained import TrainedRun, read_trained_run
from finetune_trainer.workspace.files import sha256_of

if TYPE_CHECKING:
    from finetune_trainer.learner import Learner
    from finetune_trainer.statistics.statistic import Measured

REMOVAL_SECONDS = 60.0
"""For all copies of a job's checkpoints."""


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
    warnings = [*warnings, *copies_removed(config)]
    return result(config, attempt, root, manifest, warnings)


def copies_removed(config: RunConfig) -> list[StageWarning]:
    """The model is there: what its training would have resumed from is of no use any more."""
    if (settings := config.checkpoints.store) is None:
        return []
    try:
        open_checkpoint_store(config, settings).remove_all(REMOVAL_SECONDS)
    except (StageFailure, OSError) as exc:
        return [StageWarning(code="CheckpointCopiesLeft", message=f"copies of checkpoints are left in {settings.uri}: {exc}"[:500])]
    return []


def make_model(run: TrainedRun, draft: Draft) -> tuple[Manifest, list[StageWarning]]:
    """All of the work: measure, write and prove the artifacts, describe them, move them into place. Also what the trackers have not got."""
    artifacts, trained = wanted_artifacts(run.config), training_of(run)
    step = trained.published_step or trained.steps
    draft.root.mkdir(parents=True, exist_ok=True)
    draft.begin()
    check_publish_space([artifact for artifact in artifacts if artifact.required], run, draft.root, "the model needs")
    with loading_libraries():
        from finetune_trainer.learners import learner_of  # torch: after everything that fails quickly

    learner = learner_of(run.config, run.prepared, run.workspace)
    report, base, exported = measured_and_exported(run, learner, draft, artifacts)
    checkpoints: list[PublishedCheckpoint] = []
    if run.config.checkpoints.publish:
        from finetune_trainer.publish.checkpoints import publish_checkpoints

        written = [artifact for artifact in artifacts if artifact.name not in {missing.format for missing in exported.missing}]
        figures = {checkpoint.step: checkpoint for checkpoint in trained.checkpoints}
        checkpoints, missing = publish_checkpoints(run, step, figures, learner, base, draft, written)
        exported.missing.extend(missing)
    with Phases().phase("writing the manifest"):
        copy_records(run, draft.files, "metrics.csv", "report.json")
        description = describe(run, step, draft.files, report, exported.missing, checkpoints)
        objective = objective_of(run.config).settings(run.config.method)
        tracked = tracked_run(run.config, run.prepared, run.workspace, objective)
        warnings = show(TRACKERS.values(), tracked, outcome_of(description, "model", trained.steps))
        copy_records(run, draft.files, "runs")  # with what was shown now
        write_card(run, description, draft.files)
        manifest = make_manifest(description, draft.files)
        draft.commit(manifest)
    return manifest, warnings


def measured_and_exported(
    run: TrainedRun, learner: "Learner", draft: Draft, artifacts: list[Exporter]
) -> tuple[EvaluationReport, "Measured", Exported]:
    """The model itself; it is no longer in memory when this returns."""
    from finetune_trainer.evaluation.measure import measure

    phases = Phases()
    report, base, tuned = measure(run, learner, phases)
    exported = export_all(ExportJob(run, learner, tuned, draft.files, draft.scratch, phases), draft, artifacts)
    return report.model_copy(update={"parity": exported.parity}), base, exported


def copy_records(run: TrainedRun, files: Path, *names: str) -> None:
    """Files and folders of the workspace that the model keeps, as far as they exist."""
    for source in (run.workspace.root / name for name in names):
        if source.is_dir():
            shutil.copytree(source, files / source.name, copy_function=shutil.copyfile)
        elif source.exists():
            shutil.copyfile(source, files / source.name)


def training_of(run: TrainedRun) -> TrainSummary:
    """What the training came to; where its result is lost, what was planned."""
    with contextlib.suppress(OSError, ValueError):
        if (trained := StageResult.from_json(run.workspace.result("train").read_bytes()).train) is not None:
            return trained
    return TrainSummary(steps=run.prepared.hyperparameters.total_steps, loss=0, tokens=0, seconds=0)


def result(config: RunConfig, attempt: int, root: Path, manifest: Manifest, warnings: list[StageWarning]) -> StageResult:
    """The stage's result, the same but for warnings whether the manifest was written now or by an earlier attempt."""
    assert manifest.evaluation is not None, "publish always evaluates"
    summary = PublishSummary(
        evaluation=manifest.evaluation,
        size_bytes=manifest.size_bytes,
        manifest_sha256=sha256_of(root / MANIFEST_FILE),
        missing_artifacts=manifest.missing_artifacts,
        skew_check=manifest.skew_check,
        warnings=warnings,
    )
    return StageResult(stage="publish", spec_digest=config.job.spec_digest, attempt=attempt, publish=summary)
