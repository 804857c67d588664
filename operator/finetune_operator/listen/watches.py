"""Which watches are alive. An operator whose watch has been down for a while acts on an old picture: it is not ready, and says so.

Knows names, not resources. A watch that reconnects within GRACE seconds, as every watch does every few minutes, was never away.
"""

import time
from collections.abc import Callable

GRACE = 20.0


class Watches:
    """`up` and `down` as often as you like; a watch that nobody has named yet counts as not being there."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._down: dict[str, float] = {}
        """Names of those that are down, and since when."""

    def up(self, name: str) -> None:
        """Connected, or its list has just been read."""
        self._down.pop(name, None)

    def down(self, name: str) -> None:
        """Not connected, or about to be."""
        self._down.setdefault(name, self._clock())

    def dead(self, seconds: float = GRACE) -> list[str]:
        """Names of those that have been down for longer, the longest first."""
        now = self._clock()
        late = [(since, name) for name, since in self._down.items() if now - since > seconds]
        return [name for _, name in sorted(late)]
