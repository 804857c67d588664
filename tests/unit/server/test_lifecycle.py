"""When a server that is asked to stop takes its last request, and how long it waits for its answers."""

import asyncio
import selectors
from collections.abc import Sequence

import pytest

from finetune_server.lifecycle import Lifecycle

pytestmark = pytest.mark.unit

QUIET, LIMIT, GRACE = 0.2, 1.0, 0.5


class Skipping(selectors.SelectSelector):
    """Where a loop would sleep, its clock goes on instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0
        return super().select(0)


class SkippingLoop(asyncio.SelectorEventLoop):
    """Sleeps take no time, and end in their order however busy the machine is."""

    def __init__(self) -> None:
        self._skipping = Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


async def drained(lifecycle: Lifecycle, arrivals: Sequence[float], answer: float) -> tuple[float, list[bool], bool]:
    """Requests come at `arrivals` seconds after the drain began, each is answered `answer` seconds later. Returns when no more were
    taken, which of them were taken, and whether all were answered in time."""
    clock = asyncio.get_running_loop().time
    began = clock()
    taken: list[bool] = []

    async def request(at: float) -> None:
        await asyncio.sleep(at)
        taken.append(not lifecycle.refusing)
        lifecycle.request_started()
        await asyncio.sleep(answer if taken[-1] else 0)
        lifecycle.request_ended()

    async def refusing() -> float:
        while not lifecycle.refusing:
            await asyncio.sleep(0.005)
        return clock() - began

    requests = [asyncio.create_task(request(at)) for at in arrivals]
    since = asyncio.create_task(refusing())
    complete = await lifecycle.drain(quiet=QUIET, limit=LIMIT, grace=GRACE)
    await asyncio.gather(*requests)
    return await since, taken, complete


@pytest.mark.parametrize(
    ("arrivals", "answer", "until", "taken", "complete"),
    [
        ([], 0, QUIET, [], True),
        ([0.1, 0.25, 0.4], 0, 0.4 + QUIET, [True, True, True], True),
        ([0.1 * n for n in range(1, 16)], 0, LIMIT, [True] * 9, True),
        ([0.1], 0.4, 0.1 + QUIET, [True], True),
        ([0.1], 3, 0.1 + QUIET, [True], False),
    ],
    ids=["nobody", "as long as requests come", "not for ever", "an answer in progress", "an answer beyond the grace"],
)
def test_drain(arrivals: list[float], answer: float, until: float, taken: list[bool], complete: bool) -> None:
    """Requests are taken until none has come for a while; what has been taken is answered, within the grace."""
    lifecycle = Lifecycle()
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        since, seen, done = runner.run(drained(lifecycle, arrivals, answer))
    assert lifecycle.draining
    assert since == pytest.approx(until, abs=0.01)
    assert seen[: len(taken)] == taken
    assert done is complete
