"""95 % confidence intervals by the percentile bootstrap (Efron 1979), paired: both models are scored on the same resampled rows.

A resample draws as many rows as there are, with replacement. The seed is fixed, so the same scores have the same intervals.
"""

from collections.abc import Iterator

import numpy as np

from finetune_api.metrics import LEAST_INTERVAL_ROWS
from finetune_api.model_directory import Interval, Intervals
from finetune_trainer.statistics.statistic import Measured, Reals

RESAMPLES = 1000
BOUNDS = (0.025, 0.975)
DEFINED = 0.95
"""Share of the resamples that must tell a metric, at least."""
TOGETHER = 1 << 21
"""Weights that are held at once, at most: 16 MiB."""


def intervals(base: Measured, tuned: Measured) -> Intervals | None:
    """Of all metrics of both models, and of tuned minus base; None for too few rows."""
    if base.rows != tuned.rows or base.rows < LEAST_INTERVAL_ROWS:
        return None
    names = [name for name in tuned.scores if name in base.scores]
    values = {name: np.empty((2, RESAMPLES)) for name in names}
    done = 0
    for weights in resamples(base.rows):
        for name in names:
            for side, measured in enumerate((base, tuned)):
                values[name][side, done : done + len(weights)] = measured.statistics[name](weights)
        done += len(weights)
    with np.errstate(invalid="ignore"):
        sides = {
            "base": {name: found[0] for name, found in values.items()},
            "tuned": {name: found[1] for name, found in values.items()},
            "difference": {name: found[1] - found[0] for name, found in values.items()},
        }
    return Intervals(**{side: {name: found for name in names if (found := interval(of[name]))} for side, of in sides.items()})


def interval(values: Reals) -> Interval | None:
    """Of the values of resamples, with six digits; None where too many are not defined."""
    finite = values[np.isfinite(values)]
    if len(finite) < DEFINED * len(values):
        return None
    low, high = (float(f"{bound:.6g}") for bound in np.quantile(finite, BOUNDS))
    return Interval(low=low, high=high)


def resamples(rows: int) -> Iterator[Reals]:
    """(B, rows) each: how often a resample has each row."""
    random, left = np.random.default_rng(0), RESAMPLES
    while left:
        count = min(left, max(1, TOGETHER // rows))
        drawn = random.integers(0, rows, (count, rows)) + rows * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float64)
        left -= count
