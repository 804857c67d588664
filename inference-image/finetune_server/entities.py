"""From the tags of tokens to entities, as the Hugging Face token-classification pipeline does it. Knows no tokenizer.

That pipeline knows BIO; here BIOES and BILOU are read, too.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from finetune_server.encoder_tokenizer import Token

OUTSIDE = "O"
BEGINNING = ("B-", "S-", "U-")
ENDING = ("E-", "L-", "S-", "U-")
PREFIXES = ("I-", *BEGINNING, *ENDING)

Join = Callable[[Sequence[str]], str]
"""Joins tokens, or words, to a text."""


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
    """Neighbours that belong together."""

    entity_group: str
    score: float
    """Mean of its tokens' (its words') scores."""
    word: str
    start: int
    end: int
    """One after its last character."""


def first_of_words(tokens: Iterable[tuple[Token, Tagged]], join: Join) -> list[Tagged]:
    """Strategy "first": a word is what its first token is."""
    words = [list(group) for _, group in groupby(tokens, key=lambda pair: pair[0].word)]
    return [
        Tagged(join([tagged.text for _, tagged in word]), word[0][1].start, word[-1][1].end, word[0][1].tag, word[0][1].score)
        for word in words
    ]


def grouped(tagged: Iterable[Tagged], join: Join) -> list[Entity]:
    """Entities out of tokens or words in their order: a tag goes on with the one before unless its prefix or that one's says no, or
    it has another name."""
    groups: list[list[Tagged]] = []
    for part in tagged:
        begins = part.tag.startswith(BEGINNING) or (groups and groups[-1][-1].tag.startswith(ENDING))
        if groups and not begins and name_of(groups[-1][-1].tag) == name_of(part.tag):
            groups[-1].append(part)
        else:
            groups.append([part])
    return [entity_of(group, join) for group in groups if group[0].tag != OUTSIDE]


def entity_of(group: Sequence[Tagged], join: Join) -> Entity:
    """One entity of its parts."""
    score = sum(part.score for part in group) / len(group)
    return Entity(name_of(group[0].tag), score, join([part.text for part in group]), group[0].start, group[-1].end)


def name_of(tag: str) -> str:
    """ "B-PER" and "I-PER" -> "PER"; tags of another form are names themselves."""
    return tag[2:] if tag.startswith(PREFIXES) else tag
