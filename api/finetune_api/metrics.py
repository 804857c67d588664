"""The metrics that models are scored by: names, how they are written, and which direction is better.

`model_directory.Scores` and `resources.finetune_job_status.ScoresStatus` have a field for each.
"""

from dataclasses import dataclass
from typing import Literal

MetricName = Literal["loss", "perplexity", "rewardAccuracy", "rewardMargin", "kl", "accuracy", "f1", "recallAt1", "recallAt10", "spearman"]


@dataclass(frozen=True)
class Metric:
    """How a metric is shown and compared."""

    field: str
    """Of the scores."""
    form: str
    """Format specification of its values."""
    higher_is_better: bool = False

    def of(self, scores: object) -> float | None:
        """Its value; None where it is not measured."""
        value: float | None = getattr(scores, self.field)
        return value

    def is_better(self, value: float, reference: float) -> bool:
        """Equal is not better."""
        return value > reference if self.higher_is_better else value < reference


METRICS: dict[MetricName, Metric] = {
    "loss": Metric("loss", ".4f"),
    "perplexity": Metric("perplexity", ".2f"),
    "rewardAccuracy": Metric("reward_accuracy", ".4f", higher_is_better=True),
    "rewardMargin": Metric("reward_margin", ".4f", higher_is_better=True),
    "kl": Metric("kl", ".4f"),
    "accuracy": Metric("accuracy", ".4f", higher_is_better=True),
    "f1": Metric("f1", ".4f", higher_is_better=True),
    "recallAt1": Metric("recall_at_1", ".4f", higher_is_better=True),
    "recallAt10": Metric("recall_at_10", ".4f", higher_is_better=True),
    "spearman": Metric("spearman", ".4f", higher_is_better=True),
}
