"""Counts what is wrong with a file by kind and keeps the first findings in full."""

from collections import Counter
from collections.abc import Sequence

from finetune_trainer.data.profile.tally import KEPT, Wrongs
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.tasks.explain import Problem

__all__ = ["KEPT", "Findings"]


class Findings:
    """What is wrong with one file."""

    def __init__(self, name: str, param: str, wrongs: Wrongs | None = None) -> None:
        self.name = name
        self.param = param
        self._wrongs = Wrongs() if wrongs is None else wrongs

    @property
    def rows(self) -> int:
        """Rows that are invalid."""
        return self._wrongs.rows

    @property
    def first(self) -> list[str]:
        """The first findings, a line each."""
        return self._wrongs.first

    @property
    def kinds(self) -> Counter[str]:
        """How many findings there are of each kind."""
        return self._wrongs.kinds

    def add(self, where: str, problems: Sequence[Problem]) -> None:
        """Takes down what is wrong with one row."""
        self._wrongs.add(where, problems)

    def failure(self, total: int, allowed: float = 0) -> StageFailure:
        """InvalidDataset; `total` is the number of rows that were read, `allowed` the share of them that may be invalid."""
        counts = ", ".join(f"{count:,} x {kind}" for kind, count in self.kinds.most_common())
        rows = f"{self.rows:,} of {total:,} rows {'is' if self.rows == 1 else 'are'}"
        limit = f"; dataset.limits.maxInvalidFraction lets {int(allowed * total):,} be dropped" if allowed else ""
        message = f"{self.name}: {rows} invalid ({counts}){limit}. First: {self.first[0]}"
        failure = invalid("InvalidDataset", message, param=self.param, details=self.first)
        failure.kinds = dict(self.kinds.most_common())
        return failure
