"""Will it fit: the micro-batch, and gradient checkpointing, that fit into the memory there is, or the changes that would make it fit.

    fit(run, decided, TrainingFacts(config.json, weights, lengths, supervised)) -> Fit

Called once the rows are cut and the hyper-parameters resolved. Knows no files.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune_api.result import MemoryEstimate
from finetune_api.run_config import RunConfig
from finetune_trainer.prepare.hyperparameters import Decided
from finetune_trainer.prepare.weights import Weights

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class TrainingFacts:
    """What the memory of a training depends on beside the spec."""

    config: dict[str, Any]
    """The base model's config.json."""
    weights: Weights
    lengths: Counts
    """Tokens of each training example, after the cut."""
    supervised: Counts
    """Tokens of each example that the loss is computed on; of a classifier, 1 (token-classification: tagged tokens)."""
    labels: int = 0
    """Classes of a classifier, 0 for a language model."""


@dataclass(frozen=True)
class Fit:
    """What was decided, and what it needs."""

    decided: Decided
    """With micro_batch_tokens and gradient_checkpointing, and the reason of the latter."""
    memory: MemoryEstimate


def fit(run: RunConfig, decided: Decided, facts: TrainingFacts) -> Fit:
    """Chooses the largest micro-batch that fits; raises StageFailure DoesNotFit with three changes that would make it fit."""
    none = MemoryEstimate(
        weights=0, gradients=0, optimizer=0, activations=0, logits=0, runtime=0, total=0,
        micro_batch_tokens=decided.values.micro_batch_tokens, accumulation=1,
    )  # fmt: skip
    return Fit(decided, none)
