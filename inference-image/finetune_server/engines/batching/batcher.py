"""What batchers have in common: the queue, the load, cancellation, and the failure of what remains at the end.

It owns the thread that computes, and does not know what is computed.
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
    """A request in a batcher. Only the batcher's thread changes it, except for `cancel`."""

    def __init__(self, on_failure: Callable[[Failed], object]) -> None:
        self._on_failure = on_failure
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        """True if the answer is not needed any more."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Asks the batcher to drop the request. Thread-safe."""
        self._cancelled.set()

    def fail(self, message: str) -> None:
        """Sends the last event to the listener."""
        self._on_failure(Failed(message))


R = TypeVar("R", bound=Request)


class Batcher(ABC, Generic[R]):
    """The part of an `Engine` (finetune_server.engines.interface) that does not depend on what it computes."""

    def __init__(self, name: str, *, max_running: int, max_queue: int) -> None:
        """`name` is the name of the thread; a subclass starts it when it is ready."""
        self.capacity = max_running + max_queue
        self.failed = False
        self._waiting: deque[R] = deque()
        self._running: deque[R] = deque()
        self._changed = threading.Condition()
        """Guards all mutable state."""
        self._stopped: str | None = None
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def load(self) -> Load:
        """Number of running and waiting requests."""
        with self._changed:
            running = sum(not request.cancelled for request in self._running)
            return Load(running, sum(not request.cancelled for request in self._waiting))

    def close(self) -> None:
        """Ends the thread after its turn; remaining requests fail."""
        self._stop("the server is stopping")
        self._thread.join()

    @abstractmethod
    def _turn(self) -> None:
        """Computes for some of the running requests."""

    @abstractmethod
    def _start_waiting(self) -> None:
        """Moves waiting requests to the running ones, as far as there is room. Called with the lock."""

    @abstractmethod
    def _drop_running(self) -> None:
        """Removes cancelled requests from the running ones, if that is allowed now. Called with the lock."""

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
            log.exception("the engine failed")
            self.failed = True
            self._stop("the engine failed; see the server log")

    def _wait_for_work(self) -> bool:
        """Sleeps until there is a request; False if the batcher was stopped."""
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
