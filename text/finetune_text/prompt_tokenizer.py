"""Prompts to token ids: one way for the trainer and the server. Knows no templates and no rows."""

from itertools import takewhile

from tokenizers import Tokenizer
from tokenizers.processors import Sequence as Nothing


class PromptTokenizer:
    """A language model's tokenizer. Thread-safe, as the tokenizers package is."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.first = first_ids(tokenizer)
        """What stands before a text that no chat template wrote: BOS, if the tokenizer adds one."""
        tokenizer.post_processor = Nothing([])  # it would trim spaces off offsets, and may put an end behind a prompt
        self.tokenizer = tokenizer

    def chat(self, text: str) -> list[int]:
        """Ids of a rendered conversation; the template wrote its special tokens."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def text(self, text: str) -> list[int]:
        """Ids of a plain prompt."""
        return [*self.first, *self.chat(text)]


def first_ids(tokenizer: Tokenizer) -> list[int]:
    """What the tokenizer puts before a text: BOS, or nothing."""
    encoding = tokenizer.encode("a")
    lead = takewhile(lambda pair: pair[1], zip(encoding.ids, encoding.special_tokens_mask, strict=True))
    return [token for token, _ in lead]
