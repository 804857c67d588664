"""The loss of a classifier's training: cross entropy, with weights of classes, label smoothing, or the focus on what is still wrong.

Validations and scores are plain cross entropy (batch.py), so that trainings with different settings can be compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from finetune_api.resources.method import Sft
from finetune_trainer.classification.labelling import Labelling

LEAST = 1e-12
"""What is missing to a probability of 1 is at least this: the slope of its power is not finite at 0."""


@dataclass(frozen=True)
class ClassLoss:
    """As torch.nn.CrossEntropyLoss, or torch.nn.BCEWithLogitsLoss where several labels may hold; focal as in Lin et al. 2017."""

    weights: torch.Tensor | None = None
    """(labels,) fp32."""
    smoothing: float = 0
    gamma: float = 0

    @classmethod
    def of(cls, settings: Sft, labelling: Labelling, counts: NDArray[np.int64]) -> "ClassLoss":
        """`counts`: training examples, or tokens, of each label."""
        weights = balanced(counts) if settings.balanced_classes else given(settings.class_weights, labelling.labels)
        if weights is not None and not labelling.multi_label:
            weights = scaled(weights, counts)
        return cls(weights, settings.label_smoothing, settings.focal_gamma)

    def sum(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Over N predictions (nats): logits (N, labels) fp32; targets (N,) class indices or (N, labels) fp32."""
        weights = None if self.weights is None else self.weights.to(logits.device)
        if targets.is_floating_point():
            each = self._focused(F.binary_cross_entropy_with_logits(logits, targets, reduction="none"))
            return (each if weights is None else each * weights).mean(-1).sum()
        if not self.gamma:
            return F.cross_entropy(logits, targets, weight=weights, label_smoothing=self.smoothing, reduction="sum")
        each = self._focused(F.cross_entropy(logits, targets, reduction="none"))
        return (each if weights is None else each * weights[targets]).sum()

    def _focused(self, losses: torch.Tensor) -> torch.Tensor:
        """Each times (1 - p) ** gamma, p being the probability of what is right."""
        return losses * (-torch.expm1(-losses)).clamp(min=LEAST) ** self.gamma if self.gamma else losses


def balanced(counts: NDArray[np.int64]) -> torch.Tensor:
    """All examples / (labels x examples of the label), as scikit-learn's class_weight="balanced": 1 on average over the examples."""
    present = counts > 0
    return torch.from_numpy(np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1)), 1.0)).float()


def scaled(weights: torch.Tensor, counts: NDArray[np.int64]) -> torch.Tensor:
    """To 1 on average over the examples: only ratios count, as with torch's mean, which divides by the sum of the weights of a batch."""
    numbers = torch.from_numpy(counts)
    return weights * (numbers.sum() / (weights * numbers).sum())


def given(weights: Mapping[str, float], labels: tuple[str, ...]) -> torch.Tensor | None:
    """Those of a spec; 1 for a label that it does not name."""
    return torch.tensor([weights.get(label, 1.0) for label in labels]) if weights else None
