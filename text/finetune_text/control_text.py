"""Special tokens spelled out in a user's text. They stay text: typing a marker neither ends nor begins a turn.

While a chat template is rendered, their first character is replaced by a stand-in of the same length that no text contains;
`shown` takes it back and says where they are, so that the tokenizer's special tokens there can be replaced. Knows no ids.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from itertools import groupby
from typing import Any

from tokenizers import Tokenizer

from finetune_text.span import Span

PRIVATE = 0xF0000
"""Unicode's private use plane 15: character c has the stand-in chr(PRIVATE + ord(c))."""
SAID_BY_OTHERS = ("user", "tool")
"""Roles whose contents come from outside. System and assistant messages are the application's own: there a special token is meant."""


class ControlText:
    """The special tokens of one tokenizer, by their texts."""

    def __init__(self, tokens: Collection[str] = ()) -> None:
        wanted = {token for token in tokens if token.strip() and ord(token[0]) < 0xFFFE}
        self._spelled = re.compile(any_of(wanted)) if wanted else None
        self._hidden = re.compile(any_of(map(hidden, wanted))) if wanted else None

    def spelled(self, text: str) -> str | None:
        """The first special token that a text spells."""
        found = self._spelled.search(text) if self._spelled else None
        return found[0] if found else None

    def hide(self, text: str) -> str:
        """The text with stand-ins."""
        return self._spelled.sub(lambda found: hidden(found[0]), text) if self._spelled else text

    def hide_in(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """A message with stand-ins in what a user or a tool says."""
        content = message["content"]
        if message["role"] not in SAID_BY_OTHERS or not isinstance(content, str) or self.spelled(content) is None:
            return message
        return {**message, "content": self.hide(content)}

    def shown(self, text: str) -> tuple[str, list[Span]]:
        """The text as it was written, and where its words spell special tokens."""
        if self._hidden is None or self._hidden.search(text) is None:
            return text, []
        places = [Span(*found.span()) for found in self._hidden.finditer(text)]
        return self._hidden.sub(lambda found: chr(ord(found[0][0]) - PRIVATE) + found[0][1:], text), places


def control_text_of(tokenizer: Tokenizer) -> ControlText:
    """Of a tokenizer's special tokens."""
    return ControlText([token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special])


def hidden(token: str) -> str:
    """A special token's text with the stand-in for its first character."""
    return chr(PRIVATE + ord(token[0])) + token[1:]


def any_of(texts: Iterable[str]) -> str:
    """A regular expression for any of these texts, the longest that is there. Their beginnings are shared: vocabularies have a thousand
    special tokens, and tried one after the other they would take seconds for a megabyte of HTML."""
    wanted = set(texts)
    lead = common_beginning(min(wanted), max(wanted))  # of all of them
    rests = groupby(sorted(text[len(lead) :] for text in wanted if text != lead), key=lambda rest: rest[0])
    ways = "|".join(any_of(more) for _, more in rests)
    return re.escape(lead) + (f"(?:{ways}){'?' if lead in wanted else ''}" if ways else "")


def common_beginning(one: str, other: str) -> str:
    """Of two texts."""
    pairs = enumerate(zip(one, other, strict=False))
    return one[: next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))]
