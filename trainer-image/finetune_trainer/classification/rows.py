"""Labelled rows as prepare left them: input_ids, token_type_ids and labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetune_text.tags import IGNORED
from finetune_trainer.classification.labelling import Labelling
from finetune_trainer.workspace.prepared_rows import list_lengths, open_rows, true_counts, values_of

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class LabelledRow:
    """One example."""

    tokens: Numbers
    types: Numbers
    """0 for the first text, 1 for the second; of the length of `tokens`."""
    labels: Numbers
    """Class indices: one of the text; every one that applies (multi-label); or one for each token, -100 where there is none."""


class LabelledRows:
    """The rows of one Arrow file."""

    def __init__(self, path: Path, labelling: Labelling, limit: int | None = None) -> None:
        """`limit`: only the first rows of the file, at most this many."""
        table = open_rows(path).slice(0, limit)
        self._tokens, self._types, self._labels = (table.column(name) for name in ("input_ids", "token_type_ids", "labels"))
        self.lengths = list_lengths(self._tokens)
        labelled = true_counts(self._labels, lambda values: values != IGNORED)
        self.supervised = labelled if labelling.per_token else np.ones(len(self.lengths), np.int64)
        """What the loss is a mean over: labelled tokens of each row, or the row itself."""

    def label_counts(self, labels: int) -> Numbers:
        """Of each of so many labels the rows, or tokens, that have it."""
        values = np.concatenate([np.empty(0, np.int64), *(chunk.flatten().to_numpy(zero_copy_only=False) for chunk in self._labels.chunks)])
        return np.bincount(values[values != IGNORED].astype(np.int64), minlength=labels)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> LabelledRow:
        return LabelledRow(*(values_of(column, row) for column in (self._tokens, self._types, self._labels)))
