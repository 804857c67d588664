"""From logits to classes and entities."""

import numpy as np
import pytest

from finetune_server.classification.classes import Classes, sigmoid, softmax
from finetune_server.classification.entities import Entity, Tagged, first_of_words, grouped
from finetune_server.classification.tokenizer import TextToken

pytestmark = pytest.mark.unit


def test_probabilities() -> None:
    """Large logits do not overflow, and the last dimension sums to one."""
    logits = np.array([[1000.0, 0.0], [-1000.0, -1000.0]], dtype=np.float32)
    assert softmax(logits).tolist() == [[1, 0], [0.5, 0.5]]
    assert sigmoid(logits).tolist() == [[1, 0.5], [0, 0]]


@pytest.mark.parametrize(
    "multi_label, logits, expected",
    [
        (False, [0.0, 0.0], {"label": "a", "probs": [0.5, 0.5], "num_classes": 2, "scores": {"a": 0.5, "b": 0.5}}),
        (
            True,
            [-1000.0, 0.0],
            {"label": "b", "labels": [], "probs": [0, 0.5], "num_classes": 2, "scores": {"a": 0, "b": 0.5}},
        ),
        (
            True,
            [1000.0, 1000.0],
            {"label": "a", "labels": ["a", "b"], "probs": [1, 1], "num_classes": 2, "scores": {"a": 1, "b": 1}},
        ),
    ],
)
def test_judgement(multi_label: bool, logits: list[float], expected: dict[str, object]) -> None:
    """The most likely class, the first when equal; with several labels also those above one half."""
    assert Classes(("a", "b"), multi_label).judge(np.array(logits, dtype=np.float32)) == expected


@pytest.mark.parametrize(
    "tags, expected",
    [
        ("O O", []),
        ("B-PER I-PER O", [("PER", 0, 2)]),
        ("B-PER B-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("I-PER I-PER", [("PER", 0, 2)]),
        ("B-PER I-LOC", [("PER", 0, 1), ("LOC", 1, 2)]),
        ("B-PER O I-PER", [("PER", 0, 1), ("PER", 2, 3)]),
        ("PER PER O LOC", [("PER", 0, 2), ("LOC", 3, 4)]),
        ("B-a-b I-a-b", [("a-b", 0, 2)]),
        ("B-PER I-PER E-PER S-PER I-PER", [("PER", 0, 3), ("PER", 3, 4), ("PER", 4, 5)]),
        ("B-PER L-PER U-LOC U-LOC O", [("PER", 0, 2), ("LOC", 2, 3), ("LOC", 3, 4)]),
    ],
)
def test_groups(tags: str, expected: list[tuple[str, int, int]]) -> None:
    """A tag goes on with the one before it when it has the same name and does not begin anew; O is nothing."""
    tagged = [Tagged(str(place), place, place + 1, tag, 0.5) for place, tag in enumerate(tags.split())]
    found = grouped(tagged, " ".join)
    assert [(entity.entity_group, entity.start, entity.end) for entity in found] == expected
    assert all(entity.word == " ".join(str(i) for i in range(entity.start, entity.end)) for entity in found)


def test_words() -> None:
    """A word is what its first token is, and as long as all of them; a score is the mean over words."""
    tokens = [
        (TextToken(1, "un", 0, 0, 2), Tagged("un", 0, 2, "B-X", 0.5)),
        (TextToken(2, "##fit", 0, 2, 5), Tagged("##fit", 2, 5, "O", 0.9)),
        (TextToken(3, "men", 1, 6, 9), Tagged("men", 6, 9, "I-X", 1.0)),
    ]
    words = first_of_words(tokens, lambda parts: "".join(parts).replace("##", ""))
    assert words == [Tagged("unfit", 0, 5, "B-X", 0.5), Tagged("men", 6, 9, "I-X", 1.0)]
    assert grouped(words, " ".join) == [Entity("X", 0.75, "unfit men", 0, 9)]
