"""All that can be found out before the base model's weights are needed: the dataset, its token ids, and what training on it takes.

The prepare stage and `kubectl finetune validate` ask the same questions here.
"""

from dataclasses import dataclass, replace

from finetune_api.exit_codes import ExitCode
from finetune_api.result import Expectation
from finetune_api.run_config import RunConfig
from finetune_trainer.artifacts import wanted_artifacts
from finetune_trainer.artifacts.exporter import BaseFacts
from finetune_trainer.failure import StageFailure
from finetune_trainer.prepare.base.base import ExaminedBase, open_base
from finetune_trainer.prepare.dataset.dataset import ProfiledDataset, open_dataset
from finetune_trainer.prepare.examples.encoder import TaskEncoder, base_template, task_encoder
from finetune_trainer.prepare.examples.examples import Examples, ExamplesWriter
from finetune_trainer.prepare.fit.choice import TrainingFacts
from finetune_trainer.prepare.fit.expectation import expect
from finetune_trainer.prepare.fit.fit import Fit, fit
from finetune_trainer.prepare.hyperparameters import Facts, resolve_hyperparameters
from finetune_trainer.prepare.speeds import check_gpu
from finetune_trainer.stage.progress import ProgressPrinter
from finetune_trainer.workspace.workspace import Workspace

NOT_READ = ("AccessDenied", "BaseModelNotFound", "BaseModelIncomplete", "SourceUnavailable")
"""Codes of a base model that could not be read."""


@dataclass(frozen=True)
class Examined:
    """A dataset that can be trained on, written to the workspace as token ids."""

    base: ExaminedBase
    dataset: ProfiledDataset
    task: TaskEncoder
    examples: Examples


@dataclass(frozen=True)
class Plan:
    """What a training on it takes."""

    fitted: Fit
    expected: Expectation


def examine(config: RunConfig, workspace: Workspace, progress: ProgressPrinter) -> Examined:
    """Fetches, validates, splits and tokenises; raises StageFailure with the findings."""
    base = _base(config, workspace, progress)
    check_gpu(config.hardware)
    template = base_template(config, base)
    dataset = open_dataset(config, workspace, progress)
    task = task_encoder(config, base, dataset, template)
    task = replace(task, notes=[*task.notes, *rehearse(config, base, progress)])
    return Examined(base, dataset, task, ExamplesWriter(dataset, task, base, workspace, progress).write(config))


def _base(config: RunConfig, workspace: Workspace, progress: ProgressPrinter) -> ExaminedBase:
    """The base model. If it cannot be read, the rows are checked all the same, and findings in both are reported together."""
    try:
        return open_base(config, workspace, progress)
    except StageFailure as failure:
        if failure.error.code not in NOT_READ:  # what is wrong with the rows may depend on what has to be changed
            raise
        try:
            open_dataset(config, workspace, progress)
        except StageFailure as refused:
            if refused.exit_code == ExitCode.INVALID_INPUT:
                message = f"{refused.error.message}; the base model cannot be read either: {failure.error.message}"
                refused.error = refused.error.model_copy(update={"message": message})
                raise
        raise


def rehearse(config: RunConfig, base: ExaminedBase, progress: ProgressPrinter) -> list[str]:
    """The notes of the artifacts that the run wants; raises StageFailure for one that cannot be made."""
    facts = BaseFacts(base.subject.name, base.config.architecture, str(base.config.values.get("model_type")))
    files = base.download.small_files()
    return [note for artifact in wanted_artifacts(config) for note in artifact.rehearse(config, facts, files, progress)]


def plan_training(config: RunConfig, examined: Examined) -> Plan:
    """Decides what the spec leaves open; raises StageFailure DoesNotFit."""
    base, stats = examined.base, examined.examples.stats
    longest, mean = examined.examples.max_sequence_length, float(stats.lengths.mean())
    held_out = examined.examples.held_out
    sizes = Facts(stats.examples, longest, base.weights.parameters, mean, held_out.examples, float(held_out.lengths.mean()))
    resolved = resolve_hyperparameters(config, sizes)
    facts = TrainingFacts(base.config.values, base.weights, stats.sizes, stats.supervised, len(examined.dataset.labels))
    fitted = fit(config, resolved, facts)
    return Plan(fitted, expect(config, fitted.decided, base.weights.parameters, stats.lengths))
