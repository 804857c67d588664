"""A metric as a function of weighted rows: with weights of 1 it is the score, with the counts of a resample that of the resample.

So there is one definition of a metric, and its interval needs no second forward pass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune_api.metrics import Scores

Reals = NDArray[np.float64]
Statistic = Callable[[Reals], Reals]
"""(B, rows) weights -> (B,) values; NaN where the weighted rows do not tell."""
LARGEST_EXPONENT = 700.0
"""Of e, in numbers of 64 bits."""


@dataclass(frozen=True)
class Measured:
    """What was measured of a model."""

    rows: int
    statistics: dict[str, Statistic]
    """By metric, always with the loss."""

    @cached_property
    def scores(self) -> Scores:
        """Of the rows as they are, without what they do not tell. A loss that is not finite is there all the same."""
        found = {name: value_of(statistic, self.rows) for name, statistic in self.statistics.items()}
        return {name: value for name, value in found.items() if name == "loss" or not np.isnan(value)}


def value_of(statistic: Statistic, rows: int) -> float:
    """Of rows that weigh the same."""
    return float(statistic(np.ones((1, rows)))[0])


def ratio(over: Any, under: Any, empty: float = np.nan) -> Statistic:
    """Of two sums over rows, to which each row adds its number; `empty` where the lower sum is 0."""
    upper, lower = np.asarray(over, np.float64), np.asarray(under, np.float64)

    def of(weights: Reals) -> Reals:
        with np.errstate(all="ignore"):  # a model that diverged has no finite numbers
            below = weights @ lower
            return np.where(below > 0, (weights @ upper) / below, empty)

    return of


def mean(values: Any) -> Statistic:
    """Over rows."""
    return ratio(values, np.ones(len(values)))


def perplexity(loss: Statistic) -> Statistic:
    """Exponential of a mean loss in nats."""
    return lambda weights: np.exp(np.minimum(loss(weights), LARGEST_EXPONENT))
