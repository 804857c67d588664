"""Ends a stage that makes no progress; a training is watched by the launcher (`train/watchdog.py`).

It runs in its own thread, because the main thread may be blocked in a library or the kernel.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOKS = 20
"""Checks within the timeout."""


class StallWatch:
    """Measures the time without a sign of life, except time in which the whole container was frozen."""

    def __init__(self, timeout: float, now: float) -> None:
        """Seconds."""
        self.interval = min(5.0, timeout / LOOKS)
        self._timeout = timeout
        self._idle, self._looked = 0.0, now
        self._seen: object = None

    def look(self, signs: object, now: float) -> bool:
        """True if the signs have not changed for `timeout` seconds."""
        passed, self._looked = now - self._looked, now
        if signs != self._seen:
            self._seen, self._idle = signs, 0.0
        else:
            self._idle += min(passed, 2 * self.interval)
        return self._idle >= self._timeout


@contextmanager
def watched(timeout: float, signs: Callable[[], object], stalled: Callable[[], None]) -> Iterator[None]:
    """Calls `stalled`, which ends the process, if the signs do not change for `timeout` seconds."""
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
