"""The texts of several rows as tensors: all anchors, then all positives, then the negatives that there are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from finetune_trainer.classification.batch import padded
from finetune_trainer.embedding.rows import EmbeddingRow, Numbers, key_of


@dataclass(frozen=True)
class TextBatch:
    """N texts of B rows; a filler has texts and no rows."""

    index: int
    """The micro-batch's number within the step."""
    rows: int
    """B."""
    input_ids: torch.Tensor
    """(N, T) int64."""
    attention_mask: torch.Tensor
    """(N, T) int64: 1 for a real token."""
    keys: torch.Tensor
    """(N,) int64: equal for equal texts."""
    scores: torch.Tensor
    """(B,) fp32; empty where rows have none."""

    def to(self, device: torch.device) -> "TextBatch":
        """The same on another device."""
        names = ("input_ids", "attention_mask", "keys", "scores")
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in names})

    def inputs(self) -> dict[str, torch.Tensor]:
        """What the model is called with."""
        return {"input_ids": self.input_ids, "attention_mask": self.attention_mask}

    def part(self, texts: torch.Tensor) -> "TextBatch":
        """Some of its texts, by number, without padding that they do not need."""
        mask = self.attention_mask[texts]
        width = int(mask.sum(dim=1).max())
        return replace(self, input_ids=self.input_ids[texts, :width], attention_mask=mask[:, :width], keys=self.keys[texts])


def text_batch(rows: Sequence[EmbeddingRow], pad_token: int, index: int = 0, *, filler: bool = False) -> TextBatch:
    """Lays the texts of rows side by side."""
    texts = [row.texts[side] for side in range(3) for row in rows if side < len(row.texts)]
    scores = [] if filler else [row.score for row in rows if row.score is not None]
    batch = texts_batch(texts, pad_token, index)
    return replace(batch, rows=0 if filler else len(rows), scores=torch.tensor(scores, dtype=torch.float32))


def texts_batch(texts: Sequence[Numbers], pad_token: int, index: int = 0) -> TextBatch:
    """Texts that belong to no rows."""
    width = max(len(text) for text in texts)
    return TextBatch(
        index=index,
        rows=0,
        input_ids=padded(texts, width, pad_token),
        attention_mask=padded([np.ones_like(text) for text in texts], width, 0),
        keys=torch.tensor([key_of(text) for text in texts]),
        scores=torch.empty(0),
    )
