"""Tags of words and the entities that they make: BIO, BIOES and BILOU, as CoNLL's conlleval and seqeval count them. Knows no tokens."""

from collections.abc import Sequence
from typing import NamedTuple

OUTSIDE = "O"
BEGINNING = ("B", "S", "U")
ENDING = ("E", "L", "S", "U")
IGNORED = -100
"""The label of a token that has none; torch's cross entropy passes over it."""


class Entity(NamedTuple):
    """A run of tags with one name."""

    name: str
    start: int
    end: int
    """One after its last tag."""


def entities(tags: Sequence[str]) -> list[Entity]:
    """All entities of a sentence, in their order.

    An I- that follows no tag of its own name begins an entity, as models write such tags. E- and L- are its last
    tag, S- and U- its only one. A tag without a prefix goes on for as long as it is repeated.
    """
    found: list[Entity] = []
    name, start, closed = OUTSIDE, 0, False
    for place, tag in enumerate([*tags, OUTSIDE]):
        prefix, current = split_tag(tag)
        if name != OUTSIDE and (closed or prefix in BEGINNING or current != name):
            found.append(Entity(name, start, place))
            name = OUTSIDE
        if current != name:
            name, start = current, place
        closed = prefix in ENDING
    return found


def split_tag(tag: str) -> tuple[str, str]:
    """A tag's prefix, "" where it has none, and the entity's name; "O" belongs to no entity."""
    prefix, dash, name = tag.partition("-")
    return (prefix, name) if dash and prefix in ("I", *BEGINNING, *ENDING) else ("", tag)
