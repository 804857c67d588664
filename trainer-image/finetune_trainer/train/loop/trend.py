"""Whether the training loss went down. Pure: the steps' figures in, a warning out."""

from collections.abc import Sequence

from finetune_api.result import StageWarning
from finetune_trainer.train.loop.metrics import StepMetrics

SHARE, LONGEST = 10, 50
"""The first and the last tenth of the steps are compared, at most so many: one step's loss tells as much of its rows as of the model."""


def loss_warning(steps: Sequence[StepMetrics]) -> StageWarning | None:
    """A warning when the loss ended above its start; None too where there is nothing to compare."""
    if len(steps) < 2:
        return None
    count = min(LONGEST, max(1, len(steps) // SHARE))
    start, end = (sum(step.loss for step in part) / count for part in (steps[:count], steps[-count:]))
    if not end > start:
        return None
    over = "step" if count == 1 else f"{count} steps"
    return StageWarning(
        code="LossIncreased",
        message=f"the training loss rose from {start:.3f} (first {over}) to {end:.3f} (last {over}): lower hyperparameters.learningRate, "
        "or check the data",
    )
