"""How a tuned model is measured against its base, and what it must reach to be deployed."""

from typing import Annotated, Literal

from pydantic import Field

from finetune_api.document import Document
from finetune_api.resources.common import (
    rule,
    rules,
)


class GateCondition(Document):
    """One condition that the tuned model must meet to be deployed; at least one of betterThanBase, maximum and minimum."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule(
                "has(self.betterThanBase) || has(self.maximum) || has(self.minimum)",
                "set at least one of betterThanBase, maximum and minimum",
            )
        )
    }
    metric: Literal["loss", "perplexity", "accuracy", "f1"]
    """Measured on the held-out rows: loss for every task, perplexity for language models, accuracy and f1 for classification (f1 is
    the mean over labels; of token-classification it counts whole entities)."""
    better_than_base: bool | None = None
    """True: lower than the base's (accuracy and f1: higher)."""
    maximum: Annotated[float, Field(gt=0)] | None = None
    """At most this."""
    minimum: Annotated[float, Field(gt=0)] | None = None
    """At least this."""


class Evaluation(Document):
    """How the tuned model is measured against its base on the held-out rows. What its task has is always measured."""

    gate: Annotated[list[GateCondition], Field(max_length=8)] = []
    """All must hold. A model that fails its gate is registered, but a deployment needs allowUngated."""
    max_examples: Annotated[int, Field(ge=1, le=1000000)] = 500
    """Measure on the first so many held-out rows."""
