"""Which rows an encoder computes together."""

import queue
from collections import deque
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from finetune_server.engines.batching.encoder_batcher import EncoderBatcher, Encoding, take_batch
from finetune_server.engines.interface import Encoded, EncoderRow, EncodingRequest, EngineStopped, Failed, Load, QueueFull

pytestmark = pytest.mark.unit

ROOM = 100


def request(*lengths: int) -> EncodingRequest:
    """Rows of so many tokens."""
    return EncodingRequest(tuple(EncoderRow((length,) * length, (0,) * length) for length in lengths))


def encodings(*lengths: tuple[int, ...]) -> deque[Encoding]:
    """One for each tuple."""
    return deque(Encoding(request(*row_lengths), lambda _event: None) for row_lengths in lengths)


@pytest.mark.parametrize(
    "requests, expected",
    [
        (((5,),), [(0, 0)]),
        (((300,), (5,)), [(0, 0)]),
        (((5,), (300,)), [(0, 0)]),
        (((20,), (20,), (25,), (4,)), [(0, 0), (1, 0), (3, 0)]),
        (((40,), (24, 23, 40), (41,)), [(0, 0), (1, 2)]),
        (((10, 50, 30),), [(0, 1)]),
        (((10, 25, 30, 25),), [(0, 2), (0, 3), (0, 1)]),
        (((10, 10), (10,) * 20), [(0, 1), (0, 0), *((1, index) for index in range(19, 11, -1))]),
    ],
    ids=["alone", "too long", "too short", "not longer", "budget", "longest first", "own first", "others too"],
)
def test_a_batch(requests: tuple[tuple[int, ...], ...], expected: list[tuple[int, int]]) -> None:
    """The longest row of the request whose turn it is, then similar ones that are no longer, while the padded batch has room."""
    waiting = encodings(*requests)
    found = take_batch(waiting, ROOM)
    assert [(waiting.index(encoding), index) for encoding, index in found] == expected


@given(st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=6).map(tuple), min_size=1, max_size=6))
def test_every_row_once(requests: list[tuple[int, ...]]) -> None:
    """Whatever the lengths, each row is in exactly one batch, and no batch but a single row is over the budget."""
    waiting, rows = encodings(*requests), []
    everything = list(waiting)
    while waiting:
        batch = take_batch(waiting, ROOM)
        lengths = [len(encoding.request.rows[index].ids) for encoding, index in batch]
        assert len(batch) == 1 or max(lengths) * len(batch) <= ROOM
        rows += [(everything.index(encoding), index) for encoding, index in batch]
        waiting = deque(encoding for encoding in waiting if encoding.longest is not None)
    assert sorted(rows) == [(i, j) for i, lengths in enumerate(requests) for j in range(len(lengths))]


class Gate:
    """A network that waits to be let through; its logits are the row's length."""

    def __init__(self) -> None:
        self.batches: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        self._open: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def run(self, rows: list[EncoderRow]) -> list[NDArray[np.float32]]:
        """One batch, when it may."""
        self.batches.put([len(row.ids) for row in rows])
        if not self._open.get(timeout=30):
            raise RuntimeError("no memory")
        return [np.array([len(row.ids)], dtype=np.float32) for row in rows]

    def let(self, *, fail: bool = False) -> None:
        """One batch through."""
        self._open.put(not fail)


@pytest.fixture
def gate() -> Gate:
    """Closed."""
    return Gate()


@pytest.fixture
def batcher(gate: Gate) -> Iterator[EncoderBatcher]:
    """Two requests run, one may wait."""
    batcher = EncoderBatcher(gate, context_length=512, vocabulary_size=1000, max_running=2, max_queue=1)
    yield batcher
    for _ in range(10):
        gate.let()
    batcher.close()


def test_requests_take_turns(gate: Gate, batcher: EncoderBatcher) -> None:
    """A request with many batches and one with a single row are served in turn; rows come back in their order."""
    answers: queue.SimpleQueue[Encoded | Failed] = queue.SimpleQueue()
    batcher.submit(request(500, 10, 450, 490, 480, 470), answers.put)
    assert gate.batches.get(timeout=30) == [500, 490, 480, 470]
    batcher.submit(request(3), answers.put)
    gate.let()
    assert gate.batches.get(timeout=30) == [450]
    gate.let()
    assert gate.batches.get(timeout=30) == [3]
    gate.let()
    first = answers.get(timeout=30)
    gate.let()
    second = answers.get(timeout=30)
    assert isinstance(first, Encoded) and isinstance(second, Encoded)
    assert [row.tolist() for row in first.logits] == [[3]]
    assert [row.tolist() for row in second.logits] == [[500], [10], [450], [490], [480], [470]]
    counts = batcher.counts()
    assert (counts.rows, counts.tokens, counts.padding) == (7, 2403, 60)


def test_the_queue(gate: Gate, batcher: EncoderBatcher) -> None:
    """Requests beyond those that run and wait are refused, until one of them is cancelled."""
    tickets = [batcher.submit(request(5), lambda _event: None)]
    gate.batches.get(timeout=30)
    tickets += [batcher.submit(request(5), lambda _event: None) for _ in range(2)]
    with pytest.raises(QueueFull, match="1 requests are running and 2 are waiting"):
        batcher.submit(request(5), lambda _event: None)
    tickets[1].cancel()
    assert batcher.load() == Load(running=1, waiting=1)
    batcher.submit(request(5), lambda _event: None)


def test_a_broken_network(gate: Gate, batcher: EncoderBatcher) -> None:
    """When the network fails, every request fails with that error, and no other is taken."""
    answers: queue.SimpleQueue[Encoded | Failed] = queue.SimpleQueue()
    for _ in range(2):
        batcher.submit(request(5), answers.put)
    gate.let(fail=True)
    assert [answers.get(timeout=30) for _ in range(2)] == [Failed("the engine failed; see the server log")] * 2
    assert batcher.failed
    with pytest.raises(EngineStopped, match="the engine failed"):
        batcher.submit(request(5), answers.put)
