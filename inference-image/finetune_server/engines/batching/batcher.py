"""What every batcher does with its requests: takes them in, counts them, drops those that nobody waits for, fails the rest at the end.

It owns the one thread that computes, and knows nothing of what is computed.
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from finetune_server.engines.interface import EngineStopped, Failed, Load, QueueFull

log = logging.getLogger(__name__)


NOT_FINITE = "the model computed logits that are not finite for this request; others are answered"


class Request:
    """A request on its way through a batcher, whose thread alone changes it, but for `cancel`."""

    def __init__(self, on_failure: Callable[[Failed], object]) -> None:
        self._on_failure = on_failure
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        """True when nobody waits for the answer."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Asks the batcher to drop the request; from any thread."""
        self._cancelled.set()

    def fail(self, message: str) -> None:
        """Tells the listener that there will be no more."""
        self._on_failure(Failed(message))


R = TypeVar("R", bound=Request)


class Batcher(ABC, Generic[R]):
    """The part of an `Engine` (finetune_server.engines.interface) that does not depend on what it computes."""

    def __init__(self, name: str, *, max_running: int, max_queue: int) -> None:
        """`name` is the thread's, which a subclass starts when it is ready for its first turn."""
        self.capacity = max_running + max_queue
        self.failed = False
        self._waiting: deque[R] = deque()
        self._running: deque[R] = deque()
        self._changed = threading.Condition()
        """Guards everything that is not constant."""
        self._stopped: str | None = None
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def load(self) -> Load:
        """The number of requests that run and that wait."""
        with self._changed:
            running = sum(not request.cancelled for request in self._running)
            return Load(running, sum(not request.cancelled for request in self._waiting))

    def close(self) -> None:
        """Ends the thread after its turn; what still runs or waits fails."""
        self._stop("the server is stopping")
        self._thread.join()

    @abstractmethod
    def _turn(self) -> None:
        """Computes for some of the running requests."""

    @abstractmethod
    def _start_waiting(self) -> None:
        """Moves waiting requests to the running ones, as many as may run. Called with the lock."""

    @abstractmethod
    def _drop_running(self) -> None:
        """Takes cancelled requests out of the running ones, where that is allowed now. Called with the lock."""

    def _queue(self, request: R) -> R:
        with self._changed:
            if self._stopped is not None:
                raise EngineStopped(self._stopped)
            self._drop_cancelled()
            if len(self._waiting) + len(self._running) >= self.capacity:
                raise QueueFull(f"{len(self._running)} requests are running and {len(self._waiting)} are waiting")
            self._waiting.append(request)
            self._changed.notify()
        return request

    def _loop(self) -> None:
        try:
            while self._wait_for_work():
                self._turn()
        except Exception:
            log.exception("the engine broke")
            self.failed = True
            self._stop("the engine failed; see the server log")

    def _wait_for_work(self) -> bool:
        """Sleeps while there is none; False: the end."""
        with self._changed:
            self._drop_cancelled()
            while self._stopped is None and not self._running and not self._waiting:
                self._changed.wait()
                self._drop_cancelled()
            if self._stopped is None:
                self._start_waiting()
            return self._stopped is None

    def _drop_cancelled(self) -> None:
        self._waiting = deque(request for request in self._waiting if not request.cancelled)
        self._drop_running()

    def _stop(self, reason: str) -> None:
        with self._changed:
            if self._stopped is None:
                self._stopped = reason
                for request in (*self._running, *self._waiting):
                    request.fail(reason)
            self._changed.notify()
