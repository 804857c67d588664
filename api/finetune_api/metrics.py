"""The metrics that models are scored by: names, how they are written, and which direction is better.

`model_directory.Scores` and `resources.finetune_job_status.ScoresStatus` have a field for each.
"""

from dataclasses import dataclass
from typing import Literal

MetricName = Literal["loss", "perplexity", "accuracy", "f1"]


@dataclass(frozen=True)
class Metric:
    """How a metric is shown and compared."""

    form: str
    """Format specification of its values."""
    higher_is_better: bool = False

    def is_better(self, value: float, reference: float) -> bool:
        """Equal is not better."""
        return value > reference if self.higher_is_better else value < reference


METRICS: dict[MetricName, Metric] = {
    "loss": Metric(".4f"),
    "perplexity": Metric(".2f"),
    "accuracy": Metric(".4f", higher_is_better=True),
    "f1": Metric(".4f", higher_is_better=True),
}
