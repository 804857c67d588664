"""The prepare stage: checks the data and the base model, decides what was left open, writes token ids. Cheap checks come first."""

import shutil

from finetune_api.result import Estimate, PrepareSummary, ResolvedParameter, StageResult
from finetune_api.run_config import RunConfig
from finetune_trainer.artifacts.exporter import ModelSize
from finetune_trainer.checkpoint_store import open_checkpoint_store
from finetune_trainer.failure import StageFailure
from finetune_trainer.methods import method_of
from finetune_trainer.objectives.custom_code import CustomCode, read_custom_code
from finetune_trainer.prepare.base.base import ExaminedBase
from finetune_trainer.prepare.base.files import total_bytes
from finetune_trainer.prepare.dataset.row_source import look_for_rows
from finetune_trainer.prepare.disk_space import Sizes, check_space, estimate
from finetune_trainer.prepare.examine import Examined, Plan, examine, plan_training
from finetune_trainer.prepare.report import refusal, report_of, write_report
from finetune_trainer.stage import interruption
from finetune_trainer.stage.progress import ProgressPrinter
from finetune_trainer.trackers import TRACKERS
from finetune_trainer.trackers.tracker import check_packages
from finetune_trainer.workspace.checksums import FileSum, sizes_of, sums_of
from finetune_trainer.workspace.files import free_bytes, write_atomic
from finetune_trainer.workspace.prepared import PinnedCode, Prepared
from finetune_trainer.workspace.workspace import Workspace


def prepare(config: RunConfig, attempt: int) -> StageResult:
    """Runs the stage; raises StageFailure in the user's words."""
    workspace, progress = Workspace(config.paths.workspace), ProgressPrinter("prepare")
    workspace.root.mkdir(parents=True, exist_ok=True)
    check_packages(TRACKERS.values(), config)
    progress.show("looking for the dataset", force=True)
    code = read_custom_code(config)
    if (store := config.checkpoints.store) is not None:
        open_checkpoint_store(config, store).check()
    look_for_rows(config)
    try:
        examined = examine(config, workspace, progress)
    except StageFailure as failure:
        write_report(workspace, refusal(config, failure))
        raise
    shutil.rmtree(workspace.downloads, ignore_errors=True)
    write_report(workspace, report_of(config, examined))  # for a training that does not fit
    plan = plan_training(config, examined)
    needs = space(config, examined, plan, workspace)
    prepared = decide(config, examined, plan, needs, workspace, progress)
    prepared = with_code(prepared, code, workspace)
    write_report(workspace, report_of(config, examined, plan))
    interruption.last_check()
    write_atomic(workspace.prepared, prepared.to_json(indent=2))
    progress.show("prepared", force=True)
    return StageResult(stage="prepare", spec_digest=config.job.spec_digest, attempt=attempt, prepare=prepared.summary)


def decide(config: RunConfig, examined: Examined, plan: Plan, needs: Estimate, workspace: Workspace, progress: ProgressPrinter) -> Prepared:
    """Brings the base model's weights, and writes down what was decided."""
    base, dataset, decided = examined.base, examined.dataset, plan.fitted.decided
    base_path = base.download.weights()
    summary = PrepareSummary(
        dataset=examined.examples.summary,
        hyperparameters=decided.reasons,
        total_steps=decided.values.total_steps,
        estimate=needs,
        base_digest=base.download.digest(),
        base_parameters=base.weights.parameters,
        memory=plan.fitted.memory,
        expected=plan.expected,
    )
    return Prepared(
        spec_digest=config.job.spec_digest,
        base_path=str(base_path),
        hyperparameters=decided.values,
        micro_batches=plan.fitted.micro_batches,
        method=decided.method,
        strategy=plan.fitted.strategy,
        eos_token_ids=examined.task.eos_token_ids,
        chat_template=examined.task.own_template,
        labels=list(dataset.labels),
        multi_label=dataset.multi_label,
        pooling=base.pooling,
        summary=summary,
        files=written(workspace, base, progress),
    )


def with_code(prepared: Prepared, code: CustomCode | None, workspace: Workspace) -> Prepared:
    """With the code of a user's own loss in the workspace: what the ConfigMap holds from now on does not matter to this run."""
    if code is None:
        return prepared
    write_atomic(workspace.custom_loss, code.source)
    pinned = PinnedCode(name=code.name, function=code.function, sha256=code.sha256)
    reason = f"as prepare read it (sha256 {code.sha256[:12]}): later changes have no effect on this job"
    shown = {"customLoss": ResolvedParameter(value=f"{code.function} of {code.name}", reason=reason)}
    summary = prepared.summary.model_copy(update={"hyperparameters": prepared.summary.hyperparameters | shown})
    files = prepared.files | sums_of(workspace.root, [workspace.custom_loss])
    return prepared.model_copy(update={"custom_loss": pinned, "summary": summary, "files": files})


def written(workspace: Workspace, base: ExaminedBase, progress: ProgressPrinter) -> dict[str, FileSum]:
    """What the later stages look at before they start: rows by their checksum, a base in the workspace by its files' sizes."""
    files = (workspace.train_rows, workspace.validation_rows, workspace.prompts, workspace.requests)
    rows = [path for path in files if path.exists()]
    sums = sums_of(workspace.root, rows, lambda: progress.show("computing checksums"))
    if base.download.path != workspace.base:
        return sums
    return sums | sizes_of(workspace.root, (workspace.base / name for name in base.files.all))


def space(config: RunConfig, examined: Examined, plan: Plan, workspace: Workspace) -> Estimate:
    """The later stages' needs; raises StageFailure when the workspace cannot hold what it still has to."""
    base, decided = examined.base, plan.fitted.decided
    downloaded = total_bytes(base.files.all) if base.download.folder.local is None else 0
    trained = method_of(config).written(base.weights.parameters, base.weights.linear_layers, decided.method)
    size = ModelSize(base.weights.parameters, trained, total_bytes(base.files.small), decided.values.precision)
    needs = estimate(config, Sizes(size, downloaded, examined.examples.bytes, plan.fitted.optimizer))
    present = examined.examples.bytes + downloaded - base.download.missing_bytes
    check_space(needs.workspace_bytes - present, free_bytes(workspace.root), "the base model and the checkpoints need")
    return needs
