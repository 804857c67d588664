"""Dynamic batches: the rows of concurrent requests that are similarly long are padded and computed together.

As many requests as may run are served in turn, so that one with thousands of rows does not hold up the others: each batch
starts with the longest row left of the request whose turn it is, and rows of about that length join it. It knows no text.
"""

import logging
import threading
from collections import deque
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from finetune_server.engines.interface import (
    BatchCounts,
    EncoderListener,
    EncoderRow,
    EncodingRequest,
    EngineStopped,
    Load,
    QueueFull,
)
from finetune_server.engines.onnx.encoding import Encoding

log = logging.getLogger(__name__)

BATCH_TOKENS = 2048
"""Rows times the longest row, at most (one row always fits): larger batches are no faster on a CPU, and newcomers wait longer."""
SIMILAR_SHARE = 0.75
SIMILAR_TOKENS = 16
"""A row joins a longer one when it has three quarters of its tokens, or at most 16 fewer: padding costs what tokens cost."""


class Network(Protocol):
    """What computes a batch."""

    def run(self, rows: list[EncoderRow]) -> list[NDArray[np.float32]]:
        """The logits of each row."""


class EncoderBatcher:
    """An `EncoderEngine` (finetune_server.engines.interface)."""

    def __init__(self, network: Network, *, context_length: int, vocabulary_size: int, max_running: int, max_queue: int) -> None:
        self.context_length = context_length
        self.vocabulary_size = vocabulary_size
        self.capacity = max_running + max_queue
        self.failed = False
        self._network = network
        self._max_running = max_running
        self._waiting: deque[Encoding] = deque()
        self._running: deque[Encoding] = deque()
        """The next turn is the first one's."""
        self._changed = threading.Condition()
        """Guards everything that is not constant."""
        self._counts = BatchCounts()
        self._stopped: str | None = None
        self._thread = threading.Thread(target=self._loop, name="encoder-batcher", daemon=True)
        self._thread.start()

    def submit(self, request: EncodingRequest, listener: EncoderListener) -> Encoding:
        """Queues a request. Raises QueueFull or EngineStopped."""
        assert request.rows and all(0 < len(row.ids) <= self.context_length for row in request.rows), "the HTTP side checks the lengths"
        encoding = Encoding(request, listener)
        with self._changed:
            if self._stopped is not None:
                raise EngineStopped(self._stopped)
            self._drop_cancelled()
            if len(self._waiting) + len(self._running) >= self.capacity:
                raise QueueFull(f"{len(self._running)} requests run and {len(self._waiting)} wait")
            self._waiting.append(encoding)
            self._changed.notify()
        return encoding

    def load(self) -> Load:
        """The number of requests that run and that wait."""
        with self._changed:
            running = sum(not encoding.cancelled for encoding in self._running)
            return Load(running, sum(not encoding.cancelled for encoding in self._waiting))

    def counts(self) -> BatchCounts:
        """What was computed so far."""
        with self._changed:
            return self._counts

    def close(self) -> None:
        """Ends the thread after its batch; what is not finished fails."""
        self._stop("the server is stopping")
        self._thread.join()

    def _loop(self) -> None:
        try:
            while batch := self._next_batch():
                logits = self._network.run([encoding.request.rows[index] for encoding, index in batch])
                self._deliver(batch, logits)
        except Exception:
            log.exception("the engine broke")
            self.failed = True
            self._stop("the engine broke; its log says why")

    def _next_batch(self) -> list[tuple[Encoding, int]]:
        """Rows to compute together, waiting until there are some; empty at the end."""
        with self._changed:
            self._drop_cancelled()
            while self._stopped is None and not self._running and not self._waiting:
                self._changed.wait()
                self._drop_cancelled()
            if self._stopped is not None:
                return []
            while self._waiting and len(self._running) < self._max_running:
                self._running.append(self._waiting.popleft())
            batch = take_batch(self._running, BATCH_TOKENS)
            self._running.rotate(-1)
            return batch

    def _drop_cancelled(self) -> None:
        self._waiting = deque(encoding for encoding in self._waiting if not encoding.cancelled)
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

    def _stop(self, reason: str) -> None:
        with self._changed:
            if self._stopped is None:
                self._stopped = reason
                for encoding in (*self._running, *self._waiting):
                    encoding.fail(reason)
            self._changed.notify()


def take_batch(encodings: deque[Encoding], max_tokens: int) -> list[tuple[Encoding, int]]:
    """Takes rows out of the encodings: the first one's longest, then similar ones of each in turn, padded at most `max_tokens`."""
    first = next(encoding for encoding in encodings if encoding.longest is not None)
    length = first.longest
    assert length is not None, "the first encoding has a row left"
    shortest = min(int(length * SIMILAR_SHARE), length - SIMILAR_TOKENS)
    room = max(max_tokens // length, 1)
    batch: list[tuple[Encoding, int]] = []
    for encoding in (first, *(encoding for encoding in encodings if encoding is not first)):
        batch += [(encoding, index) for index in encoding.take_rows(shortest, length, room - len(batch))]
    return batch
