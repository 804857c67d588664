"""Dynamic batches: rows of similar length from concurrent requests are padded and computed together.

Running requests take turns, so that one with thousands of rows does not delay the others: each batch starts with the longest
remaining row of the request whose turn it is, and rows of about that length join it. It knows no text.
"""

import bisect
from collections import deque
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from finetune_server.engines.batching.batcher import NOT_FINITE, Batcher, Request
from finetune_server.engines.interface import BatchCounts, Encoded, EncoderListener, EncoderRow, EncodingRequest

BATCH_TOKENS = 2048
"""Maximum of rows times the longest row (one row always fits): larger batches are not faster on a CPU, and new requests wait longer."""
SIMILAR_SHARE = 0.75
SIMILAR_TOKENS = 16
"""A row joins a longer one if it has three quarters of its tokens, or at most 16 fewer: padding costs as much as tokens."""


class Network(Protocol):
    """A loaded model. Only the batcher's thread calls it."""

    def run(self, rows: list[EncoderRow]) -> list[NDArray[np.float32]]:
        """The logits of each row."""


class Encoding(Request):
    """A request with its remaining rows and the logits so far."""

    def __init__(self, request: EncodingRequest, listener: EncoderListener) -> None:
        super().__init__(listener)
        self.request = request
        self._listener = listener
        self._left = sorted((len(row.ids), index) for index, row in enumerate(request.rows))
        """(tokens, index) of the rows that are not in a batch yet, shortest first."""
        self._logits: list[NDArray[np.float32] | None] = [None] * len(request.rows)
        self._missing = len(request.rows)

    @property
    def longest(self) -> int | None:
        """Tokens of the longest remaining row; None if there is none."""
        return self._left[-1][0] if self._left else None

    def take_rows(self, shortest: int, longest: int, count: int) -> list[int]:
        """Takes at most `count` rows of `shortest` to `longest` tokens, longest first; returns their indexes."""
        end = bisect.bisect_right(self._left, (longest, len(self._logits)))
        start = max(bisect.bisect_left(self._left, (shortest, 0), hi=end), end - count)
        taken = self._left[start:end]
        del self._left[start:end]
        return [index for _, index in reversed(taken)]

    def take(self, index: int, logits: NDArray[np.float32]) -> bool:
        """Keeps a row's logits; True if all are complete."""
        self._logits[index] = logits
        self._missing -= 1
        return self._missing == 0

    def finish(self) -> None:
        """Sends the logits to the listener."""
        logits = tuple(row for row in self._logits if row is not None)
        if all(np.isfinite(row).all() for row in logits):
            self._listener(Encoded(logits))
        else:
            self.fail(NOT_FINITE)


class EncoderBatcher(Batcher[Encoding]):
    """An `EncoderEngine` (finetune_server.engines.interface). The next turn is the first running request's."""

    def __init__(self, network: Network, *, context_length: int, vocabulary_size: int, max_running: int, max_queue: int) -> None:
        super().__init__("encoder-batcher", max_running=max_running, max_queue=max_queue)
        self.context_length = context_length
        self.vocabulary_size = vocabulary_size
        self._network = network
        self._max_running = max_running
        self._counts = BatchCounts()
        self._thread.start()

    def submit(self, request: EncodingRequest, listener: EncoderListener) -> Encoding:
        """Queues a request. Raises QueueFull or EngineStopped."""
        assert request.rows and all(0 < len(row.ids) <= self.context_length for row in request.rows), "the HTTP side checks the lengths"
        return self._queue(Encoding(request, listener))

    def counts(self) -> BatchCounts:
        """Its counters."""
        with self._changed:
            return self._counts

    def _turn(self) -> None:
        with self._changed:
            if not self._running:  # all were cancelled in the meantime
                return
            batch = take_batch(self._running, BATCH_TOKENS)
            self._running.rotate(-1)
        self._deliver(batch, self._network.run([encoding.request.rows[index] for encoding, index in batch]))

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self._max_running:
            self._running.append(self._waiting.popleft())

    def _drop_running(self) -> None:
        self._running = deque(encoding for encoding in self._running if not encoding.cancelled)

    def _deliver(self, batch: list[tuple[Encoding, int]], logits: list[NDArray[np.float32]]) -> None:
        lengths = [len(encoding.request.rows[index].ids) for encoding, index in batch]
        finished = [encoding for (encoding, index), row in zip(batch, logits, strict=True) if encoding.take(index, row)]
        with self._changed:
            counts, tokens = self._counts, sum(lengths)
            self._counts = replace(
                counts,
                batches=counts.batches + 1,
                rows=counts.rows + len(batch),
                tokens=counts.tokens + tokens,
                padding=counts.padding + max(lengths) * len(batch) - tokens,
            )
            self._running = deque(encoding for encoding in self._running if encoding not in finished)
        for encoding in finished:
            encoding.finish()


def take_batch(encodings: deque[Encoding], max_tokens: int) -> list[tuple[Encoding, int]]:
    """Takes rows from the encodings: the longest of the first one, then similar ones of each; at most `max_tokens` with padding."""
    first = next(encoding for encoding in encodings if encoding.longest is not None)
    length = first.longest
    assert length is not None, "the first encoding has a row left"
    shortest = min(int(length * SIMILAR_SHARE), length - SIMILAR_TOKENS)
    room = max(max_tokens // length, 1)
    batch: list[tuple[Encoding, int]] = []
    for encoding in (first, *(encoding for encoding in encodings if encoding is not first)):
        batch += [(encoding, index) for index in encoding.take_rows(shortest, length, room - len(batch))]
    return batch
