"""SIGTERM: raised where it arrives, and kept as a fact that is looked at.

An exception that a signal handler raises can be lost: in a library's `except`, in a destructor, in a callback of an event loop.
So a stage also asks, at each sign of progress and before what cannot be taken back. Imports nothing that takes time: until
there is a handler, the kernel keeps the signal from a container's first process.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(BaseException):
    """SIGTERM. Not an Exception, so that no library takes it for one of its own."""


class _Listener:
    """What this process has heard."""

    def __init__(self) -> None:
        self.asked = False
        self.closing = False
        """The stage's work is done, or has failed for another reason: it finishes what it writes now."""

    def hear(self, *_: object) -> None:
        """The signal's handler; raises once, as what is cleaned up after that takes its time."""
        first, self.asked = not self.asked, True
        if first and not self.closing:
            raise Stopped


_listener = _Listener()


@contextmanager
def listening() -> Iterator[None]:
    """Hears SIGTERM; what one program heard or closed is nothing to the next one in the same process."""
    global _listener
    outer, _listener = _listener, _Listener()
    before = signal.signal(signal.SIGTERM, _listener.hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        _listener = outer


def asked() -> bool:
    """True once SIGTERM has come."""
    return _listener.asked


def check() -> None:
    """Raises Stopped when SIGTERM has come, also if the exception that told so was lost.

    Only in the main thread: a library's own thread would lose it again.
    """
    if _listener.asked and not _listener.closing and threading.current_thread() is threading.main_thread():
        raise Stopped


def close() -> None:
    """From here on SIGTERM changes nothing any more."""
    _listener.closing = True


def last_check() -> None:
    """Raises Stopped if SIGTERM has come by now, and lets nothing interrupt what follows: the commit of a stage's work."""
    close()
    if _listener.asked:
        raise Stopped
