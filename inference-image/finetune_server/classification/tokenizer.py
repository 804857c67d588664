"""A classifier's inputs and their tokens, made by finetune_text as in training. Knows no labels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Encoding, Tokenizer

from finetune_server.engines.interface import EncoderRow
from finetune_text import encoder_tokenizer
from finetune_text.encoder_tokenizer import Input, words_of_tokens


@dataclass(frozen=True, slots=True)
class TextToken:
    """One token of a text; special tokens are left out."""

    position: int
    """Index of its logits."""
    text: str
    """As the vocabulary spells it."""
    word: int | None
    """Index of its word in the text: as the tokenizer splits it, or as given; None for a space before a word."""
    start: int
    end: int
    """Characters of the text, or of the joined words."""


@dataclass(frozen=True, slots=True)
class EncoderInput:
    """One tokenised input. It holds no `Encoding`: that of a cut text has the rest of the text as well."""

    row: EncoderRow
    """What the engine takes, special tokens included."""
    tokens: tuple[TextToken, ...] = ()
    """Those of the text itself, if they were asked for."""


class RequestTokenizer:
    """Thread-safe, as the tokenizers package is."""

    def __init__(self, tokenizer: Tokenizer, context_length: int) -> None:
        self._inputs = encoder_tokenizer.EncoderTokenizer(tokenizer, context_length)
        self._tokenizer = tokenizer
        self._unknown = unknown_token(tokenizer)

    def encode(self, inputs: Sequence[Input], *, truncate: bool, tokens: bool = False) -> list[EncoderInput]:
        """Each input with the model's special tokens, cut to the context with `truncate`. Words are lists, pairs are tuples."""
        return [self._encode(one, truncate=truncate, tokens=tokens) for one in inputs]

    def _encode(self, one: Input, *, truncate: bool, tokens: bool) -> EncoderInput:
        encoding = self._inputs.encode(one, truncate=truncate)
        row = EncoderRow(tuple(encoding.ids), tuple(encoding.type_ids))
        return EncoderInput(row, tokens_of(encoding, one) if tokens else ())

    def spelling(self, token: TextToken, text: str) -> str:
        """The token as in the vocabulary; for the unknown token, its text."""
        return text[token.start : token.end] if token.text == self._unknown else token.text

    def joined(self, tokens: Sequence[str]) -> str:
        """Tokens or words as one text, joined by the tokenizer's decoder."""
        decoder = self._tokenizer.decoder
        return (str(decoder.decode(list(tokens))) if decoder is not None else " ".join(tokens)).strip()


def tokens_of(encoding: Encoding, one: Input) -> tuple[TextToken, ...]:
    """The tokens of the text itself, or of the words."""
    words = words_of_tokens(encoding.offsets, one) if isinstance(one, list) else encoding.word_ids
    columns = zip(encoding.tokens, words, encoding.offsets, encoding.special_tokens_mask, strict=True)
    return tuple(TextToken(place, text, word, *offsets) for place, (text, word, offsets, special) in enumerate(columns) if not special)


def unknown_token(tokenizer: Tokenizer) -> str | None:
    """The token for unknown text; None if the tokenizer can encode every text."""
    model = json.loads(tokenizer.to_str())["model"]
    if model.get("unk_id") is not None:
        return str(model["vocab"][model["unk_id"]][0])
    unknown = model.get("unk_token")
    return None if unknown is None else str(unknown)
