"""A dataset examined as the prepare stage does it; the report is the result, and nothing else is kept."""

from finetune_api.dataset_report import DatasetReport
from finetune_api.run_config import RunConfig
from finetune_cli.bar import Bar
from finetune_trainer.failure import StageFailure, explain
from finetune_trainer.objectives.custom_code import read_custom_code
from finetune_trainer.prepare.dataset.dataset import open_dataset
from finetune_trainer.prepare.examine import examine, plan_training
from finetune_trainer.prepare.report import refusal, report_of
from finetune_trainer.workspace.workspace import Workspace


def report_on(config: RunConfig, *, with_model: bool) -> tuple[DatasetReport, StageFailure | None]:
    """The report, and the failure of a dataset that is refused. The workspace is written to, and may be thrown away."""
    with Bar() as bar:
        try:
            read_custom_code(config)
            return (with_tokens if with_model else rows_only)(config, Workspace(config.paths.workspace), bar), None
        except (StageFailure, OSError) as exc:
            failure = explain(exc)
            return refusal(config, failure), failure


def rows_only(config: RunConfig, workspace: Workspace, bar: Bar) -> DatasetReport:
    """What can be said without a base model: no token is counted."""
    dataset = open_dataset(config, workspace, bar)
    return DatasetReport(
        task=config.task,
        summary=dataset.summary(),
        train=dataset.train_side,
        validation=dataset.validation_side,
        findings=dataset.findings,
        finding_kinds=dataset.finding_kinds,
        notes=dataset.notes,
    )


def with_tokens(config: RunConfig, workspace: Workspace, bar: Bar) -> DatasetReport:
    """What prepare reports."""
    examined = examine(config, workspace, bar)
    return report_of(config, examined, plan_training(config, examined))
