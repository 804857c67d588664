"""The Arrow files written by prepare, memory-mapped. Knows lists, not their meaning."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from finetune_trainer.handover import damaged


def open_rows(path: Path) -> pa.Table:
    """The file as a memory-mapped table."""
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowInvalid) as exc:
        raise damaged(f"cannot read the prepared rows {path} ({exc})", "prepare") from exc


def list_lengths(lists: pa.ChunkedArray) -> NDArray[np.int64]:
    """Number of values in each list."""
    parts = [np.diff(chunk.offsets.to_numpy()) for chunk in lists.chunks]
    return np.concatenate([np.empty(0, np.int64), *parts]).astype(np.int64)


def values_of(lists: pa.ChunkedArray, row: int) -> NDArray[np.int64]:
    """The numbers of one list."""
    values: NDArray[np.int64] = lists[row].values.to_numpy(zero_copy_only=False).astype(np.int64)
    return values
