"""report.json: what prepare found in a dataset, written also when it is refused."""

from finetune_api.dataset_report import DatasetReport
from finetune_api.run_config import RunConfig
from finetune_trainer.failure import StageFailure
from finetune_trainer.prepare.examine import Examined, Plan
from finetune_trainer.workspace.files import write_atomic
from finetune_trainer.workspace.workspace import Workspace


def write_report(workspace: Workspace, report: DatasetReport) -> None:
    """Into the workspace, from where publish takes it into the model directory."""
    write_atomic(workspace.report, report.to_json(indent=2))


def report_of(config: RunConfig, examined: Examined, plan: Plan | None = None) -> DatasetReport:
    """Of a dataset that can be trained on; without a plan, perhaps not with this memory."""
    examples = examined.examples
    return DatasetReport(
        task=config.task,
        summary=examples.summary,
        train=examples.train,
        validation=examples.validation,
        findings=examples.findings,
        finding_kinds=examples.finding_kinds,
        notes=examples.notes,
        hyperparameters=plan.fitted.decided.reasons if plan else {},
        memory=plan.fitted.memory if plan else None,
        expected=plan.expected if plan else None,
    )


def refusal(config: RunConfig, failure: StageFailure) -> DatasetReport:
    """Of a dataset that is refused."""
    error = failure.error
    return DatasetReport(task=config.task, valid=False, findings=error.details or [error.message], finding_kinds=failure.kinds)
