"""Whether a tuned model is better than its base, by the figure that its task is judged by. Pure: scores in, a verdict out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from finetune_api.metrics import metric_of

Figures = Mapping[str, float]
"""Values by metric."""


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
    if "accuracy" in base and "accuracy" in tuned and tuned["accuracy"] != base["accuracy"]:
        return _by("accuracy", base, tuned)
    return _by("loss", base, tuned)


def _by(metric: str, base: Figures, tuned: Figures) -> Comparison:
    reference, value = base[metric], tuned[metric]
    if value == reference:
        return Comparison("equal", metric, reference, value)
    return Comparison("better" if metric_of(metric).is_better(value, reference) else "worse", metric, reference, value)
