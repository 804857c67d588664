"""Entities of a sentence's tags, against tables worked by hand."""

import pytest

from finetune_text.tags import Entity, entities

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", []),
        ("O O", []),
        ("B-PER I-PER O", [("PER", 0, 2)]),
        ("B-PER B-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("B-PER I-LOC", [("PER", 0, 1), ("LOC", 1, 2)]),
        ("I-PER I-PER O I-PER", [("PER", 0, 2), ("PER", 3, 4)]),
        ("O I-LOC B-LOC I-LOC", [("LOC", 1, 2), ("LOC", 2, 4)]),
        ("B-PER O I-PER", [("PER", 0, 1), ("PER", 2, 3)]),
        ("B-a-b I-a-b", [("a-b", 0, 2)]),
        ("B-PER I-PER E-PER S-PER I-PER", [("PER", 0, 3), ("PER", 3, 4), ("PER", 4, 5)]),
        ("B-PER L-PER U-LOC U-LOC O", [("PER", 0, 2), ("LOC", 2, 3), ("LOC", 3, 4)]),
        ("NOUN NOUN VERB", [("NOUN", 0, 2), ("VERB", 2, 3)]),
    ],
)
def test_entities(tags: str, expected: list[tuple[str, int, int]]) -> None:
    """B- begins, I- goes on, and an I- that follows nothing of its name begins, too; E- and L- are the last, S- and U- the only one."""
    assert entities(tags.split()) == [Entity(*entity) for entity in expected]
