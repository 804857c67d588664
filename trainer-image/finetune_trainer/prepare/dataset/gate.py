"""Whether the gate asks for metrics that are measured with the task and the objective."""

from finetune_api.run_config import RunConfig
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
