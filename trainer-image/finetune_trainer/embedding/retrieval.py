"""How often the text that belongs to another is found among all, and how similarities agree with scores. Plain numbers."""

import numpy as np
from numpy.typing import NDArray

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


def recall(ranks: NDArray[np.int64], most: int) -> float:
    """Share of the rows whose answer is among the closest `most` texts."""
    return float((ranks < most).mean())


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Correlation of ranks, equal values having their mean rank; None where all values of a side are equal."""
    first, second = positions(one), positions(other)
    if not first.std() or not second.std():
        return None
    return float(np.corrcoef(first, second)[0, 1])


def positions(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rank of each value, from 1; the mean of the ranks of equal ones."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: NDArray[np.float64] = np.cumsum(counts) - (counts - 1) / 2
    return means[places]
