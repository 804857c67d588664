"""Prompts to token ids: one way for the trainer and the server. Knows no templates and no rows."""

from functools import cached_property
from itertools import takewhile
from typing import Any, NamedTuple

from tokenizers import Tokenizer
from tokenizers.processors import Sequence as Nothing

from finetune_text.control_text import control_text_of
from finetune_text.span import Span

_BEFORE = ("\n", ":", "a")
"""Texts after which an answer is tokenised as if a prompt stood there; the first that shares no token with it."""


class Spelled(NamedTuple):
    """A special token that the tokenizer found in a user's words."""

    token: int
    """Which one of the text's tokens."""
    ids: list[int]
    """Those of its letters, which take its place."""


class PromptTokenizer:
    """A language model's tokenizer. Thread-safe, as the tokenizers package is."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.first = first_ids(tokenizer)
        """What stands before a text that no chat template wrote: BOS, if the tokenizer adds one."""
        tokenizer.post_processor = Nothing([])  # it would trim spaces off offsets, and may put an end behind a prompt
        self.tokenizer = tokenizer
        self._special = frozenset(index for index, token in tokenizer.get_added_tokens_decoder().items() if token.special)
        self.control = control_text_of(tokenizer)

    def chat(self, text: str) -> list[int]:
        """Ids of a rendered conversation: the template wrote its special tokens, those that users spell are words."""
        shown, places = self.control.shown(text)
        encoding = self.tokenizer.encode(shown, add_special_tokens=False)
        return with_words(encoding.ids, self.spelled(encoding, shown, places)) if places else list(encoding.ids)

    def text(self, text: str) -> list[int]:
        """Ids of a plain prompt, which may hold special tokens: who writes it writes all of it."""
        return [*self.first, *self.tokenizer.encode(text, add_special_tokens=False).ids]

    def continuation(self, text: str) -> list[int]:
        """Ids of a text that goes on where a prompt has ended, and shares no token with it."""
        return continued(self.tokenizer, text)

    def spelled(self, encoding: Any, text: str, places: list[Span]) -> list[Spelled]:
        """What has to take the place of special tokens in an encoded text, by where users spell them."""
        found = []
        for start, end in places:
            token = encoding.char_to_token(start)
            if token is not None and encoding.ids[token] in self._special and encoding.token_to_chars(token)[1] >= end:
                found.append(Spelled(token, continued(self._words, text[slice(*encoding.token_to_chars(token))])))
        return found

    @cached_property
    def _words(self) -> Tokenizer:
        """A copy to which special tokens are text."""
        copy = Tokenizer.from_str(self.tokenizer.to_str())
        copy.encode_special_tokens = True
        return copy


def with_words(ids: list[int], spelled: list[Spelled]) -> list[int]:
    """Ids with letters in the place of special tokens."""
    found, position = [], 0
    for token, letters in spelled:
        found += [*ids[position:token], *letters]
        position = token + 1
    return [*found, *ids[position:]]


def continued(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of a text in the middle of another one: without what some tokenizers put before a text that begins."""
    for before in _BEFORE:
        lead: list[int] = tokenizer.encode(before, add_special_tokens=False).ids
        ids: list[int] = tokenizer.encode(before + text, add_special_tokens=False).ids
        if ids[: len(lead)] == lead and len(ids) > len(lead):
            return ids[len(lead) :]
    alone: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return alone


def first_ids(tokenizer: Tokenizer) -> list[int]:
    """What the tokenizer puts before a text: BOS, or nothing."""
    encoding = tokenizer.encode("a")
    lead = takewhile(lambda pair: pair[1], zip(encoding.ids, encoding.special_tokens_mask, strict=True))
    return [token for token, _ in lead]
