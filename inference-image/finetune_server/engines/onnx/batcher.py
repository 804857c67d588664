"""The slot batcher: its thread lets rows of different length decode together while new ones join and others leave.

Each turn of the loop prefills one chunk of the oldest unfinished prompt and then decodes one token of every other row, so
neither a long prompt nor a long answer holds up the rest. It knows no text and no HTTP.
"""

import logging
import threading
from collections import deque

import numpy as np

from finetune_server.engines.interface import EngineStopped, GenerationRequest, Listener, Load, QueueFull
from finetune_server.engines.onnx.decoder import PREFILL_CHUNK, OnnxDecoder
from finetune_server.engines.onnx.row import Row
from finetune_server.engines.onnx.slots import Slots

log = logging.getLogger(__name__)


class SlotBatcher:
    """An `Engine` (finetune_server.engines.interface) over one decoder."""

    def __init__(self, decoder: OnnxDecoder, end_tokens: frozenset[int], *, slots: int, context_length: int, max_queue: int) -> None:
        self.context_length = context_length
        self.vocabulary_size = decoder.vocabulary_size
        self.capacity = slots + max_queue
        self.failed = False
        self._decoder = decoder
        self._end_tokens = end_tokens
        self._slots = Slots(slots)
        self._waiting: deque[Row] = deque()
        self._running: list[Row] = []
        """In order of arrival."""
        self._changed = threading.Condition()
        """Guards _waiting, _running and _stopped."""
        self._stopped: str | None = None
        self._thread = threading.Thread(target=self._loop, name="slot-batcher", daemon=True)
        self._thread.start()

    def submit(self, request: GenerationRequest, listener: Listener) -> Row:
        """Queues a request. Raises QueueFull or EngineStopped."""
        assert request.prompt, "a prompt holds at least one token"
        assert len(request.prompt) + request.max_tokens <= self.context_length, "the HTTP side checks the context limit"
        row = Row(request, listener)
        with self._changed:
            if self._stopped is not None:
                raise EngineStopped(self._stopped)
            self._drop_cancelled()
            if len(self._waiting) + len(self._running) >= self.capacity:
                raise QueueFull(f"{len(self._running)} requests run and {len(self._waiting)} wait")
            self._waiting.append(row)
            self._changed.notify()
        return row

    def load(self) -> Load:
        """The number of requests that run and that wait."""
        with self._changed:
            running = sum(not row.cancelled for row in self._running)
            return Load(running, sum(not row.cancelled for row in self._waiting))

    def close(self) -> None:
        """Ends the thread after its step; what still runs or waits fails."""
        self._stop("the server is stopping")
        self._thread.join()

    def _loop(self) -> None:
        try:
            while self._wait_for_work():
                self._prefill()
                self._decode()
        except Exception:
            log.exception("the engine broke")
            self.failed = True
            self._stop("the engine broke; its log says why")

    def _wait_for_work(self) -> bool:
        """Drops cancelled rows, gives free slots to waiting ones and sleeps while there are none; False: the end."""
        with self._changed:
            self._drop_cancelled()
            while self._stopped is None and not self._running and not self._waiting:
                self._changed.wait()
            while self._slots and self._waiting:
                row = self._waiting.popleft()
                row.slot = self._slots.take()
                self._running.append(row)
            return self._stopped is None

    def _drop_cancelled(self) -> None:
        self._waiting = deque(row for row in self._waiting if not row.cancelled)
        if threading.current_thread() is self._thread:  # a slot may be given away only between two steps
            for row in [row for row in self._running if row.cancelled]:
                self._leave(row)

    def _leave(self, row: Row) -> None:
        self._running.remove(row)
        self._slots.give_back(row.slot)

    def _prefill(self) -> None:
        row = next((row for row in self._running if not row.decoding), None)
        if row is None:
            return
        chunk = row.request.prompt[row.prefilled : row.prefilled + PREFILL_CHUNK]
        logits = self._decoder.prefill(row.slot, chunk, row.prefilled)
        row.prefilled += len(chunk)
        if row.decoding:
            self._advance(row, logits)

    def _decode(self) -> None:
        """One token for each decoding row. The other rows in the span take part with a token that nothing will read:
        its keys and values lie at the position that the row's next chunk, or the slot's next row, writes first."""
        rows = [row for row in self._running if row.decoding]
        if not rows:
            return
        tokens = np.zeros(max(row.slot for row in rows) + 1, dtype=np.int64)
        lengths = np.ones_like(tokens)
        for row in self._running:
            if row.slot < len(tokens):
                lengths[row.slot] = row.length
                tokens[row.slot] = max(row.last_token, 0)
        logits = self._decoder.decode(tokens, lengths)
        for row in rows:
            self._advance(row, logits[row.slot])

    def _advance(self, row: Row, logits: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
        if row.take(logits, self._end_tokens):
            with self._changed:
                self._leave(row)

    def _stop(self, reason: str) -> None:
        with self._changed:
            if self._stopped is None:
                self._stopped = reason
                for row in (*self._running, *self._waiting):
                    row.fail(reason)
            self._changed.notify()
