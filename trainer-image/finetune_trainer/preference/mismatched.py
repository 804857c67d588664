"""Each prompt with the answer of another row: how much likelier than the base a model finds these tells how far it is from the base
(Ethayarajh et al. 2024, section 4).

The rows form one cycle, drawn once for the whole run, so that the base's log-probabilities can be computed before the first step; a row
has the answer of the next one.
"""

from collections.abc import Iterable
from math import fsum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetune_trainer.preference.rows import AnswerRows

CYCLE = 2
"""Sets the generator apart from those of step_plan with the same seed."""


class MismatchedAnswers(AnswerRows):
    """Of the rows of a file of rated answers. Answers are cut at `longest` tokens, as prepare cuts those of the rows."""

    def __init__(self, path: Path, longest: int, seed: int, limit: int | None = None) -> None:
        super().__init__(path, limit)
        order = np.random.Generator(np.random.PCG64([seed, 0, CYCLE])).permutation(len(self.lengths))
        self.other = np.empty_like(order)
        """Whose answer a row has."""
        self.other[order] = np.roll(order, -1)
        self._longest = longest
        self._begins = self.starts(0)
        """Tokens before each row's own answer."""
        whole = self._begins + (self.lengths - self._begins)[self.other]
        self.lengths = np.minimum(whole, longest)
        self.supervised = self.supervised[self.other]
        for row in np.flatnonzero(whole > longest).tolist():
            self.supervised[row] = self[row][1].sum()

    def __getitem__(self, place: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        prompt, answer = super().__getitem__(place), super().__getitem__(int(self.other[place]))
        start, begin = self._begins[place], self._begins[self.other[place]]
        ids, mask = (np.concatenate([one[:start], other[begin:]])[: self._longest] for one, other in zip(prompt, answer, strict=True))
        return ids, mask


def divergence(shares: Iterable[tuple[float, int]]) -> float:
    """The mean of log-ratios, of which each share has a sum and the number; an estimate below 0 is one of 0."""
    found = list(shares)
    return max(0.0, fsum(total for total, _ in found) / max(1, sum(count for _, count in found)))
