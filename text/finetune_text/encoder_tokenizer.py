"""A classifier's tokenizer: texts, pairs of texts or words to one input each. Knows no labels.

The tokenizer's own post-processor adds [CLS] and [SEP].
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from tokenizers import Encoding, Tokenizer

Pair = tuple[str, str]
Words = list[str]
Input = str | Pair | Words


class EncoderTokenizer:
    """Thread-safe, as the tokenizers package is. `context_length` tokens are what an input is cut to.

    Special tokens that an input spells are words.
    """

    def __init__(self, tokenizer: Tokenizer, context_length: int | None = None) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True
        self.tokenizer = tokenizer
        self._context_length = context_length
        self._cutting = None if context_length is None else cutting(tokenizer, context_length)

    def encode_batch(self, inputs: Sequence[Input]) -> list[Encoding]:
        """Each input with the model's special tokens at full length, over all cores."""
        encodings: list[Encoding] = self.tokenizer.encode_batch([text_of(one) for one in inputs])
        return encodings

    def encode(self, one: Input, *, truncate: bool = False) -> Encoding:
        """One input, cut to the context with `truncate`: the longer one of two texts first."""
        encoded = encoding_of(self.tokenizer, one)
        if truncate and self._cutting is not None and self._context_length is not None and len(encoded.ids) > self._context_length:
            return encoding_of(self._cutting, one)
        return encoded


def cutting(tokenizer: Tokenizer, length: int) -> Tokenizer:
    """A copy that cuts."""
    copy: Tokenizer = Tokenizer.from_str(tokenizer.to_str())
    copy.enable_truncation(length)
    copy.encode_special_tokens = True
    return copy


def text_of(one: Input) -> str | Pair:
    """What is tokenised. Words are joined by spaces: by themselves, those of a byte-level tokenizer would lack the space before them."""
    return " ".join(one) if isinstance(one, list) else one


def encoding_of(tokenizer: Tokenizer, one: Input) -> Encoding:
    """A text, a pair of texts, or the words of a text."""
    text = text_of(one)
    return tokenizer.encode(*text) if isinstance(text, tuple) else tokenizer.encode(text)


def words_of_tokens(offsets: Sequence[tuple[int, int]], words: Sequence[str]) -> list[int | None]:
    """Of each token, the word in which its first character that is no space lies; offsets count characters of the joined words.

    None for special tokens and for a token of spaces alone.
    """
    text = " ".join(words)
    ends = list(accumulate(len(word) + 1 for word in words))
    starts = [start + len(text[start:end]) - len(text[start:end].lstrip()) for start, end in offsets]
    return [bisect_right(ends, start) if start < end else None for start, (_, end) in zip(starts, offsets, strict=True)]


def first_tokens(offsets: Sequence[tuple[int, int]], words: Sequence[str]) -> list[int | None]:
    """Of each word the token that begins it, which is the one that has its tag; None for a word that the tokenizer gives nothing for."""
    found: list[int | None] = [None] * len(words)
    for token, word in reversed(list(enumerate(words_of_tokens(offsets, words)))):
        if word is not None:
            found[word] = token
    return found
