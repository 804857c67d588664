"""Rows of a language model, as prepare left them: token ids and what of them is supervised."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetune_trainer.workspace.prepared_rows import list_lengths, open_rows, true_counts, values_of


class Rows:
    """The rows of an Arrow file of input_ids and loss_mask."""

    def __init__(self, path: Path, limit: int | None = None) -> None:
        """`limit`: only the first rows of the file, at most this many."""
        table = open_rows(path).slice(0, limit)
        self._ids, self._mask = table.column("input_ids"), table.column("loss_mask")
        self.lengths = list_lengths(self._ids)
        self.supervised = true_counts(self._mask, lambda values: values, skip=1)
        """Targets of each row: the first token is predicted from nothing."""

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Token ids and loss mask of a row, both of its length."""
        return values_of(self._ids, row), values_of(self._mask, row).astype(np.bool_)


def read_prompt_tokens(path: Path, limit: int) -> list[list[int]]:
    """The first `limit` prompts of an Arrow file of input_ids."""
    prompts: list[list[int]] = open_rows(path).slice(0, limit)["input_ids"].to_pylist()
    return prompts
