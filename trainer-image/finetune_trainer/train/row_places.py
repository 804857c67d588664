"""The lines of the dataset that rows of an Arrow file come from, for messages about rows that training cannot use."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from finetune_trainer.data.profile.findings import Places
from finetune_trainer.data.tokens.arrow import SOURCE, TOKEN_IDS, WHERE
from finetune_trainer.workspace.handover import damaged
from finetune_trainer.workspace.prepared_rows import open_rows


class RowPlaces:
    """Of the rows of one file."""

    def __init__(self, path: Path) -> None:
        self._table = open_rows(path)
        source = (self._table.schema.metadata or {}).get(SOURCE.encode(), path.name.encode())
        self._source: str = source.decode()
        self.columns: list[str] = self._table.column_names

    def of(self, rows: Sequence[int]) -> str:
        """ "train.jsonl, lines 3, 17 and 25", of a file that says nothing "train.arrow, rows 4 and 5"; the file alone for no rows."""
        if not rows:
            return self._source
        known = WHERE in self.columns
        found = [self._table[WHERE][row].as_py() if known else f"row {row + 1}" for row in sorted(rows)]
        places = Places()
        for where in dict.fromkeys(found):  # a row of the dataset may have become several examples
            places.add(where)
        return f"{self._source}, {places}"

    def outside(self, column: str, end: int) -> list[int]:
        """Rows whose list in `column` has a number that is negative or not below `end`."""
        return list(self._outside(column, end))

    def _outside(self, column: str, end: int) -> Iterator[int]:
        first = 0
        for chunk in self._table[column].chunks:
            bounds = pc.min_max(chunk.flatten()).as_py()
            if bounds["min"] is not None and not (bounds["min"] >= 0 and bounds["max"] < end):
                yield from (first + row for row, ids in enumerate(chunk.to_pylist()) if not all(0 <= id < end for id in ids))
            first += len(chunk)


def check_token_ids(path: Path, model: Any) -> None:
    """Raises StageFailure for rows with tokens that the model has no embedding for: on a GPU they would end the process without a word
    about the row."""
    places, vocabulary = RowPlaces(path), model.get_input_embeddings().weight.shape[0]
    for column in TOKEN_IDS:
        if column in places.columns and (rows := places.outside(column, vocabulary)):
            # prepare has checked them: since then its files have changed, or the base has.
            raise damaged(f"{places.of(rows)}: there are tokens beyond the {vocabulary:,} that the base model has", "prepare")
