"""Accuracy and F1 of predictions, as statistics of rows. Pure: labels in, functions of weights out."""

from collections.abc import Collection, Hashable, Sequence
from itertools import chain

import numpy as np

from finetune_trainer.statistics.statistic import Reals, Statistic, mean, ratio

Sets = Sequence[Collection[Hashable]]
"""A set of labels for each row."""


def accuracy(truths: Sequence[object], guesses: Sequence[object]) -> Statistic:
    """Share of guesses that are right; several labels are right together or not at all."""
    return mean([truth == guess for truth, guess in zip(truths, guesses, strict=True)])


def tag_accuracy(truths: Sequence[Sequence[object]], guesses: Sequence[Sequence[object]]) -> Statistic:
    """The same for rows with a label for each of their tokens."""
    right = [sum(map(lambda one, other: one == other, *row)) for row in zip(truths, guesses, strict=True)]
    return ratio(right, [len(row) for row in truths])


def mean_f1(truths: Sets, guesses: Sets) -> Statistic:
    """Mean of the labels' F1 over the labels that occur in the truth or in the guesses; each example has a set of labels."""
    number = {label: place for place, label in enumerate(dict.fromkeys(chain(*truths, *guesses)))}
    pairs = list(zip(truths, guesses, strict=True))
    right = np.array([(row, number[label]) for row, (truth, guess) in enumerate(pairs) for label in set(truth) & set(guess)], np.int64)
    named = np.array([(row, number[label]) for row, pair in enumerate(pairs) for side in pair for label in set(side)], np.int64)

    def of(weights: Reals) -> Reals:
        return np.array([one(row) for row in weights])

    def one(weights: Reals) -> float:
        hits, all_ = (
            np.bincount(places, weights[rows], minlength=len(number)) for rows, places in (right.reshape(-1, 2).T, named.reshape(-1, 2).T)
        )
        occur = all_ > 0
        return float((2 * hits[occur] / all_[occur]).mean()) if occur.any() else 1.0

    return of


def set_f1(truths: Sets, guesses: Sets) -> Statistic:
    """F1 over all members of all sets counted together (entities of sentences)."""
    right = [2 * len(set(truth) & set(guess)) for truth, guess in zip(truths, guesses, strict=True)]
    named = [len(set(truth)) + len(set(guess)) for truth, guess in zip(truths, guesses, strict=True)]
    return ratio(right, named, empty=1.0)
