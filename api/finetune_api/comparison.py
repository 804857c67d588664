"""Whether a tuned model is better than its base, by the figure that its task is judged by. Pure: scores in, a verdict out."""

from dataclasses import dataclass
from typing import Literal

from finetune_api.metrics import METRICS, MetricName
from finetune_api.model_directory import Scores
from finetune_api.resources.finetune_job_status import ScoresStatus

Figures = Scores | ScoresStatus


@dataclass(frozen=True)
class Comparison:
    """Base against tuned on the same held-out rows."""

    verdict: Literal["better", "equal", "worse"]
    metric: str
    base: float
    tuned: float

    @property
    def text(self) -> str:
        """ "loss 2.5000 is better than the base's 4.0300"."""
        words = {"better": "is better than", "equal": "is equal to", "worse": "is worse than"}[self.verdict]
        return f"{self.metric} {self.tuned:.4f} {words} the base's {self.base:.4f}"


def compared(base: Figures, tuned: Figures) -> Comparison:
    """By the loss of a language model, by the accuracy of a classifier; equal accuracies are told apart by their loss."""
    if tuned.accuracy is not None and base.accuracy is not None and tuned.accuracy != base.accuracy:
        return _by("accuracy", base, tuned)
    return _by("loss", base, tuned)


def _by(metric: MetricName, base: Figures, tuned: Figures) -> Comparison:
    reference, value = METRICS[metric].of(base), METRICS[metric].of(tuned)
    assert reference is not None and value is not None  # by compared
    if value == reference:
        return Comparison("equal", metric, reference, value)
    return Comparison("better" if METRICS[metric].is_better(value, reference) else "worse", metric, reference, value)
