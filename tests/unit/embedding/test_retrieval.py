"""Recall and rank correlation, against plain counts."""

import numpy as np
import pytest

from finetune_trainer.embedding.retrieval import ranks_of, recall, spearman
from finetune_trainer.statistics.statistic import value_of


def test_ranks_count_the_texts_that_are_closer() -> None:
    """Than the closest one that belongs to the anchor, of all its rows; its own text does not count."""
    random = np.random.default_rng(0)
    texts = random.normal(size=(9, 4)).astype(np.float32)
    keys = np.arange(100, 109)
    anchor_keys = np.array([1, 2, 1, 104])  # the third row has the anchor of the first; the text of the last one is among the texts
    anchors = np.stack([*random.normal(size=(2, 4)), np.zeros(4), texts[4]]).astype(np.float32)
    anchors[2] = anchors[0]
    answers = np.array([103, 105, 107, 101])
    belong = {1: (103, 107), 2: (105,), 104: (101,)}
    expected = []
    for anchor, key in zip(anchors, anchor_keys, strict=True):
        near = {int(name): float(anchor @ text) for name, text in zip(keys, texts, strict=True) if name != key}
        best = max(near[name] for name in belong[int(key)])
        expected.append(sum(value > best for value in near.values()))
    found = ranks_of(anchors, anchor_keys, answers, texts, keys)
    assert found.tolist() == expected
    assert value_of(recall(found, 1), 4) == sum(rank == 0 for rank in expected) / 4
    assert value_of(recall(found, 10), 4) == 1


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 25, 90], 1.0),
        ([1, 2, 3, 4], [9, 7, 5, 1], -1.0),
        ([1, 2, 2, 3], [1, 2, 3, 4], 0.9486833),  # ranks 1, 2.5, 2.5, 4
        ([1, 1, 1], [1, 2, 3], None),
    ],
)
def test_rank_correlation(one: list[float], other: list[float], expected: float | None) -> None:
    """Equal values share the mean of their ranks; without any difference there is no correlation."""
    found = value_of(spearman(np.array(one, np.float64), np.array(other, np.float64)), len(one))
    assert np.isnan(found) if expected is None else found == pytest.approx(expected, abs=1e-6)
