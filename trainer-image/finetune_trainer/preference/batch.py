"""Rows with several answers as tensors: all answers of a micro-batch in one forward pass."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from finetune_trainer.language_model.batch import TokenBatch, pack, pad
from finetune_trainer.preference.rows import ComparedRows
from finetune_trainer.step_plan import MicroBatch


@dataclass(frozen=True)
class AnswerBatch:
    """B rows with A answers each; S supervised positions in all."""

    tokens: TokenBatch
    rows: tuple[int, ...]
    """Numbers of the B rows; none in a filler."""
    answer_of: torch.Tensor
    """(S,) int64: which of the B x A answers a supervised position is of."""
    counts: torch.Tensor
    """(B, A) int64: supervised tokens of each answer."""
    reference: torch.Tensor
    """(B, A) fp32: log-probabilities by the base model; zeros where they are not needed, or not known yet."""
    mismatched: bool = False
    """The answers are those of other rows."""

    @property
    def index(self) -> int:
        """The micro-batch's number within the step."""
        return self.tokens.index

    def after(self, others: int) -> "AnswerBatch":
        """The same with a number behind those of other micro-batches."""
        return replace(self, tokens=replace(self.tokens, index=self.index + others))

    def to(self, device: torch.device) -> "AnswerBatch":
        """The same on another device."""
        names = ("answer_of", "counts", "reference")
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in names}
        return replace(self, tokens=self.tokens.to(device), **moved)


def answer_batch(
    rows: ComparedRows, examples: MicroBatch, reference: NDArray[np.float64] | None, *, packed: bool, mismatched: bool = False
) -> AnswerBatch:
    """The rows of a micro-batch, packed in one row of tokens, or padded side by side for a model that does not keep packed ones apart."""
    found = () if examples.filler else examples.examples
    places, answers = rows.places(examples.examples), rows.answers
    batch = replace(examples, examples=places)
    counts = answers.supervised[list(rows.places(found))].reshape(-1, answers.answers)
    values = np.zeros(counts.shape) if reference is None else reference[list(found)].reshape(counts.shape)
    return AnswerBatch(
        tokens=pack(answers, batch, positions=packed) if packed or examples.filler else pad(answers, places, examples.index, examples.step),
        rows=found,
        answer_of=torch.from_numpy(np.repeat(np.arange(counts.size), counts.reshape(-1))),
        counts=torch.from_numpy(counts),
        reference=torch.from_numpy(values).float(),
        mismatched=mismatched,
    )
