"""Rows whose own words spell a special token: the tokenizer makes the control token of them, as it would of a user's words later."""

import re

from tokenizers import Tokenizer

SHORTEST = 3
"""Characters of a special token that is looked for: shorter ones are ordinary text."""


class ControlTexts:
    """Counts such rows and keeps the first."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        texts = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
        wanted = sorted((text for text in texts if len(text.strip()) >= SHORTEST), key=len, reverse=True)
        self._pattern = re.compile(b"|".join(re.escape(text.encode()) for text in wanted)) if wanted else None
        self._rows = 0
        self._first = ""

    def saw(self, name: str, where: str, row: bytes) -> None:
        """Looks at one row, as canonical JSON."""
        if self._pattern is not None and (found := self._pattern.search(row)):
            self._rows += 1
            self._first = self._first or f"{name}, {where}: {found[0].decode()!r}"

    def notes(self) -> list[str]:
        """What is worth a look: nothing, or a sentence."""
        if not self._rows:
            return []
        rows = "1 row spells" if self._rows == 1 else f"{self._rows:,} rows spell"
        return [
            f"{rows} a special token of the base in its text ({self._first}), which becomes the token itself: remove it if it is not meant"
        ]
