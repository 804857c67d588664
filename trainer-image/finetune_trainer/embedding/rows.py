"""Rows of task text-embedding as prepare left them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from finetune_trainer.data.tokens.arrow import TEXTS, laid_out
from finetune_trainer.workspace.prepared_rows import list_lengths, open_rows, values_of

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class EmbeddingRow:
    """One example."""

    texts: tuple[Numbers, ...]
    """Token ids of anchor, positive and, if there is one, negative."""
    score: float | None


class EmbeddingRows:
    """The rows of one Arrow file."""

    def __init__(self, path: Path, limit: int | None = None) -> None:
        """`limit`: only the first rows of the file, at most this many."""
        table = open_rows(path).slice(0, limit)
        self._texts = [table.column(name) for name in TEXTS]
        self._scores = table.column("scores")
        self._sides = [list_lengths(column) for column in self._texts]
        self.lengths = laid_out(self._sides, padded=True)
        """Tokens of each row in a micro-batch, its texts side by side."""
        self.supervised = np.ones(len(self.lengths), np.int64)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> EmbeddingRow:
        texts = (values_of(column, row) for column in self._texts)
        scores = self._scores[row].as_py()
        return EmbeddingRow(tuple(ids for ids in texts if len(ids)), scores[0] if scores else None)

    @property
    def tokens(self) -> int:
        """Of all texts."""
        return int(sum(side.sum() for side in self._sides))

    @property
    def longest(self) -> int:
        """Tokens of the longest text."""
        return int(max(side.max(initial=1) for side in self._sides))

    @cached_property
    def scored(self) -> bool:
        """Rows have scores: prepare lets all of them have one, or none."""
        return bool(list_lengths(self._scores).any())


def key_of(ids: Numbers) -> int:
    """The same for the same text."""
    return xxh3_64_intdigest(ids.tobytes()) >> 1  # fits into int64
