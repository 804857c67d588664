"""Work that is done in several processes, with the results in order. Knows not what the work is."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TypeVar

from finetune_trainer.stage.cores import available_cores

Work = TypeVar("Work")
Result = TypeVar("Result")

WORTH = 256 << 20
"""Bytes of a file from which on processes save more time than their start takes."""
MOST = 4
"""More than one that reads can feed; each takes 40 MB."""


def processes_for(size: int) -> int:
    """How many processes to check a file of `size` bytes with: as many as the pod's CPU limit lets run, but few."""
    cores = available_cores()
    return min(cores, MOST) if size >= WORTH and cores > 1 else 1


def in_order(work: Callable[[Work], Result], items: Iterable[Work], processes: int) -> Iterator[Result]:
    """The results of all items, computed by so many processes; by this one where it is 1, or where no other can be had."""
    pool = _pool(processes, work) if processes > 1 else None
    if pool is None:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as exc:  # the kernel ends processes for one reason only
        raise MemoryError("a validation process was terminated") from exc
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _pool(processes: int, work: Callable[[Work], Result]) -> ProcessPoolExecutor | None:
    """Processes that share nothing with this one: it may have threads. None where the machine has no semaphores."""
    try:
        context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
        function = work.func if isinstance(work, partial) else work
        context.set_forkserver_preload(["__main__", function.__module__])  # imported once, not by each of them
        return ProcessPoolExecutor(processes, mp_context=context)
    except OSError:
        return None
