"""Entities in a row of BIO tags, as CoNLL's conlleval and seqeval count them."""

from collections.abc import Sequence
from typing import NamedTuple

OUTSIDE = "O"


class Entity(NamedTuple):
    """A run of tokens with one name."""

    name: str
    start: int
    end: int
    """One after its last token."""


def entities(tags: Sequence[str]) -> set[Entity]:
    """All entities of a sentence.

    An I- that follows no token of its own name begins an entity, as models write such tags. A tag without B- or I- goes
    on for as long as it is repeated.
    """
    found: set[Entity] = set()
    name, start = OUTSIDE, 0
    for place, tag in enumerate([*tags, OUTSIDE]):
        begins, current = split_tag(tag)
        if name != OUTSIDE and (begins or current != name):
            found.add(Entity(name, start, place))
            name = OUTSIDE
        if current != name:
            name, start = current, place
    return found


def split_tag(tag: str) -> tuple[bool, str]:
    """Whether a tag begins an entity in any case, and the entity's name; "O" is nobody's."""
    prefix, dash, name = tag.partition("-")
    return (prefix == "B", name) if dash and prefix in ("B", "I") else (False, tag)
