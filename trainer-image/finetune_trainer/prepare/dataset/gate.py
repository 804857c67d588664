"""Whether the gate asks for what is measured with the task, the objective and the validation rows."""

from finetune_api.metrics import LEAST_INTERVAL_ROWS
from finetune_api.run_config import RunConfig
from finetune_trainer.data.profile.splits import Splits
from finetune_trainer.failure import invalid
from finetune_trainer.objectives import objective_of
from finetune_trainer.tasks import AnyTask
from finetune_trainer.tasks.explain.problem import did_you_mean


def check_gate(config: RunConfig, task: AnyTask) -> None:
    """Raises StageFailure for a condition that could never hold. `task` is that of the rows."""
    measured = ("loss", *task.metrics, *objective_of(config).metrics)
    for place, condition in enumerate(config.evaluation.gate):
        if condition.metric not in measured:
            raise invalid(
                "InvalidSpec",
                f"evaluation.gate[{place}].metric: {condition.metric} is not measured for task {config.task} with objective "
                f"{config.method.objective}{did_you_mean(condition.metric, measured)}: use {', '.join(measured[:-1])} or {measured[-1]}",
                param=f"evaluation.gate[{place}].metric",
            )


def check_interval_rows(config: RunConfig, splits: Splits) -> None:
    """Raises StageFailure for a condition on a confidence interval that so few validation rows do not give."""
    rows = min(int(splits.validation.sum()), config.evaluation.max_examples)
    places = [place for place, condition in enumerate(config.evaluation.gate) if condition.significant]
    if places and rows < LEAST_INTERVAL_ROWS:
        raise invalid(
            "InvalidSpec",
            f"evaluation.gate[{places[0]}].significant needs at least {LEAST_INTERVAL_ROWS} validation rows, and {rows} are evaluated: add "
            "validation rows (see also evaluation.maxExamples), or remove significant",
            param=f"evaluation.gate[{places[0]}].significant",
        )
