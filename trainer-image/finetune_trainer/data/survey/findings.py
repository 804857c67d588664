"""Counts what is wrong with a file by kind and keeps the first findings in full."""

from collections import Counter

from finetune_trainer.data.rows.explain import Problem
from finetune_trainer.failure import StageFailure, invalid

KEPT = 50
"""Findings that are kept word for word."""


class Findings:
    """What is wrong with one file."""

    def __init__(self, name: str, param: str) -> None:
        self.name = name
        self.param = param
        self.rows = 0
        self.first: list[str] = []
        self.kinds: Counter[str] = Counter()

    def add(self, where: str, problems: list[Problem]) -> None:
        """Takes down what is wrong with one row."""
        self.rows += 1
        for problem in problems:
            self.kinds[problem.kind] += 1
            if len(self.first) < KEPT:
                self.first.append(f"{where}: {problem.text}")

    def failure(self, total: int) -> StageFailure:
        """InvalidDataset; `total` is the number of rows that were read."""
        counts = ", ".join(f"{count} x {kind}" for kind, count in self.kinds.most_common())
        rows = f"{self.rows:,} of {total:,} rows {'is' if self.rows == 1 else 'are'}"
        message = f"{self.name}: {rows} invalid ({counts}). First: {self.first[0]}"
        failure = invalid("InvalidDataset", message, param=self.param, details=self.first)
        failure.kinds = dict(self.kinds.most_common())
        return failure
