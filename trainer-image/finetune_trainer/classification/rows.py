"""Labelled rows as prepare left them: input_ids, token_type_ids and labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from finetune_text.tags import IGNORED
from finetune_trainer.classification.labelling import Labelling
from finetune_trainer.prepared_rows import list_lengths, open_rows, values_of

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class LabelledRow:
    """One example."""

    tokens: Numbers
    types: Numbers
    """0 for the first text, 1 for the second; of the length of `tokens`."""
    labels: Numbers
    """Class indices: one of the text; every one that holds (multi-label); or one for each token, -100 where nothing is asked."""


class LabelledRows:
    """The rows of one side."""

    def __init__(self, path: Path, labelling: Labelling, limit: int | None = None) -> None:
        """`limit`: the first so many rows only."""
        table = open_rows(path).slice(0, limit)
        self._tokens, self._types, self._labels = (table.column(name) for name in ("input_ids", "token_type_ids", "labels"))
        self.lengths = list_lengths(self._tokens)
        self.supervised = labelled_counts(self._labels) if labelling.per_token else np.ones(len(self.lengths), np.int64)
        """What the loss is a mean over: labelled tokens of each row, or the row itself."""

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> LabelledRow:
        return LabelledRow(*(values_of(column, row) for column in (self._tokens, self._types, self._labels)))


def labelled_counts(labels: pa.ChunkedArray) -> Numbers:
    """Labelled tokens of each row."""
    counts: list[Numbers] = [np.empty(0, np.int64)]
    for chunk in labels.chunks:
        offsets = chunk.offsets.to_numpy()
        asked = chunk.values.to_numpy(zero_copy_only=False) != IGNORED
        before = np.concatenate([[0], np.cumsum(asked, dtype=np.int64)])
        counts.append(before[offsets[1:]] - before[offsets[:-1]])
    return np.concatenate(counts)
