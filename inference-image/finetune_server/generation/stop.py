"""Finds stop strings in text that arrives in pieces. Knows no tokens."""

from collections.abc import Sequence


class StopMatcher:
    """Passes text on up to the first stop string, and never a part of one.

    The first stop string is the one that ends first, and of those the longest: so the answer does not depend on how the text
    was cut into pieces.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.matched = False
        """True once a stop string was found; nothing comes after it."""

    def push(self, piece: str) -> str:
        """The text that is safe to pass on now."""
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
        """What was held back, at the end of the text."""
        held, self._held = self._held, ""
        return held

    def _find(self, text: str) -> int | None:
        """Where the first stop string starts, or None."""
        found = ((start + len(stop), start) for stop in self._stops if (start := text.find(stop)) >= 0)
        end_and_start = min(found, default=None)
        return None if end_and_start is None else end_and_start[1]

    def _possible_start(self, text: str) -> int:
        """The first position from which the rest of the text may become a stop string."""
        longest = max((len(stop) for stop in self._stops), default=0)
        for start in range(max(0, len(text) - longest + 1), len(text)):
            if any(stop.startswith(text[start:]) for stop in self._stops):
                return start
        return len(text)
