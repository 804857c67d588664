"""Rows of different length as one batch of tensors, padded on the right, and what a model says of it.

Only what is asked counts: `keep` picks those logits, so the loss is the same sum for texts, tokens and several labels at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from finetune_text.tags import IGNORED
from finetune_trainer.classification.labelling import Labelling
from finetune_trainer.classification.rows import LabelledRow


@dataclass(frozen=True)
class PaddedBatch:
    """B rows of at most T tokens, of which N predictions count."""

    index: int
    """The micro-batch's number within a training step."""
    input_ids: torch.Tensor
    """(B, T) int64."""
    attention_mask: torch.Tensor
    """(B, T) int64: 1 for a real token."""
    token_type_ids: torch.Tensor | None
    """(B, T) int64; None for a model that knows no second text."""
    keep: torch.Tensor
    """(N,) int64: which of the logits count, flattened to (B or B x T, labels)."""
    targets: torch.Tensor
    """(N,) int64 class indices; multi-label: (N, labels) fp32, 1 for every label that applies."""

    per_token: bool = False
    """The logits have a row for each token."""

    def to(self, device: torch.device) -> "PaddedBatch":
        """The same on another device."""
        names = ("input_ids", "attention_mask", "token_type_ids", "keep", "targets")
        tensors = {name: tensor for name in names if (tensor := getattr(self, name)) is not None}
        return replace(self, **{name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()})

    def numbers(self) -> torch.Tensor:
        """(N,) int64: the example that each prediction belongs to, by its place in the batch."""
        return self.keep // (self.input_ids.shape[1] if self.per_token else 1)

    def inputs(self) -> dict[str, torch.Tensor]:
        """What the model is called with."""
        types = {} if self.token_type_ids is None else {"token_type_ids": self.token_type_ids}
        return {"input_ids": self.input_ids, "attention_mask": self.attention_mask, **types}


@dataclass(frozen=True)
class Collator:
    """Makes batches for one model."""

    labelling: Labelling
    pad_token: int
    token_types: bool
    """The model takes token_type_ids."""

    def batch(self, rows: Sequence[LabelledRow], index: int = 0, *, filler: bool = False) -> PaddedBatch:
        """Lays rows side by side; a filler has no targets."""
        width = max(len(row.tokens) for row in rows)
        types = padded([row.types for row in rows], width, 0) if self.token_types else None
        keep, targets = self._asked(rows, width)
        return PaddedBatch(
            index=index,
            input_ids=padded([row.tokens for row in rows], width, self.pad_token),
            attention_mask=padded([np.ones_like(row.tokens) for row in rows], width, 0),
            token_type_ids=types,
            keep=keep[:0] if filler else keep,
            targets=targets[:0] if filler else targets,
            per_token=self.labelling.per_token,
        )

    def _asked(self, rows: Sequence[LabelledRow], width: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self.labelling.per_token:
            labels = padded([row.labels for row in rows], width, IGNORED).flatten()
            keep = torch.nonzero(labels != IGNORED).flatten()
            return keep, labels[keep]
        keep = torch.arange(len(rows))
        if not self.labelling.multi_label:
            return keep, torch.tensor([int(row.labels[0]) for row in rows])
        holds = torch.zeros(len(rows), len(self.labelling.labels))
        for place, row in enumerate(rows):
            holds[place, torch.from_numpy(row.labels)] = 1
        return keep, holds


def padded(rows: Sequence[Any], width: int, filling: int) -> torch.Tensor:
    """(rows, width) int64, filled up on the right."""
    table = np.full((len(rows), width), filling, dtype=np.int64)
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    return torch.from_numpy(table)


def logits_asked(model: Any, batch: PaddedBatch) -> torch.Tensor:
    """(N, labels) fp32: the logits that count."""
    logits: torch.Tensor = model(**batch.inputs()).logits
    return logits.flatten(0, -2)[batch.keep].float()


def classification_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Sum of the losses (nats) over what counts."""
    return classification_losses(logits, targets).sum()


def classification_losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(N,) nats: cross entropy, or the mean over labels of their binary cross entropies."""
    if targets.is_floating_point():
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(-1)
    return F.cross_entropy(logits, targets, reduction="none")
