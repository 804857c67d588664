"""Whether a tuned model is better than its base."""

import pytest

from finetune_api.comparison import compared
from finetune_api.metrics import Scores

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("base", "tuned", "verdict", "text"),
    [
        ({"loss": 4}, {"loss": 2.5}, "better", "loss 2.5000 is better than the base's 4.0000"),
        ({"loss": 22}, {"loss": 377}, "worse", "loss 377.0000 is worse than the base's 22.0000"),
        ({"loss": 2}, {"loss": 2}, "equal", "loss 2.0000 is equal to the base's 2.0000"),
        ({"loss": 1, "accuracy": 0.5}, {"loss": 2, "accuracy": 0.9}, "better", "accuracy 0.9000 is better than the base's 0.5000"),
        ({"loss": 2, "accuracy": 0.9}, {"loss": 1, "accuracy": 0.5}, "worse", "accuracy 0.5000 is worse than the base's 0.9000"),
        ({"loss": 2, "accuracy": 0.9}, {"loss": 1, "accuracy": 0.9}, "better", "loss 1.0000 is better than the base's 2.0000"),
    ],
)
def test_one_figure_decides(base: Scores, tuned: Scores, verdict: str, text: str) -> None:
    """The loss of a language model, the accuracy of a classifier; equal accuracies are compared by their loss."""
    found = compared(base, tuned)
    assert (found.verdict, found.text) == (verdict, text)
