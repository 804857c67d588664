"""Rows of similar length side by side, padded on the right, as many as a token budget allows."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from finetune_trainer.language_model.held_out import Row


@dataclass(frozen=True)
class Batch:
    """What one forward pass needs."""

    input_ids: torch.Tensor
    """int64, rows x width."""
    attention_mask: torch.Tensor
    """int64, rows x width: 1 for a real token."""
    positions: torch.Tensor
    """int64: indices into rows x width, flattened, whose next token counts."""
    targets: torch.Tensor
    """int64: the token that follows each of the positions."""


def token_batches(rows: list[Row], budget: int) -> Iterator[Batch]:
    """Batches of at most `budget` padded tokens, longest rows first; a longer row is a batch by itself.

    Rows without a token that counts are left out.
    """
    waiting: list[Row] = []
    for row in sorted((row for row in rows if row.targets), key=lambda row: -len(row.tokens)):
        if waiting and (len(waiting) + 1) * len(waiting[0].tokens) > budget:
            yield make_batch(waiting)
            waiting = []
        waiting.append(row)
    if waiting:
        yield make_batch(waiting)


def make_batch(rows: list[Row]) -> Batch:
    """One batch of rows, the longest first."""
    width = len(rows[0].tokens)
    input_ids = torch.zeros((len(rows), width), dtype=torch.int64)
    attention_mask = torch.zeros_like(input_ids)
    positions: list[int] = []
    targets: list[int] = []
    for i, row in enumerate(rows):
        input_ids[i, : len(row.tokens)] = torch.tensor(row.tokens)
        attention_mask[i, : len(row.tokens)] = 1
        counting = [j for j in range(1, len(row.tokens)) if row.supervised[j]]
        positions += [i * width + j - 1 for j in counting]
        targets += [row.tokens[j] for j in counting]
    return Batch(input_ids, attention_mask, torch.tensor(positions), torch.tensor(targets))
