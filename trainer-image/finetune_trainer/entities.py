"""Entities in a row of BIO tags (BIOES, BILOU), as CoNLL's conlleval and seqeval count them."""

from collections.abc import Sequence
from typing import NamedTuple

OUTSIDE = "O"
BEGINNING = ("B", "S", "U")
ENDING = ("E", "L", "S", "U")


class Entity(NamedTuple):
    """A run of tokens with one name."""

    name: str
    start: int
    end: int
    """One after its last token."""


def entities(tags: Sequence[str]) -> set[Entity]:
    """All entities of a sentence.

    An I- that follows no token of its own name begins an entity, as models write such tags. E- and L- are its last
    token, S- and U- its only one. A tag without a prefix goes on for as long as it is repeated.
    """
    found: set[Entity] = set()
    name, start, closed = OUTSIDE, 0, False
    for place, tag in enumerate([*tags, OUTSIDE]):
        prefix, current = split_tag(tag)
        if name != OUTSIDE and (closed or prefix in BEGINNING or current != name):
            found.add(Entity(name, start, place))
            name = OUTSIDE
        if current != name:
            name, start = current, place
        closed = prefix in ENDING
    return found


def split_tag(tag: str) -> tuple[str, str]:
    """A tag's prefix, "" where it has none, and the entity's name; "O" is nobody's."""
    prefix, dash, name = tag.partition("-")
    return (prefix, name) if dash and prefix in ("I", *BEGINNING, *ENDING) else ("", tag)
