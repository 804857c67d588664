"""Confidence intervals, against plain loops over the same resamples and against what is known of normal numbers."""

import math
import tracemalloc

import numpy as np
import pytest

from finetune_api.model_directory import Interval
from finetune_trainer.classification.f1 import mean_f1
from finetune_trainer.embedding.retrieval import spearman
from finetune_trainer.statistics.bootstrap import RESAMPLES, intervals, resamples
from finetune_trainer.statistics.statistic import Measured, Reals, Statistic, mean, perplexity, ratio, value_of

pytestmark = pytest.mark.unit
ROWS = 60
RANDOM = np.random.default_rng(3)
LOSSES, TOKENS = RANDOM.gamma(2, 5, ROWS), RANDOM.integers(1, 30, ROWS)
TRUTHS, GUESSES = (list(map(str, RANDOM.integers(0, 3, ROWS))) for _ in range(2))
SCORES, SIMILAR = RANDOM.integers(0, 6, ROWS) / 5, RANDOM.normal(size=ROWS)


def repeated(weights: Reals) -> list[int]:
    """The rows of a resample, one after the other."""
    return [row for row, count in enumerate(weights) for _ in range(int(count))]


def plain_loss(rows: list[int]) -> float:
    """Per token."""
    return sum(LOSSES[row] for row in rows) / sum(TOKENS[row] for row in rows)


def plain_f1(rows: list[int]) -> float:
    """Mean over the labels that occur."""
    labels = {TRUTHS[row] for row in rows} | {GUESSES[row] for row in rows}
    found = []
    for label in labels:
        right = sum(TRUTHS[row] == GUESSES[row] == label for row in rows)
        found.append(2 * right / sum((TRUTHS[row] == label) + (GUESSES[row] == label) for row in rows))
    return sum(found) / len(found)


def plain_spearman(rows: list[int]) -> float:
    """Pearson's correlation of mean ranks."""

    def ranks(values: list[float]) -> list[float]:
        return [sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2 for value in values]

    return float(np.corrcoef(ranks([SCORES[row] for row in rows]), ranks([SIMILAR[row] for row in rows]))[0, 1])


STATISTICS = {
    "loss": (ratio(LOSSES, TOKENS), plain_loss),
    "perplexity": (perplexity(ratio(LOSSES, TOKENS)), lambda rows: math.exp(plain_loss(rows))),
    "f1": (mean_f1(TRUTHS, GUESSES), plain_f1),
    "spearman": (spearman(SCORES, SIMILAR), plain_spearman),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_a_resample_has_the_metric_of_its_rows(name: str) -> None:
    """Weighted rows give what the same rows give one after the other."""
    statistic, plain = STATISTICS[name]
    weights = next(resamples(ROWS))[:20]
    np.testing.assert_allclose(statistic(weights), [plain(repeated(row)) for row in weights], rtol=1e-9)
    assert value_of(statistic, ROWS) == pytest.approx(plain(list(range(ROWS))))


def test_intervals_are_percentiles_of_paired_resamples() -> None:
    """Of both models on the same rows, and of tuned minus base."""
    better = LOSSES - 0.5 * TOKENS
    found = intervals(Measured(ROWS, {"loss": ratio(LOSSES, TOKENS)}), Measured(ROWS, {"loss": ratio(better, TOKENS)}))
    assert found is not None
    base = np.array([plain_loss(repeated(row)) for weights in resamples(ROWS) for row in weights])
    assert len(base) == RESAMPLES
    for got, values in ((found.base["loss"], base), (found.tuned["loss"], base - 0.5)):
        assert (got.low, got.high) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])), rel=1e-5)
    assert (found.difference["loss"].low, found.difference["loss"].high) == pytest.approx((-0.5, -0.5), abs=1e-6)


def test_a_mean_has_the_interval_that_statistics_books_give() -> None:
    """1.96 standard errors on either side, of many rows; and the memory does not grow with them."""
    values = np.random.default_rng(1).normal(2, 3, 100_000)
    measured = Measured(len(values), {"loss": mean(values)})
    tracemalloc.start()
    found = intervals(measured, measured)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found is not None
    error = values.std() / math.sqrt(len(values))
    middle, width = (found.base["loss"].low + found.base["loss"].high) / 2, found.base["loss"].high - found.base["loss"].low
    assert middle == pytest.approx(values.mean(), abs=error / 5)
    assert width == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert found.difference["loss"] == Interval(low=0, high=0)
    assert peak < 200 << 20


@pytest.mark.parametrize(
    ("rows", "statistic", "there"),
    [(10, mean(np.arange(10)), True), (9, mean(np.arange(9)), False), (40, ratio(np.arange(40), [1] + [0] * 39), False)],
)
def test_no_interval_without_enough_rows(rows: int, statistic: Statistic, there: bool) -> None:
    """Nine rows are too few, and so is one row of its kind, which a third of the resamples has not."""
    measured = Measured(rows, {"loss": mean(np.zeros(rows)), "f1": statistic})
    found = intervals(measured, measured)
    assert ("f1" in found.base if found else False) == there
