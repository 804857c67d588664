"""The prepare stage: checks the data and the base model, decides what was left open, writes token ids. Cheap checks come first."""

import shutil

from finetune_api.result import Estimate, PrepareSummary, StageResult
from finetune_api.run_config import RunConfig
from finetune_trainer.failure import StageFailure
from finetune_trainer.files import free_bytes, write_atomic
from finetune_trainer.prepare.base import Base, open_base
from finetune_trainer.prepare.base_files import total_bytes
from finetune_trainer.prepare.dataset import Dataset, open_dataset
from finetune_trainer.prepare.encoder import TaskEncoder, base_template, task_encoder
from finetune_trainer.prepare.estimate import Sizes, check_space, estimate
from finetune_trainer.prepare.examples import Examples, ExamplesWriter
from finetune_trainer.prepare.expectation import expect
from finetune_trainer.prepare.fit import TrainingFacts, fit
from finetune_trainer.prepare.hyperparameters import Decided, Facts, resolve
from finetune_trainer.prepare.report import write_refusal, write_report
from finetune_trainer.prepared import Prepared
from finetune_trainer.progress import ProgressPrinter
from finetune_trainer.workspace import Workspace


def prepare(config: RunConfig, attempt: int) -> StageResult:
    """Runs the stage; raises StageFailure in the user's words."""
    workspace, progress = Workspace(config.paths.workspace), ProgressPrinter("prepare")
    workspace.root.mkdir(parents=True, exist_ok=True)
    base = open_base(config, workspace, progress)
    template = base_template(config, base)
    try:
        dataset = open_dataset(config, workspace, progress)
        task = task_encoder(config, base, dataset, template)
        examples = ExamplesWriter(dataset, task, base, workspace, progress).write(config)
    except StageFailure as failure:
        write_refusal(workspace, config, failure)
        raise
    shutil.rmtree(workspace.downloads, ignore_errors=True)
    resolved = resolve(config, Facts(examples.kept.examples, examples.max_sequence_length, base.weights.parameters))
    needs = space(config, base, resolved, examples, workspace)
    prepared = decide(config, base, dataset, task, examples, resolved, needs)
    write_report(workspace, config, examples, prepared.summary)
    write_atomic(workspace.prepared, prepared.to_json(indent=2))
    progress.show("prepared", force=True)
    return StageResult(stage="prepare", spec_digest=config.job.spec_digest, attempt=attempt, prepare=prepared.summary)


def decide(
    config: RunConfig, base: Base, dataset: Dataset, task: TaskEncoder, examples: Examples, resolved: Decided, needs: Estimate
) -> Prepared:
    """Decides whether the training fits, and with which micro-batches; then brings the base model's weights."""
    kept, parameters = examples.kept, base.weights.parameters
    facts = TrainingFacts(base.config.values, base.weights, kept.lengths, kept.supervised, len(dataset.labels))
    fitted = fit(config, resolved, facts)
    decided = fitted.decided
    base_path = base.download.weights()
    summary = PrepareSummary(
        dataset=examples.summary,
        hyperparameters=decided.reasons,
        total_steps=decided.values.total_steps,
        estimate=needs,
        base_digest=base.download.digest(),
        base_parameters=parameters,
        memory=fitted.memory,
        expected=expect(config, decided, parameters, kept.lengths),
    )
    return Prepared(
        spec_digest=config.job.spec_digest,
        base_path=str(base_path),
        hyperparameters=decided.values,
        lora=decided.lora,
        eos_token_ids=task.eos_token_ids,
        chat_template=task.own_template,
        labels=list(dataset.labels),
        multi_label=dataset.multi_label,
        summary=summary,
    )


def space(config: RunConfig, base: Base, resolved: Decided, examples: Examples, workspace: Workspace) -> Estimate:
    """The later stages' needs; raises StageFailure when the workspace cannot hold what it still has to."""
    downloaded = total_bytes(base.files.all) if base.download.folder.local is None else 0
    trained = base.weights.adapter_parameters(resolved.lora) if resolved.lora else base.weights.parameters
    sizes = Sizes(base.weights.parameters, trained, total_bytes(base.files.small), downloaded, examples.bytes)
    needs = estimate(config, sizes)
    present = examples.bytes + downloaded - base.download.missing_bytes
    check_space(needs.workspace_bytes - present, free_bytes(workspace.root), "the base model and the checkpoints need")
    return needs
