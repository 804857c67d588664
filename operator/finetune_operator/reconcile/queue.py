"""The key queue: each key at most once in it, never reconciled by two workers at a time, retried with back-off."""

import asyncio
import random
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_RETRY = 0.1
LONGEST_RETRY = 60.0


class Queue(Generic[K]):
    """`add` may be called repeatedly; workers of one event loop call `get`, and then `done` or `failed`."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._dirty: set[K] = set()
        """Waiting for a worker, or added again while one works on it."""
        self._active: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._dirty)

    def add(self, key: K) -> None:
        """Now, or as soon as the worker on this key has finished."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._active:
            self._ready.put_nowait(key)

    def add_after(self, key: K, seconds: float) -> None:
        """After some seconds; the earliest of several calls wins."""
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= when:
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_at(when, self._timer_fired, key)

    async def get(self) -> K:
        """The next key. Its timer is cancelled."""
        key = await self._ready.get()
        self._dirty.discard(key)
        self._active.add(key)
        self._cancel_timer(key)
        return key

    def done(self, key: K) -> None:
        """The reconcile succeeded."""
        self._failures.pop(key, None)
        self._release(key)

    def failed(self, key: K) -> float:
        """The reconcile failed and is retried. Returns the delay in seconds."""
        number = self._failures[key] = self._failures.get(key, 0) + 1
        delay = random.uniform(0.5, 1.0) * min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(number, 32))
        self._release(key)
        self.add_after(key, delay)
        return delay

    def _release(self, key: K) -> None:
        self._active.discard(key)
        if key in self._dirty:
            self._ready.put_nowait(key)

    def _timer_fired(self, key: K) -> None:
        del self._timers[key]
        self.add(key)

    def _cancel_timer(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
