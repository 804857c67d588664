"""Token ids to text, one at a time, in whole characters. Knows no tokenizer: it is given a decode function."""

from collections.abc import Callable

REPLACEMENT = "\ufffd"
"""Decode functions write it in place of bytes that are not a complete UTF-8 character."""
MAX_PENDING = 64
"""Tokens without a complete character after which the text is returned as it is: the window must not grow with the answer."""


class Detokenizer:
    """The returned pieces, joined, are the text of all tokens decoded at once.

    A token's text depends on its neighbours (leading spaces, characters of several tokens), so each step decodes a short
    window that starts at the second to last piece.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._known = 0
        """Number of tokens in the window whose text was returned."""

    def push(self, token: int) -> str:
        """The text that the token completes; empty while a character is incomplete."""
        self._window.append(token)
        text, before = self._texts()
        grown = len(text) > len(before)
        if (text.endswith(REPLACEMENT) or not grown) and len(self._window) - self._known < MAX_PENDING:
            return ""
        if not grown:  # tokens that are not shown
            del self._window[self._known :]
            return ""
        del self._window[: self._known]
        self._known = len(self._window)
        return text[len(before) :]

    def flush(self) -> str:
        """The rest at the end, with U+FFFD for an incomplete character."""
        text, before = self._texts()
        self._known = len(self._window)
        return text[len(before) :]

    def _texts(self) -> tuple[str, str]:
        return self._decode(self._window), self._decode(self._window[: self._known])
