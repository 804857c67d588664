"""A classifier's tokenizer: texts, pairs of texts or words to one input each. Knows no labels."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from tokenizers import Encoding
from tokenizers import Tokenizer as RustTokenizer

from finetune_server.engines.interface import EncoderRow

Pair = tuple[str, str]
Words = list[str]


@dataclass(frozen=True)
class Token:
    """One token of a text, special ones left out."""

    position: int
    """Where its logits are."""
    text: str
    """As the vocabulary spells it."""
    word: int | None
    """Which word of the text it belongs to: the tokenizer's own words, or those that were given; None for a space before a word."""
    start: int
    end: int
    """Characters of the text, or of the joined words."""


@dataclass(frozen=True)
class EncoderInput:
    """One tokenised input."""

    encoding: Encoding
    words: tuple[str, ...] | None = None
    """Those that were given instead of a text."""

    @property
    def row(self) -> EncoderRow:
        """What the engine takes."""
        return EncoderRow(tuple(self.encoding.ids), tuple(self.encoding.type_ids))

    @property
    def length(self) -> int:
        """Tokens, special ones too."""
        return len(self.encoding.ids)

    @property
    def tokens(self) -> list[Token]:
        """Those of the text itself."""
        encoding = self.encoding
        words = encoding.word_ids if self.words is None else given_words(encoding.offsets, self.words)
        columns = zip(encoding.tokens, words, encoding.offsets, encoding.special_tokens_mask, strict=True)
        return [Token(place, text, word, *offsets) for place, (text, word, offsets, special) in enumerate(columns) if not special]


class EncoderTokenizer:
    """Thread-safe, as the tokenizers package is."""

    def __init__(self, tokenizer: RustTokenizer, context_length: int) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self._cutting = RustTokenizer.from_str(tokenizer.to_str())
        self._cutting.enable_truncation(context_length)
        self._context_length = context_length
        self._unknown = unknown_token(tokenizer)

    def encode(self, inputs: Sequence[str | Pair | Words], *, truncate: bool) -> list[EncoderInput]:
        """Each input with the model's special tokens, cut to the context with `truncate`. Words are lists, pairs are tuples.

        Words are joined by spaces, as in training: by themselves, the words of a byte-level tokenizer would lack the space before them.
        """
        return [self._encode(one, truncate) for one in inputs]

    def _encode(self, one: str | Pair | Words, truncate: bool) -> EncoderInput:
        encoded = encode(self._tokenizer, one)
        if truncate and len(encoded.ids) > self._context_length:
            encoded = encode(self._cutting, one)
        return EncoderInput(encoded, tuple(one) if isinstance(one, list) else None)

    def spelling(self, token: Token, text: str) -> str:
        """The token as its vocabulary spells it, or what stands in the text for one that the vocabulary has not."""
        return text[token.start : token.end] if token.text == self._unknown else token.text

    def joined(self, tokens: Sequence[str]) -> str:
        """Tokens, or words, as one text, as the tokenizer's decoder joins them."""
        decoder = self._tokenizer.decoder
        return (str(decoder.decode(list(tokens))) if decoder is not None else " ".join(tokens)).strip()


def unknown_token(tokenizer: RustTokenizer) -> str | None:
    """What the vocabulary calls text that it has not; None where every text has tokens."""
    model = json.loads(tokenizer.to_str())["model"]
    if model.get("unk_id") is not None:
        return str(model["vocab"][model["unk_id"]][0])
    unknown = model.get("unk_token")
    return None if unknown is None else str(unknown)


def encode(tokenizer: RustTokenizer, one: str | Pair | Words) -> Encoding:
    """A text, a pair of texts, or the words of a text."""
    if isinstance(one, tuple):
        return tokenizer.encode(*one)
    return tokenizer.encode(one if isinstance(one, str) else " ".join(one))


def given_words(offsets: Sequence[tuple[int, int]], words: Sequence[str]) -> list[int | None]:
    """Of each token, the word in which its first character that is no space lies; offsets count characters of the joined words."""
    text = " ".join(words)
    ends = list(accumulate(len(word) + 1 for word in words))
    starts = [start + len(text[start:end]) - len(text[start:end].lstrip()) for start, end in offsets]
    return [bisect_right(ends, start) if start < end else None for start, (_, end) in zip(starts, offsets, strict=True)]
