"""How a tuned model is measured against its base, and what it must reach to be deployed."""

from typing import Annotated

from pydantic import Field

from finetune_api.document import Document
from finetune_api.metrics import MetricName
from finetune_api.resources.common import (
    rule,
    rules,
)

SHARES = ["rewardAccuracy", "accuracy", "f1", "recallAt1", "recallAt10", "spearman"]
"""Metrics that are at most 1."""


class GateCondition(Document):
    """A condition that the tuned model must meet to be deployed. At least one of betterThanBase, maximum and minimum must be set."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule(
                "has(self.betterThanBase) || has(self.maximum) || has(self.minimum)",
                "set at least one of betterThanBase, maximum and minimum",
            ),
            rule(
                "self.metric != 'kl' || !has(self.betterThanBase) || !self.betterThanBase",
                "kl measures the distance from the base model, which has 0 itself: set maximum",
                fieldPath=".betterThanBase",
            ),
            rule(
                "!has(self.minimum) || !has(self.maximum) || self.minimum <= self.maximum",
                "minimum is above maximum: no value can meet both",
                fieldPath=".minimum",
            ),
            rule(
                f"!has(self.minimum) || !(self.metric in {SHARES}) || self.minimum <= 1.0",
                "minimum: the highest possible value of this metric is 1; write 90 % as 0.9",
                fieldPath=".minimum",
            ),
            rule(
                "(has(self.betterThanBase) && self.betterThanBase) || (!has(self.margin) && !(has(self.significant) && self.significant))",
                "margin and significant say how much better than the base the model must be: set betterThanBase: true",
                fieldPath=".betterThanBase",
            ),
        )
    }
    metric: MetricName
    """metric on the validation rows, one that the task and the objective have: loss for every task, perplexity for language models,
    rewardAccuracy and rewardMargin for objectives that compare answers (the base has 0.5 and 0), kl for objective kto (divergence from
    the base, which has 0), accuracy and f1 for
    classification (f1 is the mean over labels; for token-classification, it is computed over whole entities), recallAt1 and recallAt10
    for text-embedding (share of the anchors whose positive is the closest text, or one of the ten closest, among the validation rows),
    spearman for its scored pairs. Another name is refused by prepare, unless the trainer image has such a metric."""
    better_than_base: bool | None = None
    """betterThanBase requires a lower value than the base's (for accuracies, margins and f1, a higher one)."""
    margin: Annotated[float, Field(gt=0)] | None = None
    """margin is by how much the metric must be better than the base's, in the unit of the metric. It requires betterThanBase."""
    significant: bool | None = None
    """significant requires that the whole 95 % confidence interval of the difference between both models is better, by margin if that
    is set, so that the choice of the validation rows does not explain it (paired bootstrap, at least ten validation rows). It requires
    betterThanBase."""
    maximum: Annotated[float, Field(gt=0)] | None = None
    """maximum value, inclusive."""
    minimum: Annotated[float, Field(gt=0)] | None = None
    """minimum value, inclusive."""


class Evaluation(Document):
    """Evaluation of the tuned model against its base on the validation rows. All metrics of the task are always computed."""

    gate: Annotated[list[GateCondition], Field(max_length=8)] = []
    """gate is a list of conditions that must all be met. A model that fails its gate is registered, but deploying it requires
    allowUngated."""
    max_examples: Annotated[int, Field(ge=1, le=1000000)] = 500
    """maxExamples is the maximum number of validation rows to use, starting from the first."""
    every_steps: Annotated[int, Field(ge=1, le=10000000)] | None = None
    """everySteps is the number of optimizer steps between validations during the training; the last step is validated as well. A
    validation uses a fixed random sample of the validation rows, small enough to take about a tenth of the training's time, but at least
    32 of them. By default, the training is not validated."""
