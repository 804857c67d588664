"""Words that a tokenizer gives nothing for: zero-width characters, accents alone. A model never sees them, nor what they are tagged as."""

from collections.abc import Container, Sequence

from finetune_text.tags import BEGINNING, OUTSIDE, entities, split_tag

Tags = Sequence[str | None]
_SINGLE = {"E": "S", "L": "U"}
"""The prefix of an entity of one word, by that of a last word."""


class UnseenWords:
    """Counts such words, and cuts entities to the words that are seen."""

    def __init__(self, tags: Container[str]) -> None:
        self._tags = tags
        self._words = self._rows = self._cut = 0
        self._first = self._first_cut = ""

    def seen(self, where: str, words: Sequence[str], tags: Tags, tokens: Sequence[int | None]) -> list[str | None]:
        """A row's tags, each entity within the words that have a token."""
        missing = [place for place, token in enumerate(tokens) if token is None]
        if not missing:
            return list(tags)
        self._rows += 1
        self._words += len(missing)
        self._first = self._first or named(where, words, missing[0])
        found = list(tags)
        for name, start, end in entities([tag or OUTSIDE for tag in tags]):
            lost = [place for place in missing if start <= place < end]
            if lost:
                self._cut += 1
                self._first_cut = self._first_cut or named(where, words, lost[0])
                shorten(found, name, [place for place in range(start, end) if place not in lost], (start, end), self._tags)
        return found

    def notes(self) -> list[str]:
        """What is worth a look: nothing, or a sentence."""
        if not self._words:
            return []
        rows = "1 row" if self._rows == 1 else f"{self._rows:,} rows"
        one = self._words == 1
        words = f"1 word in {rows} has" if one else f"{self._words:,} words in {rows} have"
        note = f"{words} no tokens (first: {self._first}) and {'is' if one else 'are'} not learned"
        if self._cut:
            many = "1 entity that has such words is" if self._cut == 1 else f"{self._cut:,} entities that have such words are"
            note += f"; {many} cut to the others (first: {self._first_cut}): remove these words from the rows"
        return [note]


def named(where: str, words: Sequence[str], place: int) -> str:
    """A word for people; most of these cannot be seen."""
    return f"{where}, word {place + 1} {words[place]!a}"


def shorten(tags: list[str | None], name: str, seen: list[int], was: tuple[int, int], known: Container[str]) -> None:
    """Tags an entity's seen words as an entity, in its own scheme: never I- where its B- is lost."""
    begin, last = (split_tag(tags[place] or OUTSIDE)[0] for place in (was[0], was[1] - 1))
    if not seen:
        return
    if begin in BEGINNING and seen[0] != was[0]:
        put(tags, seen[0], f"B-{name}", known)
    if last in _SINGLE and seen[-1] != was[1] - 1:
        put(tags, seen[-1], f"{last}-{name}", known)
    if len(seen) == 1 and last in _SINGLE:
        put(tags, seen[0], f"{_SINGLE[last]}-{name}", known)


def put(tags: list[str | None], place: int, tag: str, known: Container[str]) -> None:
    """Sets a tag that the dataset has."""
    if tag in known:
        tags[place] = tag
