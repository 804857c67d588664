"""report.json: what prepare found in a data set, written also when it is refused."""

from finetune_api.dataset_report import DatasetReport
from finetune_api.result import PrepareSummary
from finetune_api.run_config import RunConfig
from finetune_trainer.failure import StageFailure
from finetune_trainer.files import write_atomic
from finetune_trainer.prepare.examples import Examples
from finetune_trainer.workspace import Workspace


def write_report(workspace: Workspace, config: RunConfig, examples: Examples, summary: PrepareSummary) -> None:
    """Of a data set that will be trained on."""
    report = DatasetReport(
        task=config.task,
        summary=summary.dataset,
        train=examples.train,
        validation=examples.validation,
        findings=examples.findings,
        finding_kinds=examples.finding_kinds,
        notes=examples.notes,
        hyperparameters=summary.hyperparameters,
        memory=summary.memory,
        expected=summary.expected,
    )
    write_atomic(workspace.report, report.to_json(indent=2))


def write_refusal(workspace: Workspace, config: RunConfig, failure: StageFailure) -> None:
    """Of a data set that is refused."""
    write_atomic(workspace.report, refusal(config, failure).to_json(indent=2))


def refusal(config: RunConfig, failure: StageFailure) -> DatasetReport:
    """The report of a data set that is refused."""
    error = failure.error
    return DatasetReport(task=config.task, valid=False, findings=error.details or [error.message], finding_kinds=failure.kinds)
