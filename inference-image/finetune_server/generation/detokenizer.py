"""Token ids to text, one at a time, never half a character. Knows no tokenizer: it is given a decode function."""

from collections.abc import Callable

REPLACEMENT = "\ufffd"
"""What a decode function writes where bytes are no whole UTF-8 character."""
MAX_PENDING = 64
"""Tokens without a whole character, after which none is waited for any more: the window must not grow with the answer."""


class Detokenizer:
    """The pieces it returns, joined, are the text of all tokens decoded at once.

    A token's text depends on its neighbours (leading spaces, characters of several tokens), so each step decodes a short
    window that starts at the last piece but one.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._known = 0
        """Tokens of the window whose text was returned."""

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
        """What is left at the end, with U+FFFD for an incomplete character."""
        text, before = self._texts()
        self._known = len(self._window)
        return text[len(before) :]

    def _texts(self) -> tuple[str, str]:
        return self._decode(self._window), self._decode(self._window[: self._known])
