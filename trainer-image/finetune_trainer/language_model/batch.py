"""Rows as tensors: packed one after another in a single row to train on, or padded side by side to score."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from finetune_trainer.step_plan import MicroBatch

Example = tuple[NDArray[np.int64], NDArray[np.bool_]]
"""Token ids and loss mask, both (length,)."""


class MaskedRows(Protocol):
    """Token ids of rows, and what of them is supervised."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> Example: ...


@dataclass(frozen=True)
class ExamplePlace:
    """Where an example lies in a batch."""

    row: int
    start: int
    """Of its tokens, flattened to B x T."""
    length: int


@dataclass(frozen=True)
class TokenBatch:
    """B rows of T tokens with S supervised positions."""

    index: int
    """The micro-batch's number within a training step."""
    inputs: dict[str, torch.Tensor]
    """What the model is called with, (B, T) int64 each: input_ids, and of packed rows position_ids, of padded ones attention_mask.

    position_ids start at 0 with every example, which is how the model tells packed examples apart."""
    keep: torch.Tensor
    """(S,) int64: the positions whose next token is supervised, flattened to B x T."""
    targets: torch.Tensor
    """(S,) int64: those next tokens."""
    examples: tuple[ExamplePlace, ...] = ()
    """The examples."""
    step: int = 0
    """Of the run, from 0."""

    def numbers(self) -> torch.Tensor:
        """(S,) int64: the example that each supervised position belongs to, by its place in the batch."""
        if (positions := self.inputs.get("position_ids")) is not None:
            return (positions.flatten() == 0).cumsum(0)[self.keep] - 1
        return self.keep // self.inputs["input_ids"].shape[1]

    def to(self, device: torch.device) -> "TokenBatch":
        """The same on another device."""
        inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()}
        keep, targets = (tensor.to(device, non_blocking=True) for tensor in (self.keep, self.targets))
        return replace(self, inputs=inputs, keep=keep, targets=targets)


def pack(rows: MaskedRows, batch: MicroBatch, *, positions: bool = True) -> TokenBatch:
    """Lays the examples one after another, in one row. Targets are shifted within each example, so that none crosses a border."""
    examples = [rows[row] for row in batch.examples]
    starts = np.cumsum([0, *(len(tokens) for tokens, _ in examples)])
    keep, targets = supervised(examples, starts) if not batch.filler else (torch.empty(0, dtype=torch.int64),) * 2
    inputs = {"input_ids": one_row([tokens for tokens, _ in examples])}
    if positions:
        inputs["position_ids"] = one_row([np.arange(len(tokens)) for tokens, _ in examples])
    return TokenBatch(batch.index, inputs, keep, targets, placed(batch.examples, starts, examples), batch.step)


def pad(rows: MaskedRows, places: Sequence[int], index: int = 0, step: int = 0) -> TokenBatch:
    """Lays rows side by side, padded on the right."""
    examples = [rows[place] for place in places]
    width = max(len(tokens) for tokens, _ in examples)
    input_ids = torch.zeros((len(examples), width), dtype=torch.int64)
    attention_mask = torch.zeros_like(input_ids)
    for place, (tokens, _) in enumerate(examples):
        input_ids[place, : len(tokens)] = torch.from_numpy(tokens)
        attention_mask[place, : len(tokens)] = 1
    starts = np.arange(len(examples)) * width
    keep, targets = supervised(examples, starts)
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    return TokenBatch(index, inputs, keep, targets, placed(places, starts, examples), step)


def placed(places: Sequence[int], starts: NDArray[np.int64], examples: Sequence[Example]) -> tuple[ExamplePlace, ...]:
    """Of the examples at these places of the rows."""
    lengths = (len(tokens) for tokens, _ in examples)
    return tuple(map(ExamplePlace, places, starts.tolist(), lengths))


def supervised(examples: Sequence[Example], starts: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions whose next token is supervised, and these tokens; `starts` has each example's first position."""
    learned = [np.flatnonzero(mask[1:]) for _, mask in examples]
    keep = [places + start for places, start in zip(learned, starts, strict=False)]
    targets = [tokens[places + 1] for places, (tokens, _) in zip(learned, examples, strict=True)]
    return torch.from_numpy(np.concatenate(keep)), torch.from_numpy(np.concatenate(targets))


def one_row(parts: list[NDArray[np.int64]]) -> torch.Tensor:
    """(1, T) int64."""
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))[None]
