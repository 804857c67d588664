"""A classifier's inputs and what their tokens are: as finetune_text makes them, in training too. Knows no labels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Encoding, Tokenizer

from finetune_server.engines.interface import EncoderRow
from finetune_text import encoder_tokenizer
from finetune_text.encoder_tokenizer import Input, words_of_tokens


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
        words = encoding.word_ids if self.words is None else words_of_tokens(encoding.offsets, self.words)
        columns = zip(encoding.tokens, words, encoding.offsets, encoding.special_tokens_mask, strict=True)
        return [Token(place, text, word, *offsets) for place, (text, word, offsets, special) in enumerate(columns) if not special]


class EncoderTokenizer:
    """Thread-safe, as the tokenizers package is."""

    def __init__(self, tokenizer: Tokenizer, context_length: int) -> None:
        self._inputs = encoder_tokenizer.EncoderTokenizer(tokenizer, context_length)
        self._tokenizer = tokenizer
        self._unknown = unknown_token(tokenizer)

    def encode(self, inputs: Sequence[Input], *, truncate: bool) -> list[EncoderInput]:
        """Each input with the model's special tokens, cut to the context with `truncate`. Words are lists, pairs are tuples."""
        return [EncoderInput(self._inputs.encode(one, truncate=truncate), tuple(one) if isinstance(one, list) else None) for one in inputs]

    def spelling(self, token: Token, text: str) -> str:
        """The token as its vocabulary spells it, or what stands in the text for one that the vocabulary has not."""
        return text[token.start : token.end] if token.text == self._unknown else token.text

    def joined(self, tokens: Sequence[str]) -> str:
        """Tokens, or words, as one text, as the tokenizer's decoder joins them."""
        decoder = self._tokenizer.decoder
        return (str(decoder.decode(list(tokens))) if decoder is not None else " ".join(tokens)).strip()


def unknown_token(tokenizer: Tokenizer) -> str | None:
    """What the vocabulary calls text that it has not; None where every text has tokens."""
    model = json.loads(tokenizer.to_str())["model"]
    if model.get("unk_id") is not None:
        return str(model["vocab"][model["unk_id"]][0])
    unknown = model.get("unk_token")
    return None if unknown is None else str(unknown)
