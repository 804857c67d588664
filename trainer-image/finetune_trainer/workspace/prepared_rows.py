"""The Arrow files written by prepare, memory-mapped. Knows lists, not their meaning."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from finetune_trainer.workspace.handover import damaged


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


def true_counts(lists: pa.ChunkedArray, flags: Callable[[NDArray[Any]], NDArray[Any]], *, skip: int = 0) -> NDArray[np.int64]:
    """Of each list, the number of values after the first `skip` ones for which `flags` is true."""
    counts: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    for chunk in lists.chunks:
        offsets = chunk.offsets.to_numpy()
        before = np.concatenate([[0], np.cumsum(flags(chunk.values.to_numpy(zero_copy_only=False)), dtype=np.int64)])
        counts.append(before[offsets[1:]] - before[np.minimum(offsets[:-1] + skip, offsets[1:])])
    return np.concatenate(counts)


def first_true(lists: pa.ChunkedArray) -> NDArray[np.int64]:
    """Of each list, the place of its first true value; its length where there is none."""
    places: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    for chunk in lists.chunks:
        offsets = chunk.offsets.to_numpy()
        found = np.append(np.flatnonzero(chunk.values.to_numpy(zero_copy_only=False)), np.iinfo(np.int64).max)
        places.append(np.minimum(found[np.searchsorted(found, offsets[:-1])], offsets[1:]) - offsets[:-1])
    return np.concatenate(places)
