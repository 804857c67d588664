"""Rows with several answers, as prepare left them. The answers of row 3 of pairs are the examples 6 (preferred) and 7."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetune_trainer.workspace.prepared_rows import first_true, list_lengths, open_rows, true_counts, values_of

Counts = NDArray[np.int64]
COLUMNS = (("input_ids", "loss_mask"), ("rejected_ids", "rejected_mask"))
"""Of each answer of a row; rated rows have one."""


class AnswerRows:
    """Every answer by itself, behind its prompt: token ids, and what of them is supervised."""

    def __init__(self, path: Path, limit: int | None = None) -> None:
        """`limit`: only the first rows of the file, at most this many."""
        table = open_rows(path).slice(0, limit)
        self._columns = [(table.column(ids), table.column(mask)) for ids, mask in COLUMNS if ids in table.column_names]
        self.answers = len(self._columns)
        """Of a row."""
        self.lengths = interleaved([list_lengths(ids) for ids, _ in self._columns])
        self.supervised = interleaved([true_counts(mask, lambda values: values, skip=1) for _, mask in self._columns])

    def starts(self, answer: int) -> Counts:
        """Of each row, the tokens before the first supervised one of an answer."""
        return first_true(self._columns[answer][1])

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, place: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Token ids and loss mask of an answer, both of its length."""
        row, answer = divmod(place, self.answers)
        ids, mask = self._columns[answer]
        return values_of(ids, row), values_of(mask, row).astype(np.bool_)


class ComparedRows:
    """The same rows as the steps are made of: a row with all its answers is one example."""

    def __init__(self, answers: AnswerRows) -> None:
        self.answers = answers
        self.lengths = answers.lengths.reshape(-1, answers.answers).sum(axis=1)
        """Tokens of all answers of a row, each with its prompt."""
        self.supervised = np.ones(len(self.lengths), np.int64)
        """The loss is a mean over rows."""

    def __len__(self) -> int:
        return len(self.lengths)

    def places(self, rows: tuple[int, ...]) -> tuple[int, ...]:
        """The answers of some rows, those of a row one after the other."""
        each = range(self.answers.answers)
        return tuple(row * self.answers.answers + answer for row in rows for answer in each)


def read_labels(path: Path, limit: int | None = None) -> NDArray[np.bool_]:
    """Of a file of rated rows: true for a desirable answer. `limit` as for AnswerRows."""
    labels: NDArray[np.bool_] = open_rows(path).slice(0, limit).column("label").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return labels


def interleaved(columns: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The values of each row one after the other."""
    return np.stack(columns, axis=1).reshape(-1)
