"""Whether the training loss went down."""

import pytest

from finetune_trainer.train.loop.metrics import StepMetrics
from finetune_trainer.train.loop.trend import loss_warning

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ([], ""),
        ([2.0], ""),
        ([2.0, 1.0], ""),
        ([2.0, 2.0], ""),
        ([22.0, 60.0, 377.0], "the training loss rose from 22.000 (first step) to 377.000 (last step): lower hyperparameters.learningRate"),
        ([2.0, 3.0, *[1.0] * 18, 0.5, 2.5], ""),  # of 22 steps two are compared with two
        ([1.0] * 10 + [2.0] * 10, "rose from 1.000 (first 2 steps) to 2.000 (last 2 steps)"),
        ([1.0] * 600 + [2.0] * 600, "(first 50 steps) to 2.000 (last 50 steps)"),
    ],
)
def test_a_loss_that_ends_above_its_start_is_said(losses: list[float], words: str) -> None:
    """The means of the first and the last tenth of the steps are compared."""
    warning = loss_warning([StepMetrics(step, 0.0, loss, 1e-4, 1.0, step, 1.0) for step, loss in enumerate(losses, start=1)])
    assert (warning is None) == (not words)
    if warning:
        assert (warning.code, words in warning.message) == ("LossIncreased", True)
