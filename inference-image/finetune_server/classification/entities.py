"""From tags of tokens to entities, as in the Hugging Face token-classification pipeline, and also for BIOES and BILOU tags."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from finetune_server.classification.tokenizer import TextToken
from finetune_text import tags

Join = Callable[[Sequence[str]], str]
"""Joins tokens or words into a text."""


@dataclass(frozen=True)
class Tagged:
    """A token or a word with its most likely tag."""

    text: str
    start: int
    end: int
    tag: str
    score: float


@dataclass(frozen=True)
class Entity:
    """Adjacent tokens or words with one meaning."""

    entity_group: str
    score: float
    """Mean of the scores of its tokens or words."""
    word: str
    start: int
    end: int
    """One after its last character (or word)."""


def first_of_words(tokens: Iterable[tuple[TextToken, Tagged]], join: Join) -> list[Tagged]:
    """Strategy "first": a word has the tag of its first token."""
    words = [list(group) for _, group in groupby(tokens, key=lambda pair: pair[0].word)]
    return [
        Tagged(join([tagged.text for _, tagged in word]), word[0][1].start, word[-1][1].end, word[0][1].tag, word[0][1].score)
        for word in words
    ]


def grouped(tagged: Iterable[Tagged], join: Join) -> list[Entity]:
    """The entities of tokens or words in order."""
    parts = list(tagged)
    return [entity_of(found.name, parts[found.start : found.end], join) for found in tags.entities([part.tag for part in parts])]


def entity_of(name: str, parts: Sequence[Tagged], join: Join) -> Entity:
    """One entity from its tokens or words."""
    score = sum(part.score for part in parts) / len(parts)
    return Entity(name, score, join([part.text for part in parts]), parts[0].start, parts[-1].end)
