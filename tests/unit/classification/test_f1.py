"""Accuracy, F1 and entities, against tables worked by hand."""

from collections.abc import Hashable

import pytest

from finetune_text.tags import entities
from finetune_trainer.classification.f1 import accuracy, mean_f1, set_f1
from finetune_trainer.statistics.statistic import value_of

pytestmark = pytest.mark.unit


CONLL_TRUTH = ["B-PER", "I-PER", "O", "B-LOC", "O", "B-ORG", "I-ORG", "I-ORG", "O", "B-PER"]
"""PER 0-2, LOC 3-4, ORG 5-8, PER 9-10."""


@pytest.mark.parametrize(
    ("guess", "f1"),
    [
        ("B-PER I-PER O B-LOC O B-ORG I-ORG I-ORG O B-PER", 1.0),
        ("B-PER O O B-LOC O B-ORG I-ORG I-ORG O B-PER", 2 * 3 / (4 + 4)),  # a border is wrong: no half points
        ("B-LOC I-LOC O B-LOC O B-ORG I-ORG I-ORG O B-PER", 2 * 3 / (4 + 4)),  # a name is wrong
        ("B-PER I-PER O O O O O O O O", 2 * 1 / (4 + 1)),
        ("B-PER I-PER O B-LOC B-LOC B-ORG I-ORG I-ORG O B-PER", 2 * 4 / (4 + 5)),  # one too many
        ("O O O O O O O O O O", 0.0),
    ],
)
def test_f1_of_entities(guess: str, f1: float) -> None:
    """Twice the entities that are right, over those that are there and those that were found; the sentences together."""
    assert value_of(set_f1([set(entities(CONLL_TRUTH))], [set(entities(guess.split()))]), 1) == pytest.approx(f1)
    truth, found = set(entities(CONLL_TRUTH)), set(entities(guess.split()))
    twice = value_of(set_f1([truth] * 2, [found, truth]), 2)
    assert twice == pytest.approx((f1 * (4 + len(entities(guess.split()))) + 8) / (12 + len(entities(guess.split()))))


def test_nothing_to_find_and_nothing_found_is_right() -> None:
    """Not a division by zero."""
    assert value_of(set_f1([set()], [set()]), 1) == 1.0
    assert value_of(mean_f1([set()], [set()]), 1) == 1.0


@pytest.mark.parametrize(
    ("truths", "guesses", "expected_accuracy", "expected_f1"),
    [
        ("aabb", "aabb", 1.0, 1.0),
        ("aabb", "aaab", 0.75, (2 * 2 / 5 + 2 * 1 / 3) / 2),  # a: 2 right of 2 + 3 named; b: 1 right of 2 + 1
        ("aaab", "aaaa", 0.75, (2 * 3 / 7 + 0) / 2),  # the rare label counts as much as the other
        ("aabb", "aacc", 0.5, (1 + 0 + 0) / 3),  # c was guessed, so it counts
    ],
)
def test_one_label(truths: str, guesses: str, expected_accuracy: float, expected_f1: float) -> None:
    """Each label's F1 weighs the same, and labels that occur neither in rows nor in predictions do not count."""
    assert value_of(accuracy(list(truths), list(guesses)), 4) == expected_accuracy
    assert value_of(mean_f1(list(truths), list(guesses)), 4) == pytest.approx(expected_f1)


@pytest.mark.parametrize(
    ("guesses", "expected_accuracy", "expected_f1"),
    [
        ([{"a", "b"}, set(), {"b"}], 1.0, 1.0),
        ([{"a"}, set(), {"b"}], 2 / 3, (1 + 2 * 1 / 3) / 2),
        ([{"a", "b"}, {"a"}, {"b"}], 2 / 3, (2 * 1 / 3 + 1) / 2),
        ([set(), set(), set()], 1 / 3, 0.0),
    ],
)
def test_several_labels(guesses: list[set[Hashable]], expected_accuracy: float, expected_f1: float) -> None:
    """An example is right when all of its labels are; of F1 each label has its own share."""
    truths: list[set[Hashable]] = [{"a", "b"}, set(), {"b"}]
    assert value_of(accuracy(truths, guesses), 3) == pytest.approx(expected_accuracy)
    assert value_of(mean_f1(truths, guesses), 3) == pytest.approx(expected_f1)
