"""The key queue's promises, on a real event loop."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_operator.reconcile.queue import Queue

pytestmark = pytest.mark.unit


async def test_a_key_that_waits_is_there_once() -> None:
    """However often it is added."""
    queue: Queue[str] = Queue()
    for key in "aabab":
        queue.add(key)
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == ["a", "b"]


async def test_a_key_is_never_worked_on_twice_at_a_time() -> None:
    """A key that is added while a worker has it comes again after that, once."""
    queue: Queue[str] = Queue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.01)
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_failures_come_again_later_and_later() -> None:
    """Each delay is at most twice the longest of the one before, never more than a minute; a success forgets them."""
    queue: Queue[str] = Queue()
    delays = []
    for _ in range(12):
        queue.add("a")
        await queue.get()
        delays.append(queue.failed("a"))
    for number, delay in enumerate(delays, 1):
        longest = min(60.0, 0.1 * 2**number)
        assert longest / 2 <= delay <= longest
    queue.add("a")
    await queue.get()
    queue.done("a")
    queue.add("a")
    await queue.get()
    assert queue.failed("a") <= 0.2


@pytest.mark.parametrize("delays", [(0.02, 5.0), (5.0, 0.02), (5.0, 0.02, 3.0)])
async def test_the_earliest_wish_wins(delays: tuple[float, ...]) -> None:
    """The earliest of several delayed additions counts, in any order."""
    queue: Queue[str] = Queue()
    for delay in delays:
        queue.add_after("a", delay)
    assert await asyncio.wait_for(queue.get(), 1.0) == "a"


async def test_work_now_replaces_work_later() -> None:
    """A key that is taken has no timer: the reconcile decides when it comes again."""
    queue: Queue[str] = Queue()
    queue.add_after("a", 0.02)
    queue.add("a")
    await queue.get()
    queue.done("a")
    await asyncio.sleep(0.05)
    assert len(queue) == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30), st.integers(1, 4))
def test_workers(additions: list[tuple[str, bool]], workers: int) -> None:
    """With any number of workers: no key twice at a time, and every key once more after its last addition."""

    async def scenario() -> None:
        queue: Queue[str] = Queue()
        added: Counter[str] = Counter()
        seen: dict[str, int] = {}
        active: set[str] = set()

        async def work() -> None:
            while True:
                key = await queue.get()
                assert key not in active
                active.add(key)
                seen[key] = added[key]
                await asyncio.sleep(0)
                active.discard(key)
                queue.done(key)

        tasks = [asyncio.create_task(work()) for _ in range(workers)]
        for key, pause in additions:
            added[key] += 1
            queue.add(key)
            if pause:
                await asyncio.sleep(0)
        for _ in range(10 * len(additions) + 10):
            await asyncio.sleep(0)
        assert not any(task.done() for task in tasks), [task.exception() for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        assert len(queue) == 0
        assert seen == dict(added)

    asyncio.run(scenario())
