"""One micro-batch as tensors: examples laid one after another in a single row."""

from dataclasses import dataclass

import numpy as np
import torch

from finetune_trainer.language_model.rows import Rows
from finetune_trainer.step_plan import MicroBatch


@dataclass(frozen=True)
class PackedRow:
    """A packed row of T tokens with S supervised positions."""

    index: int
    """The micro-batch's number within the step."""
    input_ids: torch.Tensor
    """(1, T) int64."""
    position_ids: torch.Tensor
    """(1, T) int64: starts at 0 with every example, which is how the model tells them apart."""
    keep: torch.Tensor
    """(S,) int64: the positions whose next token is to be learned."""
    targets: torch.Tensor
    """(S,) int64: those next tokens."""

    def to(self, device: torch.device) -> "PackedRow":
        """The same on another device."""
        tensors = (self.input_ids, self.position_ids, self.keep, self.targets)
        return PackedRow(self.index, *(tensor.to(device, non_blocking=True) for tensor in tensors))


def pack(rows: Rows, batch: MicroBatch) -> PackedRow:
    """Lays the examples out. Targets are shifted within each example, so that none crosses a border."""
    ids, positions, keep, targets, start = [], [], [], [], 0
    for row in batch.examples:
        tokens, mask = rows[row]
        learned = np.flatnonzero(mask[1:]) if not batch.filler else np.empty(0, dtype=np.int64)
        ids.append(tokens)
        positions.append(np.arange(len(tokens)))
        keep.append(learned + start)
        targets.append(tokens[learned + 1])
        start += len(tokens)
    tensors = [torch.from_numpy(np.concatenate(part).astype(np.int64)) for part in (ids, positions, keep, targets)]
    return PackedRow(batch.index, tensors[0][None], tensors[1][None], tensors[2], tensors[3])
