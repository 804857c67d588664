"""The metrics that models are scored by: how they are written, and which direction is better.

The set is open. A metric is one line here (or an entry point of an installed package, docs/extending.md), one line in the learner that
computes it, and its name in `metrics` of the tasks or objectives that have it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from finetune_api.bounded import Real
from finetune_api.registry import Registry

MetricName = Annotated[str, Field(pattern=r"^[a-z][A-Za-z0-9]*$", max_length=32)]


@dataclass(frozen=True)
class Metric:
    """How a metric is shown and compared."""

    name: str
    form: str = ".4f"
    """Format specification of its values."""
    higher_is_better: bool = False

    def is_better(self, value: float, reference: float) -> bool:
        """Equal is not better."""
        return value > reference if self.higher_is_better else value < reference


METRICS: Registry[Metric] = Registry(
    "metric",
    "finetune.metrics",
    Metric("loss"),
    Metric("perplexity", ".2f"),
    Metric("rewardAccuracy", higher_is_better=True),
    Metric("rewardMargin", higher_is_better=True),
    Metric("kl"),
    Metric("accuracy", higher_is_better=True),
    Metric("f1", higher_is_better=True),
    Metric("recallAt1", higher_is_better=True),
    Metric("recallAt10", higher_is_better=True),
    Metric("spearman", higher_is_better=True),
)

LANGUAGE_METRICS: tuple[str, ...] = ("perplexity",)
PREFERENCE_METRICS: tuple[str, ...] = ("rewardAccuracy", "rewardMargin")
"""Of objectives that judge answers."""
RATING_METRICS: tuple[str, ...] = ("kl",)
"""Of objectives that learn from rated answers, beside PREFERENCE_METRICS."""
ANSWER_METRICS: tuple[str, ...] = LANGUAGE_METRICS + PREFERENCE_METRICS + RATING_METRICS
"""Of language models."""
CLASSIFIER_METRICS: tuple[str, ...] = ("accuracy", "f1")
RETRIEVAL_METRICS: tuple[str, ...] = ("recallAt1", "recallAt10")
"""Of embedding models, from rows without scores."""
SIMILARITY_METRICS: tuple[str, ...] = ("spearman",)
"""Of embedding models, from rows with scores."""

LEAST_INTERVAL_ROWS = 10
"""Rows that a confidence interval takes, at least: an interval of fewer is far too narrow."""


def metric_of(name: str) -> Metric:
    """The entry. A name that is not known here, as another image may have measured it, is only shown."""
    return METRICS.get(name) or Metric(name)


def listed_metrics(names: Iterable[str]) -> list[Metric]:
    """Their entries as the registry lists them, then the others as they come."""
    wanted = list(names)
    known = [metric for name, metric in METRICS.items() if name in wanted]
    return known + [Metric(name) for name in wanted if name not in METRICS]


def _with_loss(scores: dict[str, float]) -> dict[str, float]:
    if "loss" not in scores:
        raise ValueError("scores without a loss")
    return scores


Scores = Annotated[dict[MetricName, Real], Field(max_length=64), AfterValidator(_with_loss)]
"""What was measured of a model on the held-out rows, by metric; what the rows cannot tell is left out.

loss: mean over supervised tokens (examples for sequence-classification, pairs for dpo, rows for text-embedding), in nats; of scored
pairs the mean squared difference; of rated answers the mean of kto's loss, which has no unit.
perplexity: of the supervised tokens; of pairs those of the preferred answers, of rated answers those of the desirable ones.
rewardAccuracy: share of the pairs whose preferred answer has the higher reward; of rated answers, share of those that the model finds
more likely than the base if they are desirable, less likely if not. The base, which rewards are relative to, has 0.5.
rewardMargin: mean difference between the rewards of the preferred answer and of the other one; difference between the mean rewards of
desirable and undesirable answers, if there are both. The base has 0.
kl: of rated answers: mean of log P(answer | prompt) - log P by the base, over prompts with the answers of other rows, at least 0: an
estimate of the divergence from the base, in nats. The base has 0.
accuracy: share of examples (token-classification: of tagged tokens) that are right; multi-label: of examples with all labels right.
f1: sequence-classification: mean of the labels' F1. Token-classification: F1 of whole entities, as CoNLL counts.
recallAt1, recallAt10: share of the anchors whose positive is the closest of all positives and negatives, or among the closest ten.
spearman: of scored pairs, rank correlation of cosine similarities and scores.
"""
