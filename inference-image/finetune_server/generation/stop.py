"""Finds stop strings in text that arrives in pieces. Knows no tokens."""

from collections.abc import Sequence


class StopMatcher:
    """Passes on the text before the first stop string, and never a part of one.

    The first stop string is the one that ends first, and among those the longest: the answer does not depend on how the text
    is divided into pieces.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.matched = False
        """True after a stop string was found; no text follows."""

    def push(self, piece: str) -> str:
        """The text that can be passed on now."""
        if self.matched:
            return ""
        text = self._held + piece
        cut = self._find(text)
        if cut is not None:
            self.matched, self._held = True, ""
            return text[:cut]
        keep = self._possible_start(text)
        self._held = text[keep:]
        return text[:keep]

    def flush(self) -> str:
        """The text that was held back, at the end."""
        held, self._held = self._held, ""
        return held

    def _find(self, text: str) -> int | None:
        """Start of the first stop string, or None."""
        found = ((start + len(stop), start) for stop in self._stops if (start := text.find(stop)) >= 0)
        end_and_start = min(found, default=None)
        return None if end_and_start is None else end_and_start[1]

    def _possible_start(self, text: str) -> int:
        """The first position where a stop string may have begun."""
        longest = max((len(stop) for stop in self._stops), default=0)
        for start in range(max(0, len(text) - longest + 1), len(text)):
            if any(stop.startswith(text[start:]) for stop in self._stops):
                return start
        return len(text)
