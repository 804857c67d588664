"""How often the text that belongs to another is found among all, and how similarities agree with scores. Plain numbers."""

import numpy as np
from numpy.typing import NDArray

from finetune_trainer.statistics.statistic import Reals, Statistic, mean

Floats = NDArray[np.float32]
TextKeys = NDArray[np.int64]
TOGETHER = 1024
"""Queries whose similarities to all texts are held at once."""


def ranks_of(anchors: Floats, anchor_keys: TextKeys, answer_keys: TextKeys, texts: Floats, text_keys: TextKeys) -> NDArray[np.int64]:
    """(rows,): how many of the `texts` are closer to a row's anchor than the closest one that belongs to it, 0 where it comes first.

    To an anchor that occurs in several rows belong the answers of all of them; the text of the anchor itself is not looked at.
    """
    place_of = {int(key): place for place, key in enumerate(text_keys)}
    answers: dict[int, list[int]] = {}
    for anchor, answer in zip(anchor_keys.tolist(), answer_keys.tolist(), strict=True):
        answers.setdefault(anchor, []).append(place_of[answer])
    found = np.zeros(len(anchors), np.int64)
    for begin in range(0, len(anchors), TOGETHER):
        near = anchors[begin : begin + TOGETHER] @ texts.T
        for row, similar in enumerate(near, start=begin):
            own = place_of.get(int(anchor_keys[row]))
            best = similar[answers[int(anchor_keys[row])]].max()
            found[row] = int((similar > best).sum()) - int(own is not None and similar[own] > best)
    return found


def recall(ranks: NDArray[np.int64], most: int) -> Statistic:
    """Share of the rows whose answer is among the closest `most` texts."""
    return mean(ranks < most)


def spearman(one: Reals, other: Reals) -> Statistic:
    """Correlation of ranks, equal values having their mean rank; NaN where all values of a side are equal."""
    first, second = Ranks(one), Ranks(other)

    def of(weights: Reals) -> Reals:
        total = weights.sum(axis=1, keepdims=True)
        sides = [ranks(weights) for ranks in (first, second)]
        a, b = (side - (weights * side).sum(axis=1, keepdims=True) / total for side in sides)
        with np.errstate(invalid="ignore"):
            correlation: Reals = (weights * a * b).sum(axis=1) / np.sqrt((weights * a * a).sum(axis=1) * (weights * b * b).sum(axis=1))
        return correlation

    return of


class Ranks:
    """The ranks of values in resamples that have each of them several times or not at all, without sorting again."""

    def __init__(self, values: Reals) -> None:
        _, self._places, counts = np.unique(values, return_inverse=True, return_counts=True)
        self._order = np.argsort(self._places, kind="stable")
        self._starts = np.cumsum(counts) - counts

    def __call__(self, weights: Reals) -> Reals:
        """(B, rows): from 1; equal values have the mean of their ranks."""
        counts = np.add.reduceat(weights[:, self._order], self._starts, axis=1)
        ranks: Reals = np.cumsum(counts, axis=1) - (counts - 1) / 2
        return ranks[:, self._places]
