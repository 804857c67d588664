"""Words without tokens, and the entities that they are part of."""

import pytest

from finetune_trainer.data.tokens.unseen_words import UnseenWords

pytestmark = pytest.mark.unit

KNOWN = {"O", *(f"{prefix}-{name}" for prefix in "BIELSU" for name in ("PER", "LOC"))}


# (tags, which words have a token, the tags that are learnt)
CUT = [
    ("O B-PER I-PER", "111", "O B-PER I-PER"),
    ("B-PER I-PER I-PER O", "0111", "B-PER B-PER I-PER O"),
    ("B-PER I-PER I-PER O", "0011", "B-PER I-PER B-PER O"),
    ("B-PER I-PER I-PER O", "1011", "B-PER I-PER I-PER O"),
    ("B-PER I-PER", "00", "B-PER I-PER"),
    ("B-PER B-LOC I-LOC", "011", "B-PER B-LOC I-LOC"),
    ("O O B-LOC", "101", "O O B-LOC"),
    ("I-PER I-PER", "01", "I-PER I-PER"),
    ("NOUN NOUN", "01", "NOUN NOUN"),
    ("B-PER I-PER E-PER", "110", "B-PER E-PER E-PER"),
    ("B-PER I-PER L-PER", "010", "B-PER U-PER L-PER"),
    ("B-PER E-PER", "01", "B-PER S-PER"),
]


@pytest.mark.parametrize("tags, seen, expected", CUT)
def test_an_entity_is_cut_to_the_words_that_are_seen(tags: str, seen: str, expected: str) -> None:
    """Its first seen word begins it and its last one ends it, in the entity's own scheme: I- is never trained where B- is lost."""
    tokens = [place if flag == "1" else None for place, flag in enumerate(seen)]
    words = ["a" if flag == "1" else "\u200b" for flag in seen]
    assert UnseenWords(KNOWN).seen("line 1", words, tags.split(), tokens) == expected.split()


def test_only_tags_of_the_dataset_are_put() -> None:
    """A model has no class for others; ignored words belong to no class."""
    unseen = UnseenWords({"O", "B-PER", "I-PER", "E-PER"})
    assert unseen.seen("line 1", ["a", "\u200b"], ["B-PER", "E-PER"], [0, None]) == ["E-PER", "E-PER"]
    assert unseen.seen("line 1", ["a", "\u200b", "b"], [None, None, "O"], [0, None, 1]) == [None, None, "O"]


def test_the_words_are_noted() -> None:
    """How many there are, where the first is, which word it is, and which entities lose words."""
    unseen = UnseenWords(KNOWN)
    assert unseen.notes() == []
    unseen.seen("line 2", ["\ufe0f", "a"], ["O", "O"], [None, 0])
    assert unseen.notes() == [r"1 word in 1 row has no tokens (first: line 2, word 1 '\ufe0f') and is not learned"]
    unseen.seen("line 5", ["of", "\u200b", "Otto"], ["O", "B-PER", "I-PER"], [0, None, 1])
    (note,) = unseen.notes()
    assert note.startswith(r"2 words in 2 rows have no tokens (first: line 2, word 1 '\ufe0f') and are not learned; 1 entity that has such")
    assert r"words is cut to the others (first: line 5, word 2 '\u200b')" in note
