"""Which watches are connected. With a watch that has been disconnected for a while, the cache is stale, and the operator is not ready.

A watch that reconnects within GRACE seconds, as every watch does every few minutes, counts as connected.
"""

import time
from collections.abc import Callable

GRACE = 20.0


class Watches:
    """`up` and `down` may be called repeatedly; only watches that were named are tracked."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._down: dict[str, float] = {}
        """Names of disconnected watches, and since when."""

    def up(self, name: str) -> None:
        """The watch is connected, or its list has just been read."""
        self._down.pop(name, None)

    def down(self, name: str) -> None:
        """The watch is not connected, or is reconnecting."""
        self._down.setdefault(name, self._clock())

    def dead(self, seconds: float = GRACE) -> list[str]:
        """Names of watches that have been disconnected for longer, the longest first."""
        now = self._clock()
        late = [(since, name) for name, since in self._down.items() if now - since > seconds]
        return [name for _, name in sorted(late)]
