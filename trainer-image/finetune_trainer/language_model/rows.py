"""Rows that a language model learns from, as prepare left them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from finetune_trainer.prepared_rows import list_lengths, open_rows, values_of


class Rows:
    """The rows of data/train.arrow: token ids and what of them is to be learned."""

    def __init__(self, path: Path) -> None:
        table = open_rows(path)
        self._ids, self._mask = table.column("input_ids"), table.column("loss_mask")
        self.lengths = list_lengths(self._ids)
        self.supervised = np.concatenate([supervised_counts(chunk) for chunk in self._mask.chunks])
        """Targets of each row: a row's first token is nobody's target."""

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Token ids and loss mask of a row, both of its length."""
        return values_of(self._ids, row), values_of(self._mask, row).astype(np.bool_)


def supervised_counts(masks: pa.ListArray) -> NDArray[np.int64]:
    """True values after the first of each list."""
    offsets = masks.offsets.to_numpy()
    values = masks.values.to_numpy(zero_copy_only=False)
    before = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    firsts = np.minimum(offsets[:-1] + 1, offsets[1:])
    counts: NDArray[np.int64] = before[offsets[1:]] - before[firsts]
    return counts
