"""Ends a stage that does not get on any more; of a training, the launcher does (`train/watchdog.py`).

It looks from a thread of its own, because the main one may wait for ever in a library or in the kernel.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOKS = 20
"""In the time that is allowed."""


class StallWatch:
    """Counts the time without a sign of life. Time in which nobody could have given one, as the whole container stood still, is none."""

    def __init__(self, timeout: float, now: float) -> None:
        """Seconds."""
        self.interval = min(5.0, timeout / LOOKS)
        self._timeout = timeout
        self._idle, self._looked = 0.0, now
        self._seen: object = None

    def look(self, signs: object, now: float) -> bool:
        """True when there was no other sign for too long."""
        passed, self._looked = now - self._looked, now
        if signs != self._seen:
            self._seen, self._idle = signs, 0.0
        else:
            self._idle += min(passed, 2 * self.interval)
        return self._idle >= self._timeout


@contextmanager
def watched(timeout: float, signs: Callable[[], object], stalled: Callable[[], None]) -> Iterator[None]:
    """Calls `stalled`, which ends the process, when the signs stay the same for `timeout` seconds."""
    over, watch = threading.Event(), StallWatch(timeout, time.monotonic())

    def look() -> None:
        while not over.wait(watch.interval):
            if watch.look(signs(), time.monotonic()):
                stalled()
                return

    threading.Thread(target=look, name="stall-watch", daemon=True).start()
    try:
        yield
    finally:
        over.set()
