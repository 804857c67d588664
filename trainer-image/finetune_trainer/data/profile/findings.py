"""What is wrong with the rows of a file: how often, of which kind, where, and the first findings in full."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.tasks.explain import Problem

KEPT = 50
"""Findings that are kept word for word, and remarks."""
SHOWN = 3
"""Places that are named."""


@dataclass
class Places:
    """ "line 17"; "lines 1, 2 and 3"; "lines 1, 2, 3 and 11 more"."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, where: str) -> None:
        """Takes in a place."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(where)

    def join(self, other: "Places") -> None:
        """Takes in what was found further on."""
        self.count += other.count
        self.first += other.first[: SHOWN - len(self.first)]

    def __str__(self) -> str:
        if self.count == 1:
            return self.first[0]
        names = [where.split(" ", 1) for where in self.first]
        kind, places = names[0][0], [place for _, place in names]
        last = f"{self.count - SHOWN:,} more" if self.count > SHOWN else places.pop()
        return f"{kind}s {', '.join(places)} and {last}"


def add_to(found: dict[str, Places], text: str, where: str, most: int) -> None:
    """Takes down where a text holds, of at most so many texts."""
    if text in found or len(found) < most:
        found.setdefault(text, Places()).add(where)


def join_into(found: dict[str, Places], others: dict[str, Places], most: int) -> None:
    """Takes in the texts that were found further on."""
    for text, places in others.items():
        if text in found or len(found) < most:
            found.setdefault(text, Places()).join(places)


@dataclass
class Errors:
    """What is wrong with rows: how many, of which kinds, and the first in full, equal ones together."""

    rows: int = 0
    texts: dict[str, Places] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, where: str, problems: Sequence[Problem]) -> None:
        """Takes down what is wrong with one row."""
        self.rows += 1
        for problem in problems:
            self.kinds[problem.kind] += 1
            add_to(self.texts, problem.text, where, KEPT)

    def join(self, other: "Errors") -> None:
        """Takes in what was found further on."""
        self.rows += other.rows
        self.kinds += other.kinds
        join_into(self.texts, other.texts, KEPT)

    @property
    def first(self) -> list[str]:
        """The first findings: "lines 1, 2, 3 and 11 more: messages[0] has no role"."""
        return [f"{places}: {text}" for text, places in self.texts.items()]


class Findings:
    """What is wrong with one file."""

    def __init__(self, name: str, param: str, errors: Errors | None = None) -> None:
        self.name = name
        self.param = param
        self._errors = Errors() if errors is None else errors

    @property
    def rows(self) -> int:
        """Rows that are invalid."""
        return self._errors.rows

    @property
    def first(self) -> list[str]:
        """The first findings, a line each."""
        return self._errors.first

    @property
    def kinds(self) -> Counter[str]:
        """How many findings there are of each kind."""
        return self._errors.kinds

    def add(self, where: str, problems: Sequence[Problem]) -> None:
        """Takes down what is wrong with one row."""
        self._errors.add(where, problems)

    def failure(self, total: int, allowed: float = 0) -> StageFailure:
        """InvalidDataset; `total` is the number of rows that were read, `allowed` the share of them that may be invalid."""
        counts = ", ".join(f"{count:,} x {kind}" for kind, count in self.kinds.most_common())
        rows = f"{self.rows:,} of {total:,} rows {'is' if self.rows == 1 else 'are'}"
        limit = f"; dataset.limits.maxInvalidFraction lets {int(allowed * total):,} be dropped" if allowed else ""
        message = f"{self.name}: {rows} invalid ({counts}){limit}. First: {self.first[0]}"
        failure = invalid("InvalidDataset", message, param=self.param, details=self.first)
        failure.kinds = dict(self.kinds.most_common())
        return failure
