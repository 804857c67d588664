"""Prepared rows, mapped from the Arrow file and never held in memory as a whole."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from finetune_trainer.failure import invalid


class Rows:
    """The rows of data/train.arrow: token ids and what of them is to be learned."""

    def __init__(self, path: Path) -> None:
        try:
            self._table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except (OSError, pa.ArrowInvalid) as exc:
            raise invalid("PreparedDataUnreadable", f"cannot read the prepared rows {path}: {exc}; run prepare again") from exc
        self._ids = self._table.column("input_ids")
        self._mask = self._table.column("loss_mask")
        self.lengths = np.concatenate([list_lengths(chunk) for chunk in self._ids.chunks])
        self.supervised = np.concatenate([supervised_counts(chunk) for chunk in self._mask.chunks])
        """Targets of each row: a row's first token is nobody's target."""

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Token ids and loss mask of a row, both of its length."""
        ids = self._ids[row].values.to_numpy(zero_copy_only=False).astype(np.int64)
        mask = self._mask[row].values.to_numpy(zero_copy_only=False).astype(np.bool_)
        return ids, mask


def list_lengths(lists: pa.ListArray) -> NDArray[np.int64]:
    """Number of values in each list."""
    lengths: NDArray[np.int64] = np.diff(lists.offsets.to_numpy()).astype(np.int64)
    return lengths


def supervised_counts(masks: pa.ListArray) -> NDArray[np.int64]:
    """True values after the first of each list."""
    offsets = masks.offsets.to_numpy()
    values = masks.values.to_numpy(zero_copy_only=False)
    before = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    firsts = np.minimum(offsets[:-1] + 1, offsets[1:])
    counts: NDArray[np.int64] = before[offsets[1:]] - before[firsts]
    return counts
