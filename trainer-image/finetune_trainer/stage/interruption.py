"""SIGTERM: raised where it arrives, and recorded in a flag.

An exception raised by a signal handler can be swallowed by a library's `except`, a destructor or a callback of an event loop.
Therefore a stage also checks the flag whenever it reports progress and before each commit. Imports nothing slow: until a handler
is installed, the kernel ignores the signal for PID 1 of a container.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(BaseException):
    """SIGTERM arrived. Not an Exception, so that libraries do not handle it."""


class _Listener:
    """The SIGTERM state of this process."""

    def __init__(self) -> None:
        self.asked = False
        self.closing = False
        """The stage has finished or failed for another reason; it must finish what it is writing."""

    def hear(self, *_: object) -> None:
        """The signal handler; raises only once, so that it does not interrupt the cleanup."""
        first, self.asked = not self.asked, True
        if first and not self.closing:
            raise Stopped


_listener = _Listener()


@contextmanager
def listening() -> Iterator[None]:
    """Handles SIGTERM within the context; the state of an outer context is restored afterwards."""
    global _listener
    outer, _listener = _listener, _Listener()
    before = signal.signal(signal.SIGTERM, _listener.hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        _listener = outer


def asked() -> bool:
    """True once SIGTERM has arrived."""
    return _listener.asked


def check() -> None:
    """Raises Stopped if SIGTERM has arrived, even if the first exception was swallowed.

    Only in the main thread: a library's own thread would swallow it again.
    """
    if _listener.asked and not _listener.closing and threading.current_thread() is threading.main_thread():
        raise Stopped


def close() -> None:
    """From now on SIGTERM has no effect."""
    _listener.closing = True


def last_check() -> None:
    """Raises Stopped if SIGTERM has arrived; otherwise SIGTERM has no effect from now on, so that the commit is not interrupted."""
    close()
    if _listener.asked:
        raise Stopped
