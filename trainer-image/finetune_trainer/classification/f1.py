"""Accuracy and F1 of predictions. Pure: class indices in, numbers out."""

from collections import Counter
from collections.abc import Collection, Hashable, Sequence


def accuracy(truths: Sequence[object], guesses: Sequence[object]) -> float:
    """Share of guesses that are right; several labels are right together or not at all."""
    return sum(truth == guess for truth, guess in zip(truths, guesses, strict=True)) / len(truths)


def mean_f1(truths: Sequence[Collection[Hashable]], guesses: Sequence[Collection[Hashable]]) -> float:
    """Mean of the labels' F1 over the labels that occur in the truth or in the guesses; each example has a set of labels."""
    right: Counter[Hashable] = Counter()
    named: Counter[Hashable] = Counter()
    for truth, guess in zip(truths, guesses, strict=True):
        right.update(set(truth) & set(guess))
        named.update([*set(truth), *set(guess)])
    return sum(2 * right[label] / named[label] for label in named) / len(named) if named else 1.0


def set_f1(truths: Sequence[Collection[Hashable]], guesses: Sequence[Collection[Hashable]]) -> float:
    """F1 over all members of all sets counted together (entities of sentences)."""
    right = sum(len(set(truth) & set(guess)) for truth, guess in zip(truths, guesses, strict=True))
    named = sum(len(set(truth)) + len(set(guess)) for truth, guess in zip(truths, guesses, strict=True))
    return 2 * right / named if named else 1.0
