"""Where prompts end and answers begin, in tokens: whether a text's tokens are those that a server makes of the prompt alone.

A conversation is tokenised at once. That is right for an answer when the tokens before it are the prompt's own, and mostly they are:
a marker stands there, or a line end. Where a prompt ends with white space, the tokenizer may draw that into the answer's first word.
Tokens behind a marker (an added token) do not depend on what is before it, so that only the text from the last marker on is compared.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from finetune_text.prompt_tokenizer import PromptTokenizer

WHITE_SPACE = "the prompt ends with white space"
_REMEMBERED = 256
"""Characters of a text that is kept from batch to batch: what templates write between a marker and an answer."""


class Border(NamedTuple):
    """The end of a prompt within an encoded text."""

    text: str
    """The prompt from its last marker on."""
    ids: tuple[int, ...]
    """What the whole text has as its tokens."""


class Borders:
    """Compares, and counts the rows in which prompt and answer would share tokens."""

    def __init__(self, tokens: PromptTokenizer) -> None:
        self._tokenizer = tokens.tokenizer
        self._added = frozenset(tokens.tokenizer.get_added_tokens_decoder())
        self._known: dict[str, tuple[int, ...]] = {}
        self.rows = 0
        """Rows with a prompt that had to be tokenised apart."""
        self.first = ""
        """Where the first one is."""
        self.reasons: Counter[str] = Counter()

    def border(self, encoding: Any, ids: list[int], text: str, position: int, token: int) -> Border:
        """The prompt that ends at `position`; `token` is the first one that begins there or later."""
        first = token - 1
        while first > 0 and ids[first] not in self._added:
            first -= 1
        start = encoding.token_to_chars(first)[0] if first > 0 else 0
        return Border(text[start:position], tuple(ids[max(first, 0) : token]))

    def learn(self, borders: Iterable[Border]) -> None:
        """Tokenises what is not known yet, over all cores; forgets the long texts of the batch before."""
        self._known = {text: ids for text, ids in self._known.items() if len(text) <= _REMEMBERED}
        new = list({border.text: None for border in borders if border.text not in self._known})
        encodings = self._tokenizer.encode_batch(new, add_special_tokens=False) if new else []
        self._known |= {text: tuple(encoding.ids) for text, encoding in zip(new, encodings, strict=True)}

    def holds(self, border: Border) -> bool:
        """True when the prompt alone has the same tokens."""
        return self._known[border.text] == border.ids

    def saw(self, where: str, prompt: str, answer: str) -> None:
        """Counts a row with a prompt that has other tokens by itself."""
        self.rows += 1
        self.first = self.first or where
        self.reasons[reason(prompt, answer)] += 1


def reason(prompt: str, answer: str) -> str:
    """Why the two would share tokens."""
    if prompt[-1:].isspace():
        return WHITE_SPACE
    if answer[:1].isspace():
        return "the answer begins with white space that the tokenizer joins to the prompt"
    return "the end of the prompt and the beginning of the answer make one token"
